/** The judge of histories before histories whose verdict is known. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Action, type Operation, unexplained } from "./linearizable.ts";

const OPEN = Number.POSITIVE_INFINITY;
const op = (callAt: number, returnAt: number, action: Action): Operation => ({ callAt, returnAt, action });
const write = (value: string | null, before?: string | null): Action =>
  before === undefined ? { kind: "write", value } : { kind: "write", value, before };
const read = (found: string | null): Action => ({ kind: "read", found });
const swap = (expected: string, value: string, done: boolean | null, found?: string | null): Action => ({
  kind: "swap",
  expected,
  value,
  done,
  ...(found === undefined ? {} : { found }),
});

describe("good histories", () => {
  test.each<[string, Operation[]]>([
    ["nothing at all", []],
    ["one after the other", [op(1, 2, write("a")), op(3, 4, read("a")), op(5, 6, write(null)), op(7, 8, read(null))]],
    ["a read beside a write sees either", [op(1, 10, write("a")), op(2, 3, read(null)), op(4, 5, read("a"))]],
    ["an open write shows late", [op(1, OPEN, write("a")), op(2, 3, read(null)), op(4, 5, read("a"))]],
    ["an open write never shows", [op(1, OPEN, write("a")), op(2, 3, read(null)), op(4, 5, read(null))]],
    ["a swap", [op(1, 2, write("a")), op(3, 4, swap("a", "b", true)), op(5, 6, read("b"))]],
    ["a refused swap", [op(1, 2, write("a")), op(3, 4, swap("x", "b", false, "a")), op(5, 6, read("a"))]],
    ["an open swap took effect", [op(1, 2, write("a")), op(3, OPEN, swap("a", "b", null)), op(5, 6, read("b"))]],
    [
      "concurrent writes in the other order",
      [op(1, 9, write("a", "b")), op(2, 8, write("b", null)), op(10, 11, read("a"))],
    ],
  ])("%s", (_name, history) => {
    expect(unexplained(history)).toBeNull();
  });
});

describe("bad histories", () => {
  test.each<[string, Operation[]]>([
    ["a stale read", [op(1, 2, write("a")), op(3, 4, write("b")), op(5, 6, read("a"))]],
    ["a lost write", [op(1, 2, write("a")), op(3, 4, read(null))]],
    ["new, then old again", [op(1, 10, write("a")), op(2, 3, read("a")), op(4, 5, read(null))]],
    ["a value from nowhere", [op(1, 2, read("x"))]],
    [
      "a write that took effect twice",
      [op(1, 2, write("a")), op(3, 4, write("b")), op(5, 6, read("b")), op(7, 8, write("c", "a"))],
    ],
    ["two swaps of one value", [op(1, 2, write("a")), op(3, 6, swap("a", "b", true)), op(4, 5, swap("a", "c", true))]],
    ["a refused swap that had to work", [op(1, 2, write("a")), op(3, 4, swap("a", "b", false))]],
    ["an open write before its call", [op(1, 2, read("a")), op(3, OPEN, write("a"))]],
    ["the wrong value replaced", [op(1, 2, write("a")), op(3, 4, write("b", null))]],
    [
      "an open write that shows, hides and shows",
      [op(1, OPEN, write("a")), op(2, 3, read("a")), op(4, 5, write("b")), op(6, 7, read("a"))],
    ],
  ])("%s", (_name, history) => {
    expect(unexplained(history)).not.toBeNull();
  });
});

/** Histories of a real register: each operation takes effect at a moment between its call and its return. */
const honest = fc
  .array(
    fc.record({
      start: fc.integer({ max: 60, min: 0 }),
      span: fc.integer({ max: 12, min: 1 }),
      kind: fc.nat(3),
      open: fc.boolean(),
    }),
    {
      maxLength: 24,
    },
  )
  .map((plans) => {
    const planned = plans.map((plan, at) => ({ ...plan, at, effect: plan.start + plan.span / 2 + at / 1000 }));
    let value: string | null = null;
    return planned
      .sort((a, b) => a.effect - b.effect)
      .map(({ start, span, kind, open, at }): Operation => {
        const before = value;
        const text = `v${at}`;
        const isWrite = kind <= 1;
        if (isWrite) value = text;
        const action = isWrite ? (kind === 0 ? write(text) : write(text, before)) : read(before);
        return op(start + at / 1000, isWrite && kind === 0 && open ? OPEN : start + span + at / 1000, action);
      });
  });

