/**
 * Go's durations.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { formatDuration, parseDuration, parseSeconds } from "./duration.ts";

describe("durations", () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ["4s", 4000],
    ["1m30s", 90_000],
    ["500ms", 500],
    ["1.5h", 5_400_000],
    [".5s", 500],
    ["250us", 0.25],
    ["0", 0],
    ["0s", 0],
    [" 4s ", 4000],
    ["", undefined],
    ["4", undefined],
    ["s", undefined],
    ["-4s", undefined],
    ["4 s", undefined],
    ["4d", undefined],
    ["4sx", undefined],
    [".s", undefined],
  ];
  for (const [text, durationMs] of cases) {
    test(JSON.stringify(text), () => expect(parseDuration(text)).toBe(durationMs));
  }
});

test("bare numbers are seconds where they are allowed", () => {
  expect(parseSeconds("1.5")).toBe(1500);
  expect(parseSeconds("2s")).toBe(2000);
  expect(parseSeconds("2x")).toBeUndefined();
});

test("what is written is read again", () => {
  for (const durationMs of [0, 1, 500, 1000, 1500, 90_000, 3_600_000, 5_400_000, 3_661_500]) {
    expect(parseDuration(formatDuration(durationMs))).toBe(durationMs);
  }
  expect(formatDuration(90_000)).toBe("1m30s");
});
