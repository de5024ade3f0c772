/** The driver's small parts alone: the clock that is not believed, reads that share rounds, what follows a lost leader. */
import { describe, expect, test } from "bun:test";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { resolveConfig } from "./config.ts";
import type { Clock } from "./ports.ts";
import { Reads } from "./reads.ts";
import { Succession } from "./succession.ts";
import { Ticker } from "./ticker.ts";
import { Waiter } from "./waiter.ts";

describe("Ticker", () => {
  /** A clock whose timers can be held up, as those of a stopped process are. */
  function stalling() {
    let now = 0;
    let due: { at: number; run: () => void } | null = null;
    const clock: Clock = {
      now: () => now,
      after: (delayMs, run) => {
        due = { at: now + delayMs, run };
        return {
          cancel: () => {
            due = null;
          },
        };
      },
    };
    /** Fires the pending timer, late by so much. @returns how long it had waited when it was due. */
    const fire = (lateMs = 0) => {
      const timer = due;
      if (timer === null) throw new Error("no timer");
      const waitedMs = timer.at - now;
      now = timer.at + lateMs;
      timer.run();
      return waitedMs;
    };
    const seen: string[] = [];
    const ticker = new Ticker({
      clock,
      tickMs: 50,
      stallMs: 1000,
      onTick: () => seen.push("tick"),
      onStall: (gapMs) => seen.push(`stall ${gapMs}`),
    });
    ticker.start();
    return { fire, seen, ticker };
  }

  test("keeps the beat when timers are slightly late", () => {
    const { fire } = stalling();
    expect([fire(7), fire(3), fire(0)]).toEqual([50, 43, 47]);
  });

  test("a late timer is one tick, never several to catch up", () => {
    const { fire, seen } = stalling();
    fire(400);
    expect(seen).toEqual(["tick"]);
    expect(fire()).toBe(50);
  });

  test("a stall longer than an election is no tick at all; the next comes a tick later", () => {
    const { fire, seen, ticker } = stalling();
    fire();
    fire(5000);
    expect(seen).toEqual(["tick", "stall 5050"]);
    expect(fire()).toBe(50);
    expect(seen).toEqual(["tick", "stall 5050", "tick"]);
    expect(ticker.lastTickAt).toBe(5150);
  });
});

describe("Reads", () => {
  function reads() {
    const clock = new ManualClock();
    const asked: number[] = [];
    let answer: "accepted" | "no-leader" = "accepted";
    const ask = (context: number) => {
      asked.push(context);
      return answer;
    };
    const instance = new Reads({ clock, random: () => 0.5, retryMs: 250, ask, wake: () => {} });
    const set = (value: typeof answer) => {
      answer = value;
    };
    return { clock, reads: instance, asked, set };
  }

  test("those who come while a round is out share the next one", async () => {
    const { reads: instance, asked } = reads();
    const first = instance.read(1000, undefined);
    instance.begin();
    const later = [instance.read(1000, undefined), instance.read(1000, undefined)];
    instance.begin();
    expect(asked).toHaveLength(1);
    instance.answered({ context: asked[0] ?? 0, index: 7 });
    instance.appliedTo(7);
    expect(await first).toBe(7);
    instance.begin();
    expect(asked).toHaveLength(2);
    instance.answered({ context: asked[1] ?? 0, index: 9 });
    instance.appliedTo(9);
    expect(await Promise.all(later)).toEqual([9, 9]);
  });

  test("an answer waits until it is applied, and one to an earlier question is ignored", async () => {
    const { clock, reads: instance, asked } = reads();
    let done = false;
    const read = instance.read(1000, undefined).then((index) => {
      done = true;
      return index;
    });
    instance.begin();
    instance.answered({ context: (asked[0] ?? 0) - 1, index: 1 });
    instance.answered({ context: asked[0] ?? 0, index: 5 });
    instance.appliedTo(4);
    await clock.advance(1);
    expect(done).toBe(false);
    instance.appliedTo(5);
    expect(await read).toBe(5);
  });

  test("a round without an answer, or without a leader, is asked again until the deadline", async () => {
    const { clock, reads: instance, asked, set } = reads();
    set("no-leader");
    const read = instance.read(600, undefined).catch((error) => error);
    instance.begin();
    await clock.advance(250);
    set("accepted");
    instance.begin();
    await clock.advance(250);
    instance.begin();
    expect(asked).toHaveLength(3);
    await clock.advance(100);
    expect(await read).toMatchObject({ code: "dropped", reason: "deadline" });
    await clock.advance(300);
    instance.begin();
    expect(asked).toHaveLength(3);
    expect(clock.pending).toBe(0);
  });
});

describe("Succession", () => {
  test("tries a few times, spread out, and stops when a leader is known", async () => {
    const clock = new ManualClock();
    const at: number[] = [];
    const succession = new Succession({ clock, random: () => 0.5, campaign: () => at.push(clock.now()) });
    succession.begin();
    succession.begin();
    await clock.advance(5000);
    expect(at).toEqual([50, 250, 550, 850, 1150, 1450, 1750, 2050]);
    succession.begin();
    succession.end();
    await clock.advance(5000);
    expect(at).toHaveLength(8);
    expect(clock.pending).toBe(0);
  });
});

describe("Waiter", () => {
  test("settles once and leaves no timer and no listener behind", async () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const waiter = new Waiter<number>(clock, 100, controller.signal, (why) => new Error(why));
    waiter.resolve(1);
    waiter.reject(new Error("late"));
    controller.abort();
    expect(await waiter.promise).toBe(1);
    expect(clock.pending).toBe(0);
    const aborted = new Waiter<number>(clock, 100, AbortSignal.abort(), (why) => new Error(why));
    await expect(aborted.promise).rejects.toThrow("aborted");
  });
});

describe("configuration", () => {
  const membership = { voters: [1], learners: [] };
  test.each([
    [{ id: 0 }, "the id must be a positive integer"],
    [{ tickMs: 0 }, "tickMs must be positive"],
    [{ heartbeatMs: 10 }, "heartbeatMs must be at least tickMs"],
    [{ electionTimeoutMs: 200 }, "at least three heartbeats"],
    [{ trailingEntries: 10, snapshotLogEntries: 5 }, "trailingEntries must not exceed"],
  ])("%p is refused", (bad, why) => {
    expect(() => resolveConfig({ id: 1, membership, ...bad })).toThrow(why);
  });

  test("what is left undefined keeps its default", () => {
    expect(resolveConfig({ id: 1, membership }).tickMs).toBe(50);
  });
});
