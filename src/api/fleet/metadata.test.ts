/**
 * PATCH /machines: what is done, and what is refused before anything is.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { ApiWorld, M1 } from "../../../test/fakes/api-world.ts";

let world: ApiWorld;
beforeEach(async () => {
  world = await ApiWorld.make();
});

describe("PATCH /machines", () => {
  const edit = (ops: unknown): Promise<Response> => world.ask("PATCH", "/fleet/v1/machines", ops);
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
    expect(world.fleet.machine(M1)?.metadata).toEqual({ region: "us", disk: "ssd", "a/b~c": "x" });
  });

  test("a machine that is not registered is accepted, and so is an empty list", async () => {
    const stranger = "9".repeat(32);
    expect((await edit([{ op: "add", path: path("k", stranger), value: "v" }])).status).toBe(204);
    expect(world.fleet.writes.at(-1)).toBe(`metadata ${stranger} k v`);
    expect((await edit([])).status).toBe(204);
  });

  test("more edits than one transaction holds are refused, and none is done", async () => {
    const edits = Array.from({ length: 129 }, (_, index) => ({ op: "add", path: path(`k${index}`), value: "v" }));
    expect((await edit(edits)).status).toBe(413);
    expect(world.fleet.machine(M1)?.metadata).toEqual({ region: "eu" });
    expect((await edit(edits.slice(1))).status).toBe(204);
  });

  test("whatever the Content-Type says: fleet never looked", async () => {
    const body = JSON.stringify([{ op: "remove", path: path("region") }]);
    expect((await world.ask("PATCH", "/fleet/v1/machines", body, "application/x-www-form-urlencoded")).status).toBe(
      204,
    );
    expect(world.fleet.machine(M1)?.metadata).toEqual({});
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
      const writes = world.fleet.writes.length;
      const response = await edit(sent);
      expect(response.status).toBe(400);
      expect(await response.text()).toContain(words);
      expect(world.fleet.writes.length).toBe(writes);
    });
  }
});
