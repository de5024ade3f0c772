/**
 * Patterns of the command line beside what systemctl 252 matched with them.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { compileUnitPattern, isUnitPattern, matchesSome } from "./unit-pattern.ts";

test("what is a pattern: one of * ? [ makes it one, a backslash does not", () => {
  expect(["*", "web@?", "a[bc].service"].map(isUnitPattern)).toEqual([true, true, true]);
  expect(["web@1.service", "dev-a\\x2db.device", "", "a]b"].map(isUnitPattern)).toEqual([false, false, false, false]);
});

test.each([
  ["*", "a.service", true],
  ["t*", "timers.target", true],
  ["t[ab].*", "tb.service", true],
  ["t[a-b]*", "tc.service", false],
  ["t[!ab].service", "tc.service", true],
  ["t[^ab].service", "ta.service", false],
  ["t?", "ta.service", false],
  ["web@?.service", "web@1.service", true],
  ["web@?.service", "web@10.service", false],
  ["a\\x2d*", "a\\x2db.service", true],
  ["a\\x2d*", "ax2db.service", false],
  ["hello.service", "hello.service", true],
])("%p on %p: %p", (pattern, name, expected) => {
  expect(compileUnitPattern(pattern).matches(name)).toBe(expected);
});

test("a class without end is refused, and names the pattern", () => {
  expect(() => compileUnitPattern("web[1")).toThrow('Cannot use pattern "web[1"');
});

test("no patterns: everything; several: any of them", () => {
  const two = ["a*", "b*"].map(compileUnitPattern);
  expect(matchesSome([], "x")).toBe(true);
  expect(matchesSome(two, "beta")).toBe(true);
  expect(matchesSome(two, "gamma")).toBe(false);
});
