import { describe, expect, test } from "bun:test";
import { machineId } from "../../test/fakes/registry-world.ts";
import { decodeText, encodeText } from "../lib/text.ts";
import { Keys } from "./keys.ts";

const keys = new Keys("/p");
const id = machineId(7);
const hash = "a".repeat(40);

describe("Keys", () => {
  test.each([
    [keys.unit(hash), `/p/unit/${hash}`, { kind: "unit", hash }],
    [keys.job("a.service"), "/p/job/a.service", { kind: "job", name: "a.service" }],
    [keys.reason("a.service"), "/p/reason/a.service", { kind: "reason", name: "a.service" }],
    [
      keys.schedule(id, "a.service"),
      `/p/schedule/${id}/a.service`,
      { kind: "schedule", machineId: id, name: "a.service" },
    ],
    [keys.state(id, "a.service"), `/p/state/${id}/a.service`, { kind: "state", machineId: id, name: "a.service" }],
    [keys.machine(id), `/p/machine/${id}`, { kind: "machine", machineId: id }],
    [keys.address(id), `/p/address/${id}`, { kind: "address", machineId: id }],
    [keys.metadata(id, "a/b"), `/p/metadata/${id}/a/b`, { kind: "metadata", machineId: id, key: "a/b" }],
    [keys.leader, "/p/leader", { kind: "leader" }],
  ])("%#: there and back", (key, text, parsed) => {
    expect(decodeText(key)).toBe(text);
    expect(keys.parse(key)).toEqual(parsed as ReturnType<Keys["parse"]>);
  });

  test.each([
    "/q/leader",
    "/p/",
    "/p/job/",
    "/p/job/a/b",
    "/p/unit/xyz",
    "/p/schedule/short/a",
    `/p/state/${id}`,
    "/p/new/thing",
  ])("passes over %s", (text) => {
    expect(keys.parse(encodeText(text))).toBeNull();
  });

  test("lets no name reach into another record's place", () => {
    expect(() => keys.job("../leader")).toThrow("holds a slash");
    expect(() => keys.job("")).toThrow("empty");
    expect(() => keys.schedule("..", "a")).toThrow("not 32 hex digits");
    expect(() => keys.unit("A".repeat(40))).toThrow("not 40 hex digits");
    expect(() => keys.metadata(id, "")).toThrow("empty");
  });
});
