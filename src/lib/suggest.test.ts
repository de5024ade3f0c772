/**
 * What counts as near.
 *
 * @module
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { didYouMean, editDistance, nearestWord } from "./suggest.ts";

const COMMANDS = ["start", "stop", "status", "list-units", "list-machines"];

test("typing mistakes find their word, other words find none", () => {
  expect(nearestWord("strat", COMMANDS)).toBe("start");
  expect(nearestWord("list_unit", COMMANDS)).toBe("list-units");
  expect(nearestWord("STATUS", COMMANDS)).toBe("status");
  expect(nearestWord("frobnicate", COMMANDS)).toBeUndefined();
  expect(nearestWord("", COMMANDS)).toBeUndefined();
  expect(nearestWord("s".repeat(10_000), COMMANDS)).toBeUndefined();
  expect(didYouMean("stp", COMMANDS)).toBe('. Did you mean "stop"?');
  expect(didYouMean("stp", COMMANDS, "--")).toBe('. Did you mean "--stop"?');
  expect(didYouMean("xyz", COMMANDS)).toBe("");
});

test("property: the distance is one", () => {
  const word = fc.string({ unit: fc.constantFrom(..."abc"), maxLength: 6 });
  fc.assert(
    fc.property(word, word, (one, other) => {
      const distance = editDistance(one, other);
      expect(distance).toBe(editDistance(other, one));
      expect(distance === 0).toBe(one === other);
      expect(distance).toBeLessThanOrEqual(Math.max(one.length, other.length));
      expect(distance).toBeGreaterThanOrEqual(Math.abs(one.length - other.length));
    }),
  );
});
