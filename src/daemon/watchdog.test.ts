/**
 * The watchdog: keep-alives only while raft's tick turns.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { Watchdog, watchdogLimitMs } from "./watchdog.ts";

function world(limitMs: number) {
  const clock = new ManualClock();
  const sent: number[] = [];
  const raft = { lastTickAt: 0 };
  const watchdog = new Watchdog(limitMs, {
    clock,
    log: SILENT_LOG,
    lastTickAt: () => raft.lastTickAt,
    notify: () => sent.push(clock.now()) > 0,
  });
  return { clock, sent, raft, watchdog };
}

test("tells systemd three times within its limit while raft ticks, and nothing once it stands still", async () => {
  const { clock, sent, raft, watchdog } = world(3000);
  watchdog.start();
  for (let second = 1; second <= 5; second++) {
    raft.lastTickAt = clock.now();
    await clock.advance(1000);
  }
  expect(sent).toEqual([0, 1000, 2000, 3000, 4000, 5000]);
  await clock.advance(10_000);
  expect(sent.filter((at) => at > raft.lastTickAt + 1500)).toEqual([]);
  watchdog.stop();
  expect(clock.pending).toBe(0);
});

test("stays silent when systemd does not watch", async () => {
  const { clock, sent, watchdog } = world(0);
  watchdog.start();
  await clock.advance(60_000);
  expect(sent).toEqual([]);
});

test("reads systemd's limit, unless it is meant for another process", () => {
  expect(watchdogLimitMs({ WATCHDOG_USEC: "30000000" }, 7)).toBe(30_000);
  expect(watchdogLimitMs({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "7" }, 7)).toBe(30_000);
  expect(watchdogLimitMs({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "8" }, 7)).toBe(0);
  expect(watchdogLimitMs({ WATCHDOG_USEC: "soon" }, 7)).toBe(0);
  expect(watchdogLimitMs({}, 7)).toBe(0);
});
