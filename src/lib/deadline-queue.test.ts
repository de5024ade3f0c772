import { expect, test } from "bun:test";
import fc from "fast-check";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { DeadlineQueue } from "./deadline-queue.ts";

test("reports each key once, at its latest deadline, with one timer", async () => {
  const clock = new ManualClock();
  const due: [number, string][] = [];
  const queue = new DeadlineQueue<string>(clock, (keys) => {
    for (const key of keys) due.push([clock.now(), key]);
  });
  queue.set("a", 100);
  queue.set("b", 50);
  queue.set("c", 70);
  queue.set("b", 200);
  queue.set("a", 80);
  queue.delete("c");
  expect(clock.pending).toBe(1);
  await clock.advance(60);
  queue.set("d", 90);
  await clock.advance(200);
  expect(due).toEqual([
    [80, "a"],
    [90, "d"],
    [200, "b"],
  ]);
  expect([queue.size, clock.pending]).toEqual([0, 0]);
});

test("agrees with a plain map under any order of calls", async () => {
  const step = fc.record({ key: fc.nat(5), delayMs: fc.nat(40), advanceMs: fc.nat(15), drop: fc.boolean() });
  const property = fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
    // A clock without promises: thousands of runs must stay quick.
    let now = 0;
    let timer: { readonly at: number; readonly run: () => void } | null = null;
    const after = (delayMs: number, run: () => void) => {
      expect(timer).toBeNull();
      const mine = { at: now + delayMs, run };
      timer = mine;
      const cancel = () => {
        if (timer === mine) timer = null;
      };
      return { cancel };
    };
    const expected = new Map<number, number>();
    const queue = new DeadlineQueue<number>({ now: () => now, after }, (keys) => {
      for (const key of keys) {
        expect(expected.get(key)).toBeLessThanOrEqual(now);
        expected.delete(key);
      }
    });
    for (const { key, delayMs, advanceMs, drop } of steps) {
      if (drop) {
        queue.delete(key);
        expected.delete(key);
      } else {
        queue.set(key, now + delayMs);
        expected.set(key, now + delayMs);
      }
      const end = now + advanceMs;
      for (let next = timer as { at: number; run: () => void } | null; next && next.at <= end; next = timer) {
        timer = null;
        now = Math.max(now, next.at);
        next.run();
      }
      now = end;
      expect([...expected.values()].every((at) => at > now)).toBe(true);
      expect(queue.size).toBe(expected.size);
    }
  });
  await fc.assert(property, { numRuns: 300 });
});