test("whatever an honest register answered is explained", () => {
  fc.assert(fc.property(honest, (history) => unexplained(history) === null));
});

test("a read of what nobody wrote is never explained, wherever it stands", () => {
  fc.assert(
    fc.property(
      honest,
      fc.nat(60),
      (history, at) => unexplained([...history, op(at, at + 3, read("nobody's"))]) !== null,
    ),
  );
});

/** Tries every order of every choice of the open ones. */
function isExplained(history: readonly Operation[], value: string | null = null): boolean {
  const answered = history.filter(({ returnAt }) => returnAt !== OPEN);
  if (answered.length === 0) return true;
  const limit = Math.min(...answered.map(({ returnAt }) => returnAt));
  return history.some((next) => {
    if (next.callAt > limit) return false;
    const after = applied(next.action, value);
    return (
      after !== undefined &&
      isExplained(
        history.filter((other) => other !== next),
        after,
      )
    );
  });
}

function applied(action: Action, value: string | null): string | null | undefined {
  if (action.kind === "read") return action.found === value ? value : undefined;
  if (action.kind === "write") return action.before === undefined || action.before === value ? action.value : undefined;
  const fits = action.expected === value;
  if (action.done === true) return fits ? action.value : undefined;
  if (action.done === false) return !fits && action.found === value ? value : undefined;
  return fits ? action.value : value;
}

const someValue = fc.constantFrom("a", "b", "c");
const seen = fc.option(someValue, { nil: null });
const anyAction: fc.Arbitrary<Action> = fc.oneof(
  seen.map(read),
  fc.tuple(seen, fc.boolean(), seen).map(([value, told, before]) => write(value, told ? before : undefined)),
  fc
    .tuple(someValue, someValue, fc.constantFrom(true, false, null), seen)
    .map(([expected, value, done, found]) => swap(expected, value, done, done === false ? found : undefined)),
);
const anyHistory = fc
  .array(fc.tuple(anyAction, fc.nat(20), fc.integer({ min: 1, max: 12 }), fc.nat(2)), { maxLength: 7 })
  .map((plans) =>
    plans.map(([action, start, span, open], at) => {
      const isOpen =
        (open === 0 && action.kind !== "read" && !("before" in action)) ||
        (action.kind === "swap" && action.done === null);
      const fate: Action = isOpen && action.kind === "swap" ? swap(action.expected, action.value, null) : action;
      return op(start + at / 100, isOpen ? OPEN : start + span + at / 100, fate);
    }),
  );

test("the verdict is that of trying every order", () => {
  fc.assert(
    fc.property(anyHistory, (history) => (unexplained(history) === null) === isExplained(history)),
    { numRuns: 3_000 },
  );
});

test("forty operations of unknown fate, each seen by somebody, are no matter of minutes", () => {
  const values = Array.from({ length: 40 }, (_, at) => `v${at}`);
  const open = values.map((value, at) => op(at, OPEN, at % 2 === 0 ? write(value) : swap(`v${at - 1}`, value, null)));
  const deleted = values.map((_, at) => op(at, OPEN, write(null)));
  const reads = values.map((value, at) => op(100 + 2 * at, 101 + 2 * at, read(at % 5 === 0 ? null : value)));
  expect(unexplained([...open, ...deleted, ...reads])).toBeNull();
  expect(unexplained([...open, ...deleted, ...reads, op(300, 301, read("v2"))])).not.toBeNull();
});
