/**
 * Every status of the contract (fleet's API, /fleet/v1), and none for a fault of ours, whatever is sent.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ApiWorld, HELLO, M1, OTHER, optionsOf } from "../../../test/fakes/api-world.ts";
import { encodePageToken } from "../../model/page-token.ts";
import { MAX_BODY_BYTES } from "./index.ts";

let world: ApiWorld;
beforeEach(async () => {
  world = await ApiWorld.make();
});

describe("statuses of section 6", () => {
  const U = "/fleet/v1/units";
  const cases: readonly (readonly [what: string, method: string, path: string, body: unknown, status: number])[] = [
    ["list", "GET", U, undefined, 200],
    ["list, with what Google's clients add", "GET", `${U}?alt=json`, undefined, 200],
    ["list, trailing slash", "GET", `${U}/`, undefined, 200],
    ["list, the older prefix", "GET", "/fleet/v1-alpha/units", undefined, 200],
    ["list, flt's prefix", "GET", "/flt/v1/units", undefined, 200],
    ["list, empty token", "GET", `${U}?nextPageToken=`, undefined, 200],
    ["list, token that does not decode", "GET", `${U}?nextPageToken=%21`, undefined, 400],
    ["list, page 0", "GET", `${U}?nextPageToken=${encodePageToken({ limit: 3, page: 0 })}`, undefined, 400],
    ["list, another limit", "GET", `${U}?nextPageToken=${encodePageToken({ limit: 4, page: 1 })}`, undefined, 400],
    ["get", "GET", `${U}/hello.service`, undefined, 200],
    ["get, unknown", "GET", `${U}/nobody.service`, undefined, 404],
    ["get, no name at all", "GET", `${U}/a%20b`, undefined, 404],
    ["get, broken percent-encoding", "GET", `${U}/%ff%zz`, undefined, 400],
    ["put, new", "PUT", `${U}/new.service`, { desiredState: "loaded", options: optionsOf(HELLO) }, 201],
    ["put, new without state", "PUT", `${U}/new.service`, { options: optionsOf(HELLO) }, 201],
    ["put, charset", "PUT", `${U}/new.service`, { options: optionsOf(HELLO), name: "new.service" }, 201],
    ["put, state changed", "PUT", `${U}/hello.service`, { desiredState: "loaded" }, 204],
    ["put, state as it is", "PUT", `${U}/hello.service`, { desiredState: "launched" }, 204],
    ["put, same options", "PUT", `${U}/hello.service`, { desiredState: "loaded", options: optionsOf(HELLO) }, 204],
    ["put, other options", "PUT", `${U}/hello.service`, { desiredState: "loaded", options: optionsOf(OTHER) }, 201],
    ["put, other options without state", "PUT", `${U}/hello.service`, { options: optionsOf(OTHER) }, 201],
    ["put, unknown without options", "PUT", `${U}/new.service`, { desiredState: "loaded" }, 409],
    ["put, unknown, empty body", "PUT", `${U}/new.service`, {}, 409],
    ["put, known without state", "PUT", `${U}/hello.service`, {}, 409],
    ["put, known, same options, no state", "PUT", `${U}/hello.service`, { options: optionsOf(HELLO) }, 409],
    ["put, bad name", "PUT", `${U}/hello`, { options: optionsOf(HELLO) }, 400],
    ["put, name with a slash", "PUT", `${U}/a%2Fb.service`, { options: optionsOf(HELLO) }, 400],
    ["put, bad options", "PUT", `${U}/n.service`, { options: [{ section: "a]\n[b", name: "x", value: "y" }] }, 400],
    [
      "put, contradiction",
      "PUT",
      `${U}/n.service`,
      {
        options: [
          { section: "X-Fleet", name: "Global", value: "true" },
          { section: "X-Fleet", name: "MachineID", value: M1 },
        ],
      },
      400,
    ],
    ["put, unknown state", "PUT", `${U}/hello.service`, { desiredState: "running" }, 400],
    ["put, template launched", "PUT", `${U}/a@.service`, { desiredState: "launched", options: optionsOf(HELLO) }, 400],
    ["put, template loaded", "PUT", `${U}/a@.service`, { desiredState: "loaded" }, 400],
    ["put, template", "PUT", `${U}/a@.service`, { options: optionsOf(HELLO) }, 201],
    ["put, name differs from URL", "PUT", `${U}/a.service`, { name: "b.service", options: optionsOf(HELLO) }, 400],
    ["put, not JSON", "PUT", `${U}/a.service`, "{", 400],
    ["put, wrong type", "PUT", `${U}/a.service`, { options: "none" }, 400],
    ["put, null", "PUT", `${U}/a.service`, null, 400],
    ["put, too large", "PUT", `${U}/a.service`, "x".repeat(MAX_BODY_BYTES + 1), 413],
    ["delete", "DELETE", `${U}/hello.service`, undefined, 204],
    ["delete, unknown", "DELETE", `${U}/nobody.service`, undefined, 404],
    ["post a unit", "POST", `${U}/hello.service`, {}, 405],
    ["delete the list", "DELETE", U, undefined, 405],
    ["state", "GET", "/fleet/v1/state", undefined, 200],
    ["state of one without report", "GET", "/fleet/v1/state/hello.service", undefined, 404],
    ["state, another method", "PUT", "/fleet/v1/state", {}, 405],
    ["machines", "GET", "/fleet/v1/machines", undefined, 200],
    ["machines, another method", "POST", "/fleet/v1/machines", {}, 405],
    ["discovery", "GET", "/fleet/v1/discovery", undefined, 200],
    ["discovery, another method", "POST", "/fleet/v1/discovery", {}, 400],
    ["bare prefix", "GET", "/fleet/v1", undefined, 405],
    ["bare prefix, flt", "POST", "/flt/v1", {}, 405],
    ["root", "GET", "/", undefined, 405],
    ["unknown path", "GET", "/fleet/v1/nonsense", undefined, 404],
    ["unknown prefix", "GET", "/fleet/v2/units", undefined, 404],
    ["too deep", "GET", `${U}/hello.service/x/y`, undefined, 404],
    ["flt's own under fleet's prefix", "GET", "/fleet/v1/version", undefined, 404],
    ["version", "GET", "/flt/v1/version", undefined, 200],
    ["reasons of an unknown unit", "GET", "/flt/v1/units/nobody.service/reasons", undefined, 404],
    ["stale is a flag", "GET", "/flt/v1/units?stale=perhaps", undefined, 400],
    ["options", "OPTIONS", U, undefined, 405],
  ];
  for (const [what, method, path, sent, status] of cases) {
    test(`${status} ${method} ${what}`, async () => {
      const response = await world.ask(method, path, sent);
      expect(response.status).toBe(status);
      const text = await response.text();
      if (status >= 400) {
        const error = JSON.parse(text).error;
        expect(error.code).toBe(status);
        expect(error.message).not.toBe("");
        expect(world.fleet.writes.length).toBe(2);
      }
      if (status === 201 || status === 204) expect(text).toBe("");
    });
  }

  test("415 PUT another content type, or none", async () => {
    expect((await world.ask("PUT", "/fleet/v1/units/a.service", "{}", "text/plain")).status).toBe(415);
    expect((await world.api(new Request("http://localhost/fleet/v1/units/a.service", { method: "PUT" }))).status).toBe(
      415,
    );
    const withCharset = await world.ask(
      "PUT",
      "/fleet/v1/units/hello.service",
      '{"desiredState":"loaded"}',
      "Application/JSON; charset=utf-8",
    );
    expect(withCharset.status).toBe(204);
  });

  test("405 names what is allowed", async () => {
    expect((await world.ask("POST", "/fleet/v1/units/hello.service", {})).headers.get("allow")).toBe(
      "GET, PUT, DELETE",
    );
  });

  test("503 before the daemon is ready, for every path", async () => {
    world.change({ ready: () => "no leader has been found" });
    for (const path of ["/", "/fleet/v1/units", "/nonsense"]) {
      const response = await world.ask("GET", path);
      expect(response.status).toBe(503);
      expect(await response.text()).toContain("no leader has been found");
    }
  });

  test("a template that is to be activated is named", async () => {
    const response = await world.ask("PUT", "/fleet/v1/units/foo@.service", { desiredState: "launched" });
    expect(await response.json()).toEqual({ error: { code: 400, message: 'cannot activate template "foo@.service"' } });
  });
});

test("no request makes a fault: random methods, paths, queries and bodies", async () => {
  const piece = fc.oneof(
    fc.constantFrom("fleet", "flt", "v1", "units", "state", "machines", "events", "hello.service", "status", "..", "%"),
    fc.string({ maxLength: 8 }).map((text) => encodeURIComponent(text.toWellFormed())),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("GET", "PUT", "DELETE", "POST", "PATCH", "OPTIONS"),
      fc.array(piece, { maxLength: 6 }),
      fc.string({ maxLength: 12 }),
      fc.oneof(fc.json(), fc.string({ maxLength: 20 })),
      async (method, path, query, sent) => {
        const response = await world.ask(
          method,
          `/${path.join("/")}?${encodeURI(query.toWellFormed())}`,
          method === "GET" ? undefined : sent,
        );
        await response.body?.cancel();
        expect(response.status).not.toBe(500);
        expect(response.status).toBeLessThan(504);
      },
    ),
    { numRuns: 300 },
  );
  expect(world.logged).toEqual([]);
});
