/**
 * The rules of Go's path.Match, as its documentation states them, and an oracle made of regular expressions.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { escapeGlob, GlobError, matchGlob } from "./glob.ts";

describe("patterns", () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["abc", "abc", true],
    ["abc", "abcd", false],
    ["", "", true],
    ["", "a", false],
    ["*", "", true],
    ["*", "abc", true],
    ["*", "a/c", false],
    ["*c", "abc", true],
    ["a*", "a", true],
    ["a*", "ab/c", false],
    ["a*/b", "abc/b", true],
    ["a*/b", "a/c/b", false],
    ["a*b*c*d*e*", "axbxcxdxe", true],
    ["a*b?c*x", "abxbbxdbxebxczzx", true],
    ["a*b?c*x", "abxbbxdbxebxczzy", false],
    ["**.service", "x.service", true],
    ["apache@*.service", "apache@1.service", true],
    ["apache@*.service", "apache.service", false],
    ["?", "a", true],
    ["?", "é", true],
    ["?", "🙂", true],
    ["?", "", false],
    ["?", "/", false],
    ["a[bc]d", "acd", true],
    ["[a-c]", "b", true],
    ["[a-c]", "d", false],
    ["[^a-c]", "d", true],
    ["[^a-c]", "b", false],
    ["[^a]", "/", true],
    ["[a-cx-z]", "y", true],
    ["[z-a]", "m", false],
    ["[\\]a]", "]", true],
    ["[\\-x]", "-", true],
    ["[x\\-z]", "y", false],
    ["[!a]", "!", true],
    ["a\\*b", "a*b", true],
    ["a\\*b", "axb", false],
    ["\\a", "a", true],
    ["a-b", "a-b", true],
    ["a]b", "a]b", true],
    ["web@?.[st]*", "web@1.service", true],
  ];
  for (const [pattern, text, matches] of cases) {
    test(`${pattern} ${matches ? "matches" : "does not match"} ${JSON.stringify(text)}`, () => {
      expect(matchGlob(pattern, text)).toBe(matches);
    });
  }
});

describe("malformed patterns are refused even where the match fails before", () => {
  for (const pattern of ["[", "[a", "[]a]", "[^", "[^]", "[-]", "[a-]", "[-x]", "[a-b-c]", "a\\", "[a\\", "x*["]) {
    test(pattern, () => {
      expect(() => matchGlob(pattern, "zzz")).toThrow(GlobError);
      expect(() => matchGlob(pattern, "zzz")).toThrow(JSON.stringify(pattern));
    });
  }
});

const REGEXP_OF_PIECE = new Map([
  ["*", ".*"],
  ["?", "."],
  [".", "\\."],
]);

test('property: without "/" a pattern means what the obvious regular expression means', () => {
  const piece = fc.constantFrom("a", "b", "*", "?", "[ab]", "[^a]", "\\*", ".");
  fc.assert(
    fc.property(fc.array(piece), fc.string({ unit: fc.constantFrom(..."ab*.") }), (pieces, text) => {
      const source = pieces.map((part) => REGEXP_OF_PIECE.get(part) ?? part).join("");
      expect(matchGlob(pieces.join(""), text)).toBe(new RegExp(`^${source}$`).test(text));
    }),
    { numRuns: 2000 },
  );
});

test("property: an escaped text matches itself and nothing near it", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (text, other) => {
      expect(matchGlob(escapeGlob(text), text)).toBe(true);
      expect(matchGlob(escapeGlob(text), other)).toBe(text === other);
    }),
  );
});

test("a pattern made to go wrong takes no noticeable time", () => {
  expect(matchGlob(`${"a*".repeat(100)}b`, "a".repeat(256))).toBe(false);
});
