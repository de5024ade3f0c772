import { expect, test } from "bun:test";
import { ManualClock, settle } from "../../test/fakes/manual-clock.ts";
import { JobLimit } from "./job-limit.ts";

const LIMITS = { young: 2, all: 3, slowAfterMs: 1000 };

function crowd(limit: JobLimit, signal = new AbortController().signal) {
  const inside: (() => void)[] = [];
  const enter = (force = false) =>
    void limit.enter(signal, force).then((leave) => {
      if (leave !== null) inside.push(leave);
    });
  return { inside, enter };
}

test("no more than the limit of young jobs at a time, in the order of asking", async () => {
  const limit = new JobLimit(new ManualClock(), LIMITS);
  const { inside, enter } = crowd(limit);
  for (let i = 0; i < 3; i++) enter();
  await settle();
  expect(inside.length).toBe(2);
  inside[0]?.();
  inside[0]?.();
  await settle();
  expect(inside.length).toBe(3);
  expect(limit.waiting).toBe(0);
});

test("a job that takes long makes room for young ones, up to the limit of all", async () => {
  const clock = new ManualClock();
  const limit = new JobLimit(clock, LIMITS);
  const { inside, enter } = crowd(limit);
  for (let i = 0; i < 5; i++) enter();
  await clock.advance(1001);
  expect(inside.length).toBe(3);
  await clock.advance(5000);
  expect(inside.length).toBe(3);
  inside[0]?.();
  await clock.advance(0);
  expect(inside.length).toBe(4);
});

test("an order that replaces a pending one passes at once", async () => {
  const limit = new JobLimit(new ManualClock(), LIMITS);
  const { inside, enter } = crowd(limit);
  for (let i = 0; i < 3; i++) enter();
  enter(true);
  await settle();
  expect(inside.length).toBe(3);
  expect(limit.waiting).toBe(1);
});

test("who gives up while waiting takes no place", async () => {
  const limit = new JobLimit(new ManualClock(), LIMITS);
  const giveUp = new AbortController();
  const { inside, enter } = crowd(limit);
  enter();
  enter();
  const waiting = limit.enter(giveUp.signal);
  enter();
  giveUp.abort();
  expect(await waiting).toBeNull();
  expect(await limit.enter(giveUp.signal)).toBeNull();
  inside[0]?.();
  await settle();
  expect(inside.length).toBe(3);
});
