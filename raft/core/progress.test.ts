/** One follower's window: what opens it, what closes it, what is stale. */
import { expect, test } from "bun:test";
import { Progress } from "./progress.ts";

const fresh = (next = 1) => new Progress(next, { maxMessages: 2, maxBytes: 100 });

function replicating(): Progress {
  const progress = fresh(4);
  progress.accepted(3);
  progress.becomeReplicate();
  return progress;
}

test("a probe is one message, until a reply or a sign of life", () => {
  const progress = fresh(4);
  expect(progress.paused).toBe(false);
  progress.sent(5, 2, 10);
  expect([progress.paused, progress.next]).toEqual([true, 4]);
  progress.heard();
  expect(progress.paused).toBe(false);
});

test("the window closes by messages and by bytes, and replies open it", () => {
  const progress = replicating();
  progress.sent(4, 1, 10);
  progress.sent(5, 1, 10);
  expect([progress.paused, progress.next]).toEqual([true, 6]);
  progress.accepted(5);
  expect([progress.paused, progress.flights, progress.match]).toEqual([false, 0, 5]);
  progress.sent(6, 1, 100);
  expect(progress.paused).toBe(true);
});

test("an append without entries takes no room", () => {
  const progress = replicating();
  progress.sent(3, 0, 0);
  expect([progress.flights, progress.next]).toEqual([0, 4]);
});

test("freeOldest() opens only a full window", () => {
  const progress = replicating();
  progress.sent(4, 1, 10);
  progress.freeOldest();
  expect(progress.flights).toBe(1);
  progress.sent(5, 1, 10);
  progress.freeOldest();
  expect([progress.flights, progress.paused, progress.match]).toEqual([1, false, 3]);
});

test("a refusal steps back to the hint, never below the match, and a stale one is nothing", () => {
  const probing = fresh(10);
  expect(probing.rejected(5, 2)).toBe(false);
  expect(probing.rejected(9, 4)).toBe(true);
  expect(probing.next).toBe(5);
  expect(probing.rejected(4, 100)).toBe(true);
  expect(probing.next).toBe(4);
  const streaming = replicating();
  streaming.sent(4, 1, 10);
  expect(streaming.rejected(2, 0)).toBe(false);
  expect(streaming.rejected(4, 0)).toBe(true);
  expect([streaming.mode, streaming.next, streaming.flights]).toEqual(["probe", 4, 0]);
});

test("while a snapshot is under way nothing is sent; behind it waits a probe", () => {
  const progress = fresh(2);
  progress.becomeSnapshot(8);
  expect(progress.paused).toBe(true);
  progress.snapshotEnded(true);
  expect([progress.mode, progress.next, progress.paused]).toEqual(["probe", 9, true]);
  progress.heard();
  expect(progress.paused).toBe(false);
});

test("a failed snapshot leaves the follower where it was", () => {
  const progress = fresh(2);
  progress.becomeSnapshot(8);
  progress.snapshotEnded(false);
  expect([progress.mode, progress.next]).toEqual(["probe", 1]);
});
