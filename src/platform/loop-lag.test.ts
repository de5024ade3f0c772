import { expect, test } from "bun:test";
import type { Clock } from "../lib/clock.ts";
import { type LogFields, SILENT_LOG } from "../lib/log.ts";
import { LoopLag } from "./loop-lag.ts";
import { PrometheusMetrics } from "./metrics.ts";

/** A loop that gets to its only timer when the test says so. */
class HeldClock implements Clock {
  #nowMs = 0;
  #timer: { readonly at: number; readonly run: () => void } | null = null;

  now(): number {
    return this.#nowMs;
  }
  after(delayMs: number, run: () => void) {
    this.#timer = { at: this.#nowMs + delayMs, run };
    return {
      cancel: () => {
        this.#timer = null;
      },
    };
  }
  get isArmed(): boolean {
    return this.#timer !== null;
  }
  /** The timer fires so much later than it is due. */
  turn(lateMs = 0): void {
    const timer = this.#timer;
    if (timer === null) throw new Error("No timer is armed");
    this.#nowMs = timer.at + lateMs;
    timer.run();
  }
}

function started(): { clock: HeldClock; lag: LoopLag; metrics: PrometheusMetrics; warnings: LogFields[] } {
  const clock = new HeldClock();
  const warnings: LogFields[] = [];
  const log = { ...SILENT_LOG, warning: (_message: string, fields: LogFields = {}) => void warnings.push(fields) };
  const lag = new LoopLag({ clock, log, warnAboveMs: 500 });
  const metrics = new PrometheusMetrics(SILENT_LOG);
  lag.measure(metrics);
  lag.start();
  return { clock, lag, metrics, warnings };
}

test("every beat is counted by how late it came, and the largest lag is told", async () => {
  const { clock, metrics, lag } = started();
  for (let i = 0; i < 20; i++) clock.turn(1);
  clock.turn(300);
  lag.stop();
  const { text } = await metrics.text();
  expect(text).toContain('flt_event_loop_lag_seconds_bucket{le="0.002"} 20\n');
  expect(text).toContain('flt_event_loop_lag_seconds_bucket{le="0.25"} 20\n');
  expect(text).toContain('flt_event_loop_lag_seconds_bucket{le="0.5"} 21\n');
  expect(text).toContain("flt_event_loop_lag_max_seconds 0.3\n");
});

test("the largest lag is forgotten after a minute or two", () => {
  const { clock, lag } = started();
  clock.turn(400);
  for (let i = 0; i < 590; i++) clock.turn();
  expect(lag.maxMs).toBe(400);
  for (let i = 0; i < 650; i++) clock.turn();
  expect(lag.maxMs).toBe(0);
});

test("a hold-up above the limit is a warning, many of them are few lines, and a minute's pause is one beat", () => {
  const { clock, warnings } = started();
  clock.turn(500);
  expect(warnings).toEqual([]);
  clock.turn(60_000);
  expect(warnings).toEqual([{ lateMs: 60_000, times: 1 }]);
  for (let i = 0; i < 13; i++) clock.turn(700);
  expect(warnings).toEqual([
    { lateMs: 60_000, times: 1 },
    { lateMs: 700, times: 13 },
  ]);
});

test("stop() leaves no timer", () => {
  const { clock, lag } = started();
  clock.turn();
  lag.stop();
  expect(clock.isArmed).toBe(false);
});
