/**
 * YAML that every reader takes for what it was: compared with a reader that is not ours.
 *
 * @module
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Plain, renderYaml } from "./yaml.ts";

test("what a list looks like", () => {
  const rows = [
    { unit: "a.service", global: false, hash: null, metadata: { disk: "ssd", "a.b": "12:30" }, names: ["x"] },
    { unit: "b.service", global: true, hash: "12e4", metadata: {}, names: [] },
  ];
  expect(renderYaml(rows)).toBe(`- unit: "a.service"
  global: false
  hash: null
  metadata:
    disk: "ssd"
    "a.b": "12:30"
  names:
    - "x"
- unit: "b.service"
  global: true
  hash: "12e4"
  metadata: {}
  names: []
`);
  expect(renderYaml([])).toBe("[]\n");
});

const plain = fc.letrec<{ value: Plain }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.string({ unit: "grapheme" }),
    fc.constantFrom("no", "12:30", "2026-01-31", "~", "- x", "a: b", "\u2028", "\x1b[1m", "a\nb", "null"),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("no", "a b", "#x")), tie("value"), {
      maxKeys: 3,
      noNullPrototype: true,
    }),
  ),
}));

test("Bun's reader gives back what was written", () => {
  fc.assert(
    fc.property(plain.value, (value) => {
      // The reader takes this key for a prototype; flt has none.
      fc.pre(!JSON.stringify(value).includes("__proto__"));
      expect(Bun.YAML.parse(renderYaml(value))).toEqual(value);
    }),
    { numRuns: 2_000 },
  );
});
