/**
 * The fleet API called as a function: every status of the contract (fleet's API, /fleet/v1), and what it costs to read.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FakeFleet } from "../../../test/fakes/fake-fleet.ts";
import { ManualClock } from "../../../test/fakes/manual-clock.ts";
import { CountingMetrics } from "../../../test/fakes/metrics.ts";
import { type Log, SILENT_LOG } from "../../lib/log.ts";
import { encodePageToken } from "../../model/page-token.ts";
import { parseUnitFile } from "../../model/unit-file.ts";
import { BrokenRequestError } from "../../platform/http-connections.ts";
import { KvError } from "../../registry/types.ts";
import { createFleetApi, type FleetApi, type FleetApiPorts, MAX_BODY_BYTES } from "./index.ts";

const M1 = "113f16a7000000000000000000000001";
const M2 = "2222222200000000000000000000000a";
const HELLO = parseUnitFile("[Unit]\nDescription=Hello\n[Service]\nExecStart=/bin/true\nExecStart=\n");
const OTHER = parseUnitFile("[Service]\nExecStart=/bin/false\n");
const GLOBAL = parseUnitFile("[Service]\nExecStart=/bin/true\n[X-Fleet]\nGlobal=true\n");

let fleet: FakeFleet;
let api: FleetApi;
let logged: string[];

function ports(changes: Partial<FleetApiPorts> = {}): FleetApiPorts {
  const log: Log = { ...SILENT_LOG, error: (message) => logged.push(message) };
  return {
    view: fleet,
    units: fleet,
    machines: fleet,
    machineCalls: {
      unitStatus: () => {
        throw new Error("not in this test");
      },
      unitJournal: () => {
        throw new Error("not in this test");
      },
    },
    ready: () => true,
    tokenLimit: 3,
    version: "0.1.0",
    machineId: M1,
    log,
    clock: new ManualClock(),
    ...changes,
  };
}

async function ask(method: string, path: string, body?: unknown, type = "application/json"): Promise<Response> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return await api(
    new Request(`http://localhost${path}`, {
      method,
      ...(body === undefined ? {} : { body: text, headers: { "content-type": type } }),
    }),
  );
}

async function body(response: Response): Promise<unknown> {
  return JSON.parse(await response.text());
}

beforeEach(async () => {
  logged = [];
  fleet = new FakeFleet();
  fleet.addMachine(M1, "172.17.8.103", { region: "eu" });
  fleet.addMachine(M2, "172.17.8.104");
  await fleet.putUnit("hello.service", HELLO, "launched");
  await fleet.putUnit("everywhere.service", GLOBAL, "launched");
  api = createFleetApi(ports());
});

const options = (file: typeof HELLO): object[] => file.map((option) => ({ ...option }));

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
    ["put, new", "PUT", `${U}/new.service`, { desiredState: "loaded", options: options(HELLO) }, 201],
    ["put, new without state", "PUT", `${U}/new.service`, { options: options(HELLO) }, 201],
    ["put, charset", "PUT", `${U}/new.service`, { options: options(HELLO), name: "new.service" }, 201],
    ["put, state changed", "PUT", `${U}/hello.service`, { desiredState: "loaded" }, 204],
    ["put, state as it is", "PUT", `${U}/hello.service`, { desiredState: "launched" }, 204],
    ["put, same options", "PUT", `${U}/hello.service`, { desiredState: "loaded", options: options(HELLO) }, 204],
    ["put, other options", "PUT", `${U}/hello.service`, { desiredState: "loaded", options: options(OTHER) }, 201],
    ["put, other options without state", "PUT", `${U}/hello.service`, { options: options(OTHER) }, 201],
    ["put, unknown without options", "PUT", `${U}/new.service`, { desiredState: "loaded" }, 409],
    ["put, unknown, empty body", "PUT", `${U}/new.service`, {}, 409],
    ["put, known without state", "PUT", `${U}/hello.service`, {}, 409],
    ["put, known, same options, no state", "PUT", `${U}/hello.service`, { options: options(HELLO) }, 409],
    ["put, bad name", "PUT", `${U}/hello`, { options: options(HELLO) }, 400],
    ["put, name with a slash", "PUT", `${U}/a%2Fb.service`, { options: options(HELLO) }, 400],
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
    ["put, template launched", "PUT", `${U}/a@.service`, { desiredState: "launched", options: options(HELLO) }, 400],
    ["put, template loaded", "PUT", `${U}/a@.service`, { desiredState: "loaded" }, 400],
    ["put, template", "PUT", `${U}/a@.service`, { options: options(HELLO) }, 201],
    ["put, name differs from URL", "PUT", `${U}/a.service`, { name: "b.service", options: options(HELLO) }, 400],
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
      const response = await ask(method, path, sent);
      expect(response.status).toBe(status);
      const text = await response.text();
      if (status >= 400) {
        const error = JSON.parse(text).error;
        expect(error.code).toBe(status);
        expect(error.message).not.toBe("");
        expect(fleet.writes.length).toBe(2);
      }
      if (status === 201 || status === 204) expect(text).toBe("");
    });
  }

  test("415 PUT another content type, or none", async () => {
    expect((await ask("PUT", "/fleet/v1/units/a.service", "{}", "text/plain")).status).toBe(415);
    expect((await api(new Request("http://localhost/fleet/v1/units/a.service", { method: "PUT" }))).status).toBe(415);
    const withCharset = await ask(
      "PUT",
      "/fleet/v1/units/hello.service",
      '{"desiredState":"loaded"}',
      "Application/JSON; charset=utf-8",
    );
    expect(withCharset.status).toBe(204);
  });

  test("405 names what is allowed", async () => {
    expect((await ask("POST", "/fleet/v1/units/hello.service", {})).headers.get("allow")).toBe("GET, PUT, DELETE");
  });

  test("503 before the daemon is ready, for every path", async () => {
    api = createFleetApi(ports({ ready: () => "no leader has been found" }));
    for (const path of ["/", "/fleet/v1/units", "/nonsense"]) {
      const response = await ask("GET", path);
      expect(response.status).toBe(503);
      expect(await response.text()).toContain("no leader has been found");
    }
  });

  test("a template that is to be activated is named", async () => {
    const response = await ask("PUT", "/fleet/v1/units/foo@.service", { desiredState: "launched" });
    expect(await body(response)).toEqual({ error: { code: 400, message: 'cannot activate template "foo@.service"' } });
  });
});

describe("entities", () => {
  test("units: empty values left out, the target's report is the current state, globals have neither", async () => {
    fleet.place("hello.service", M1);
    const before = await body(await ask("GET", "/fleet/v1/units/hello.service"));
    expect(before).toEqual({
      name: "hello.service",
      options: [
        { section: "Unit", name: "Description", value: "Hello" },
        { section: "Service", name: "ExecStart", value: "/bin/true" },
        { section: "Service", name: "ExecStart" },
      ],
      desiredState: "launched",
      currentState: "inactive",
      machineID: M1,
    });
    fleet.setReport({ name: "hello.service", machineId: M1 });
    expect(await body(await ask("GET", "/fleet/v1/units/hello.service"))).toHaveProperty("currentState", "launched");
    const everywhere = await body(await ask("GET", "/fleet/v1/units/everywhere.service"));
    expect(everywhere).not.toHaveProperty("currentState");
    expect(everywhere).not.toHaveProperty("machineID");
  });

  test("a replacement without desiredState becomes inactive", async () => {
    await ask("PUT", "/fleet/v1/units/hello.service", { options: options(OTHER) });
    expect(fleet.job("hello.service")?.desiredState).toBe("inactive");
  });

  test("no items at all: {}", async () => {
    fleet = new FakeFleet();
    api = createFleetApi(ports());
    for (const path of ["units", "state", "machines"]) {
      expect(await (await ask("GET", `/fleet/v1/${path}`)).text()).toBe("{}");
    }
  });

  test("pages follow one another and cover everything once, in order", async () => {
    for (const letter of "gfedcba") await fleet.putUnit(`${letter}.service`, OTHER, "inactive");
    const names: string[] = [];
    let token = "";
    for (let page = 0; page < 10; page++) {
      const answer = (await body(await ask("GET", `/fleet/v1/units?nextPageToken=${token}`))) as {
        units: { name: string }[];
        nextPageToken?: string;
      };
      expect(answer.units.length).toBeLessThanOrEqual(3);
      names.push(...answer.units.map((unit) => unit.name));
      if (answer.nextPageToken === undefined) break;
      token = answer.nextPageToken;
    }
    expect(names).toEqual(fleet.jobs().map((job) => job.name));
    expect(names.length).toBe(9);
  });

  test("state: filters by machine and unit; of one unit the target's report", async () => {
    fleet.setReport({ name: "hello.service", machineId: M1, active: "inactive", sub: "dead" });
    fleet.setReport({ name: "hello.service", machineId: M2 });
    fleet.setReport({ name: "everywhere.service", machineId: M1 });
    fleet.place("hello.service", M2);
    const list = async (query: string): Promise<string[]> => {
      const answer = (await body(await ask("GET", `/fleet/v1/state${query}`))) as {
        states?: { name: string; machineID: string }[];
      };
      return (answer.states ?? []).map((state) => `${state.name} ${state.machineID}`);
    };
    expect(await list("")).toEqual([`everywhere.service ${M1}`, `hello.service ${M1}`, `hello.service ${M2}`]);
    expect(await list(`?machineID=${M1}`)).toEqual([`everywhere.service ${M1}`, `hello.service ${M1}`]);
    expect(await list(`?unitName=hello.service&machineID=${M2}`)).toEqual([`hello.service ${M2}`]);
    expect(await list("?unitName=nobody.service")).toEqual([]);
    expect(await body(await ask("GET", "/fleet/v1/state/hello.service"))).toEqual({
      name: "hello.service",
      hash: fleet.job("hello.service")?.hash,
      machineID: M2,
      systemdLoadState: "loaded",
      systemdActiveState: "active",
      systemdSubState: "running",
    });
  });

  test("machines and version", async () => {
    expect(await body(await ask("GET", "/fleet/v1/machines"))).toEqual({
      machines: [
        { id: M1, primaryIP: "172.17.8.103", metadata: { region: "eu" } },
        { id: M2, primaryIP: "172.17.8.104" },
      ],
    });
    api = createFleetApi(ports({ leader: () => M2 }));
    expect(await body(await ask("GET", "/flt/v1/version"))).toEqual({ version: "0.1.0", machineID: M1, leader: M2 });
  });

  test("reasons say why a unit is nowhere", async () => {
    fleet.setReasons("hello.service", [{ machineId: M1, reason: "it has no ssd" }]);
    const reasons = [{ machineID: M1, reason: "it has no ssd" }];
    expect(await body(await ask("GET", "/flt/v1/units/hello.service/reasons"))).toEqual({ reasons });
    expect(await body(await ask("GET", "/flt/v1/units/hello.service"))).toMatchObject({ reasons });
    expect(await body(await ask("GET", "/fleet/v1/units/hello.service"))).not.toHaveProperty("reasons");
  });
});

describe("PATCH /machines", () => {
  const edit = (ops: unknown): Promise<Response> => ask("PATCH", "/fleet/v1/machines", ops);
  const path = (key: string, id = M1): string => `/${id}/metadata/${key}`;

  test("add, replace and remove, as a string or as fleet's object; the later one of two counts", async () => {
    const response = await edit([
      { op: "add", path: path("disk"), value: "ssd" },
      { op: "replace", path: path("region"), value: { value: "us" } },
      { op: "add", path: path("a~1b~0c"), value: "x" },
      { op: "add", path: path("gone"), value: "x" },
      { op: "remove", path: path("gone") },
    ]);
    expect(response.status).toBe(204);
    expect(await response.text()).toBe("");
    expect(fleet.machine(M1)?.metadata).toEqual({ region: "us", disk: "ssd", "a/b~c": "x" });
  });

  test("a machine that is not registered is accepted, and so is an empty list", async () => {
    const stranger = "9".repeat(32);
    expect((await edit([{ op: "add", path: path("k", stranger), value: "v" }])).status).toBe(204);
    expect(fleet.writes.at(-1)).toBe(`metadata ${stranger} k v`);
    expect((await edit([])).status).toBe(204);
  });

  test("more edits than one transaction holds are refused, and none is done", async () => {
    const edits = Array.from({ length: 129 }, (_, index) => ({ op: "add", path: path(`k${index}`), value: "v" }));
    expect((await edit(edits)).status).toBe(413);
    expect(fleet.machine(M1)?.metadata).toEqual({ region: "eu" });
    expect((await edit(edits.slice(1))).status).toBe(204);
  });

  test("whatever the Content-Type says: fleet never looked", async () => {
    const body = JSON.stringify([{ op: "remove", path: path("region") }]);
    expect((await ask("PATCH", "/fleet/v1/machines", body, "application/x-www-form-urlencoded")).status).toBe(204);
    expect(fleet.machine(M1)?.metadata).toEqual({});
  });

  const good = { op: "add", path: path("k"), value: "v" };
  const bad: readonly (readonly [what: string, body: unknown, words: string])[] = [
    ["unknown op", [good, { op: "test", path: path("k"), value: "v" }], "add, remove or replace"],
    ["no op", [good, { path: path("k"), value: "v" }], "op"],
    ["empty value", [good, { op: "add", path: path("k"), value: "" }], "value is empty"],
    ["no value", [good, { op: "replace", path: path("k") }], "value is empty"],
    ["fleet's object, empty", [good, { op: "add", path: path("k"), value: {} }], "value is empty"],
    ["value of another type", [good, { op: "add", path: path("k"), value: 7 }], "value"],
    ["no key", [good, { op: "add", path: path(""), value: "v" }], "metadata/KEY"],
    ["too deep", [good, { op: "add", path: path("a/b"), value: "v" }], "metadata/KEY"],
    ["not metadata", [good, { op: "add", path: `/${M1}/version/k`, value: "v" }], "metadata/KEY"],
    ["no leading slash", [good, { op: "add", path: `${M1}/metadata/k`, value: "v" }], "metadata/KEY"],
    ["no machine id", [good, { op: "add", path: "/web1/metadata/k", value: "v" }], "32 hex digits"],
    ["a key that no list could hold", [good, { op: "add", path: path("a=b"), value: "v" }], "contains"],
    ["no list", good, "Array"],
    ["not JSON", "{", "not JSON"],
  ];
  for (const [what, sent, words] of bad) {
    test(`400 ${what}, and nothing is done`, async () => {
      const writes = fleet.writes.length;
      const response = await edit(sent);
      expect(response.status).toBe(400);
      expect(await response.text()).toContain(words);
      expect(fleet.writes.length).toBe(writes);
    });
  }
});

test("metrics: beside the API, ready or not; 404 where there are none", async () => {
  expect((await ask("GET", "/metrics")).status).toBe(404);
  const metricsText = async () => ({ text: "flt_up 1\n", contentType: "text/plain; version=0.0.4" });
  api = createFleetApi(ports({ metricsText, ready: () => "not yet" }));
  const response = await ask("GET", "/metrics");
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4");
  expect(await response.text()).toBe("flt_up 1\n");
  expect((await ask("POST", "/metrics", {})).status).toBe(405);
});

test("requests are counted by operation and status; no name from a path becomes a label", async () => {
  const metrics = new CountingMetrics();
  api = createFleetApi(ports({ metrics }));
  await ask("GET", "/fleet/v1/units/hello.service");
  await ask("GET", "/flt/v1/units/hello.service");
  await ask("GET", "/fleet/v1/units/nobody.service");
  await ask("GET", "/nowhere");
  await ask("POST", "/fleet/v1/units", {});
  expect(Object.fromEntries(metrics.values)).toEqual({
    "flt_api_requests_total{operation=getUnit,status=200}": 2,
    "flt_api_requests_total{operation=getUnit,status=404}": 1,
    "flt_api_requests_total{operation=none,status=404}": 1,
    "flt_api_requests_total{operation=none,status=405}": 1,
    "flt_api_request_duration_seconds{operation=getUnit}": 3,
    "flt_api_request_duration_seconds{operation=none}": 2,
  });
});

describe("the cluster refuses", () => {
  const cases = [
    ["unavailable", 503, "try again"],
    ["unknown-fate", 504, "may or may not have happened"],
    ["request-too-large", 413, ""],
    ["no-space", 507, "disk is full"],
    ["closed", 503, "stopping"],
  ] as const;
  for (const [code, status, words] of cases) {
    test(`a write: ${code} is ${status}`, async () => {
      fleet.failure = new KvError(code, "the store said so");
      const response = await ask("PUT", "/fleet/v1/units/hello.service", { desiredState: "loaded" });
      expect(response.status).toBe(status);
      const text = await response.text();
      expect(text).toContain(words);
      expect(text).toContain("the store said so");
    });
  }

  test("a read without quorum is 503, unless stale will do", async () => {
    fleet.failure = new KvError("unavailable", "no quorum");
    expect((await ask("GET", "/fleet/v1/units")).status).toBe(503);
    expect((await ask("GET", "/flt/v1/events")).status).toBe(503);
    expect((await ask("GET", "/fleet/v1/units?stale=true")).status).toBe(503);
    expect((await ask("GET", "/flt/v1/units?stale=true")).status).toBe(200);
  });

  test("a fault of ours is 500, logged, and tells nothing of itself", async () => {
    const broken = new FakeFleet();
    broken.sync = () => Promise.reject(new Error("secret detail"));
    api = createFleetApi(ports({ view: broken }));
    const response = await ask("GET", "/fleet/v1/units");
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("secret");
    expect(logged[0]).toContain("secret detail");
  });

  test("every read asks the cluster first, every write is left to the registry alone", async () => {
    const before = fleet.syncs;
    await ask("PUT", "/fleet/v1/units/x.service", { desiredState: "launched", options: options(OTHER) });
    await ask("DELETE", "/fleet/v1/units/x.service");
    expect(fleet.syncs).toBe(before);
    for (const path of ["units", "units/hello.service", "state", "machines"]) await ask("GET", `/fleet/v1/${path}`);
    expect(fleet.syncs).toBe(before + 4);
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
        const response = await ask(
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
  expect(logged).toEqual([]);
});

test("a client that leaves in the middle of its body is refused, and is no fault worth a line in the log", async () => {
  const body = new ReadableStream({ pull: (controller) => controller.error(new BrokenRequestError()) });
  const headers = { "content-type": "application/json" };
  const response = await api(
    new Request("http://localhost/fleet/v1/units/a.service", { method: "PUT", headers, body }),
  );
  expect(response.status).toBe(400);
  expect(logged).toEqual([]);
});
