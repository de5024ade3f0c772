import { expect, test } from "bun:test";
import fc from "fast-check";
import { anyKey, anyRange } from "../../test/fakes/store-arbitraries.ts";
import { spanHolds, toKey, toSpan } from "./key.ts";
import { SpanIndex } from "./span-index.ts";

const step = fc.record({ add: fc.boolean(), range: anyRange, pick: fc.nat() });

test("finds who holds a key, as a look at everyone would; nothing is left when all are gone", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.array(anyKey, { maxLength: 8 }), (steps, keys) => {
      const index = new SpanIndex<number>();
      const members: { readonly id: number; readonly span: ReturnType<typeof toSpan> }[] = [];
      for (const [id, { add, range, pick }] of steps.entries()) {
        if (add) {
          const span = toSpan(range);
          members.push({ id, span });
          index.add(span, id);
        } else if (members.length > 0) {
          const [gone] = members.splice(pick % members.length, 1);
          if (gone) index.remove(gone.span, gone.id);
        }
        for (const key of keys.map(toKey)) {
          const found: number[] = [];
          index.visit(key, (member) => found.push(member));
          const expected = members.filter(({ span }) => spanHolds(span, key)).map((member) => member.id);
          expect(found.sort((a, b) => a - b)).toEqual(expected.sort((a, b) => a - b));
        }
      }
      for (const { id, span } of members) index.remove(span, id);
      expect(index.segmentCount).toBe(1);
    }),
    { numRuns: 300 },
  );
});
