/**
 * The JSON of spec/fleet.md section 6: what is left out, what is accepted, what is refused, and page tokens.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  errorEntity,
  machineEntity,
  machinePageEntity,
  unitEntity,
  unitPageEntity,
  unitStateEntity,
  unitStatePageEntity,
} from "./entities.ts";
import {
  EntityError,
  parseErrorEntity,
  parseMachine,
  parseMachinePatch,
  parseUnitPage,
  parseUnitPut,
} from "./entity-input.ts";
import { decodePageToken, encodePageToken, PageTokenError, pageOf } from "./page-token.ts";

const ID = "0123456789abcdef0123456789abcdef";

describe("empty strings, lists and maps are left out", () => {
  test("unit", () => {
    expect(
      unitEntity({
        name: "a.service",
        options: [
          { section: "Service", name: "ExecStart", value: "" },
          { section: "Service", name: "ExecStart", value: "/bin/true" },
        ],
        desiredState: "launched",
        currentState: "inactive",
        machineId: ID,
      }),
    ).toEqual({
      name: "a.service",
      options: [
        { section: "Service", name: "ExecStart" },
        { section: "Service", name: "ExecStart", value: "/bin/true" },
      ],
      desiredState: "launched",
      currentState: "inactive",
      machineID: ID,
    });
    expect(
      Object.keys(unitEntity({ name: "a.service", options: [], desiredState: "inactive", machineId: null })),
    ).toEqual(["name", "desiredState"]);
  });
  test("state, machine, pages, error", () => {
    const report = { name: "a.service", machineId: ID, hash: "", load: "loaded", active: "", sub: "" } as const;
    expect(unitStateEntity({ ...report, jobState: "loaded" })).toEqual({
      name: "a.service",
      machineID: ID,
      systemdLoadState: "loaded",
    });
    expect(machineEntity({ id: ID, publicIp: "", metadata: {}, version: "1", peerAddress: "" })).toEqual({ id: ID });
    for (const page of [unitPageEntity([]), unitStatePageEntity([]), machinePageEntity([])]) {
      expect(JSON.stringify(page)).toBe("{}");
    }
    expect(unitPageEntity([{ name: "a.service" }], "x")).toEqual({
      units: [{ name: "a.service" }],
      nextPageToken: "x",
    });
    expect(errorEntity(404, "gone")).toEqual({ error: { code: 404, message: "gone" } });
  });
});

describe("PUT /units/NAME", () => {
  test("fields may be absent, null or empty; a missing value is an empty assignment; unknown fields are ignored", () => {
    expect(parseUnitPut({})).toEqual({});
    expect(parseUnitPut({ name: "", desiredState: null, options: [], other: 1 })).toEqual({});
    const options = [{ section: "S", name: "x" }];
    expect(parseUnitPut({ name: "a.service", desiredState: "loaded", options })).toEqual({
      name: "a.service",
      desiredState: "loaded",
      options: [{ section: "S", name: "x", value: "" }],
    });
  });
  const cases: readonly (readonly [string, unknown, string])[] = [
    ["no object", [], "Object expected"],
    ["null", null, "Object expected"],
    ["a state that is none", { desiredState: "running" }, 'desiredState "running" is unknown, use one of inactive'],
    ["a state of the wrong type", { desiredState: 1 }, "desiredState: "],
    ["options that are no list", { options: {} }, "options: "],
    ["an option of the wrong type", { options: [{ section: "S", name: "x", value: 7 }] }, "options.0.value: "],
  ];
  for (const [what, json, message] of cases) {
    test(what, () => {
      expect(() => parseUnitPut(json)).toThrow(EntityError);
      expect(() => parseUnitPut(json)).toThrow(message);
    });
  }
});

describe("PATCH /machines", () => {
  test("add, replace and remove; a value plain or in an object; a slash in a key as JSON Pointer has it", () => {
    expect(
      parseMachinePatch([
        { op: "add", path: `/${ID}/metadata/region`, value: "us" },
        { op: "replace", path: `/${ID}/metadata/disk`, value: { value: "ssd" } },
        { op: "remove", path: `/${ID}/metadata/a~1b~0` },
      ]),
    ).toEqual([
      { machineId: ID, key: "region", value: "us" },
      { machineId: ID, key: "disk", value: "ssd" },
      { machineId: ID, key: "a/b~", value: null },
    ]);
    expect(parseMachinePatch([])).toEqual([]);
  });
  const path = `/${ID}/metadata/region`;
  const cases: readonly (readonly [string, unknown, string])[] = [
    ["no list", { op: "add" }, "Array expected"],
    ["unknown op", [{ op: "move", path, value: "x" }], 'operation 0: op "move" is unknown'],
    ["no op", [{ path, value: "x" }], 'op "" is unknown'],
    ["empty value", [{ op: "add", path, value: "" }], "operation 0: the value is empty"],
    ["no value", [{ op: "replace", path }], "the value is empty"],
    ["empty value in an object", [{ op: "add", path, value: {} }], "the value is empty"],
    ["a value with a line break", [{ op: "add", path, value: "a\nb" }], "control character"],
    ["short path", [{ op: "remove", path: `/${ID}/metadata` }], 'is not "/MACHINE/metadata/KEY"'],
    ["long path", [{ op: "remove", path: `${path}/x` }], 'is not "/MACHINE/metadata/KEY"'],
    ["another word", [{ op: "remove", path: `/${ID}/version/x` }], 'is not "/MACHINE/metadata/KEY"'],
    ["no machine id", [{ op: "remove", path: "/x/metadata/y" }], '"x" is no machine id'],
    ["a key that metadata cannot have", [{ op: "add", path: `/${ID}/metadata/a=b`, value: "c" }], '"a=b"'],
  ];
  for (const [what, json, message] of cases) {
    test(what, () => {
      const good = { op: "add", path, value: "x" };
      expect(() => parseMachinePatch(json)).toThrow(message);
      expect(() => parseMachinePatch(Array.isArray(json) ? [good, ...json] : json)).toThrow(EntityError);
    });
  }
});

test("a client reads pages leniently, and errors only when they are ours", () => {
  expect(parseUnitPage({})).toEqual({ units: [], nextPageToken: "" });
  expect(parseUnitPage({ units: [{ name: "a.service", machineID: null }] }).units?.[0]).toMatchObject({
    name: "a.service",
    machineID: "",
  });
  expect(() => parseUnitPage("<html>")).toThrow("Cannot read the units in the answer: Object expected");
  expect(parseErrorEntity({ error: { code: 400, message: "no" } })).toEqual({ error: { code: 400, message: "no" } });
  expect(parseErrorEntity("Bad Gateway")).toBeUndefined();
});

test("property: whatever JSON arrives is read or refused as an entity", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (json) => {
      for (const parse of [parseUnitPut, parseMachinePatch, parseUnitPage]) {
        try {
          parse(json);
        } catch (error) {
          expect(error).toBeInstanceOf(EntityError);
        }
      }
    }),
  );
});

describe("page tokens", () => {
  test("layout", () => {
    expect(encodePageToken({ limit: 100, page: 2 })).toBe("ZAACAA==");
    expect(decodePageToken("ZAACAA==", 100)).toEqual({ limit: 100, page: 2 });
  });
  test("property: what was given out is understood", () => {
    const number = fc.integer({ min: 1, max: 0xffff });
    fc.assert(
      fc.property(number, number, (limit, page) => {
        expect(decodePageToken(encodePageToken({ limit, page }), limit)).toEqual({ limit, page });
      }),
    );
  });
  const cases: readonly (readonly [string, string])[] = [
    ["", "it does not decode"],
    ["ZAACAA", "it does not decode"],
    ["ZAAC", "it does not decode"],
    ["ZA+CAA==", "it does not decode"],
    ["ZAACAAAA", "it does not decode"],
    ["ZAAAAA==", "pages count from 1"],
    ["ZQACAA==", "its limit is 101, this server's is 100"],
  ];
  for (const [token, message] of cases) {
    test(JSON.stringify(token), () => {
      expect(() => decodePageToken(token, 100)).toThrow(PageTokenError);
      expect(() => decodePageToken(token, 100)).toThrow(message);
    });
  }
  test("pages cover a list once, in order, and the last has no successor", () => {
    for (const total of [0, 1, 2, 3, 4, 5]) {
      const list = Array.from({ length: total }, (_, index) => index);
      const seen: number[] = [];
      let token: string | undefined = encodePageToken({ limit: 2, page: 1 });
      let pages = 0;
      while (token !== undefined) {
        const page: ReturnType<typeof pageOf<number>> = pageOf(list, decodePageToken(token, 2));
        seen.push(...page.items);
        token = page.nextPageToken;
        pages += 1;
      }
      expect(seen).toEqual(list);
      expect(pages).toBe(Math.max(1, Math.ceil(total / 2)));
    }
  });
  test("a page behind the end is empty", () => expect(pageOf([1, 2], { limit: 2, page: 9 })).toEqual({ items: [] }));
});

test("a machine in an answer: metadata of any names, and of texts only", () => {
  const json: unknown = JSON.parse('{"id":"x","metadata":{"__proto__":"a","constructor":"b"}}');
  expect(Object.entries(parseMachine(json).metadata ?? {})).toEqual([
    ["__proto__", "a"],
    ["constructor", "b"],
  ]);
  for (const metadata of [[], "x", { a: 1 }]) expect(() => parseMachine({ id: "x", metadata })).toThrow("metadata");
});
