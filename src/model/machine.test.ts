/**
 * Machine ids and metadata (spec/fleet.md sections 1, 6 and 8).
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import {
  formatMetadata,
  MachineIdError,
  MetadataError,
  matchesMachineId,
  overlayMetadata,
  parseMachineId,
  parseMetadata,
  shortMachineId,
} from "./machine.ts";

const ID = "0123456789abcdef0123456789abcdef";

describe("machine id", () => {
  test("as systemd writes it", () => {
    expect(parseMachineId(`${ID}\n`)).toBe(ID);
    expect(parseMachineId(ID.toUpperCase())).toBe(ID);
    expect(shortMachineId(ID)).toBe("01234567");
  });
  for (const text of ["", "uninitialized\n", "0123", `${ID}0`, "x".repeat(32), "0".repeat(32)]) {
    test(`${JSON.stringify(text)} is refused`, () => expect(() => parseMachineId(text)).toThrow(MachineIdError));
  }
  test("named by all of it or by its first 8 digits, nothing between", () => {
    expect(matchesMachineId(ID, ID)).toBe(true);
    expect(matchesMachineId(ID, "01234567")).toBe(true);
    expect(matchesMachineId(ID, "012345678")).toBe(false);
    expect(matchesMachineId(ID, "0123456")).toBe(false);
    expect(matchesMachineId(ID, "")).toBe(false);
  });
});

describe("metadata", () => {
  const cases: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ["", {}],
    [" , ", {}],
    ["region=us-west", { region: "us-west" }],
    ["region=us-west,az=us-west-1", { region: "us-west", az: "us-west-1" }],
    [' "region" = "us-west" , az = us-west-1 ', { region: "us-west", az: "us-west-1" }],
    ['"region=us-west,az=1"', { region: "us-west", az: "1" }],
    ['"a=1", "b=2"', { a: "1", b: "2" }],
    ["a=1,a=2", { a: "2" }],
    ["a=", { a: "" }],
    ["a=b=c", { a: "b=c" }],
    ['a="b,c"', { a: "b,c" }],
    ["node.example/role=web", { "node.example/role": "web" }],
  ];
  for (const [text, metadata] of cases) {
    test(JSON.stringify(text), () => expect(parseMetadata(text)).toEqual(metadata));
  }
  for (const text of ["a", "=b", "a=b,c", 'a="b', "a=b\nc", '"a"b=c']) {
    test(`${JSON.stringify(text)} is refused`, () => expect(() => parseMetadata(text)).toThrow(MetadataError));
  }
  test("is written sorted", () => expect(formatMetadata({ b: "2", a: "1" })).toBe("a=1,b=2"));
});

test("edits win over the configuration, a removed key hides the configured one", () => {
  const edits = new Map([
    ["region", "eu"],
    ["disk", null],
    ["absent", null],
    ["rack", "7"],
  ]);
  const configured = { region: "us", disk: "ssd", az: "1" };
  expect(overlayMetadata(configured, edits)).toEqual({ region: "eu", az: "1", rack: "7" });
  expect(configured).toEqual({ region: "us", disk: "ssd", az: "1" });
});
