/** Waiting: what ends it, and that nothing is left of it. @module */

import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { linkSignals, pause, within } from "./wait.ts";

test("a pause ends with its time, or with its signal, and its timer with it", async () => {
  const clock = new ManualClock();
  const stop = new AbortController();
  const ended: string[] = [];
  void pause(clock, 100, stop.signal).then(() => ended.push("short"));
  void pause(clock, 10_000, stop.signal).then(() => ended.push("long"));
  await clock.advance(100);
  expect(ended).toEqual(["short"]);
  stop.abort();
  await clock.advance(0);
  await pause(clock, 10_000, stop.signal);
  expect(ended).toEqual(["short", "long"]);
});

test("a deadline says why it ended; work that is done in time has its own outcome", async () => {
  const clock = new ManualClock();
  const stop = new AbortController();
  const error = (why: string) => new Error(why);
  const never = new Promise<string>(() => {});
  const late = within(clock, never, { timeoutMs: 50, error }).catch(({ message }: Error) => message);
  const dropped = within(clock, never, { timeoutMs: 500, signal: stop.signal, error });
  const cancelled = dropped.catch(({ message }: Error) => message);
  expect(await within(clock, Promise.resolve("done"), { timeoutMs: 50, error })).toBe("done");
  await clock.advance(50);
  expect(await late).toBe("timeout");
  stop.abort();
  expect(await cancelled).toBe("aborted");
});

test("linked signals: the first one counts, also when it was aborted before; none after the end", () => {
  const [one, other] = [new AbortController(), new AbortController()];
  const over = linkSignals([one.signal, other.signal]);
  const ended = linkSignals([one.signal, other.signal]);
  ended[Symbol.dispose]();
  expect(over.signal.aborted).toBe(false);
  other.abort();
  expect([over.signal.aborted, ended.signal.aborted]).toEqual([true, false]);
  expect(linkSignals([one.signal, other.signal]).signal.aborted).toBe(true);
});

test("linked signals that are done with are freed, with what listened to them", async () => {
  const daemon = new AbortController();
  const clock = new ManualClock();
  const turn = async () => {
    using over = linkSignals([daemon.signal, new AbortController().signal]);
    void pause(clock, 1, over.signal);
    await clock.advance(1);
    over.signal.addEventListener("abort", () => {});
  };
  for (let i = 0; i < 300; i++) await turn();
  Bun.gc(true);
  expect(heapStats().objectTypeCounts.AbortSignal ?? 0).toBeLessThan(100);
});
