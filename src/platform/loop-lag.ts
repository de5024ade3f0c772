/**
 * How late this process gets to what is due: the event loop's lag, measured all the time and told.
 *
 * Problem. Whatever holds the loop up for long (a large state, a starved host, a process that was stopped) makes this daemon look dead to
 * the others, and nothing else says that it was the reason.
 * Idea. A timer that is due every 100 ms, and how late each is. It sees less of a hold-up than there was by what was left until its turn,
 * at most 100 ms; it costs 0.1 % of a core. perf_hooks' own monitor samples natively, but says nothing when it happens.
 *
 * Invariants.
 * - One timer, ended by stop(). It never catches up: a minute's pause is one late beat.
 * - At most one line in WARN_EVERY_MS, with what was held back since the last one.
 *
 * @module
 */
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Histogram, Metrics } from "../lib/metrics.ts";

export interface LoopLagOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** A hold-up that is worth a warning: half of what makes other members doubt this one. */
  readonly warnAboveMs: number;
}

const BEAT_MS = 100;
const WARN_EVERY_MS = 10_000;
/** The largest lag is told of the last one to two of these, so that it is there for any reader that looks once in a minute. */
const WINDOW_MS = 60_000;
const BUCKETS_SECONDS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

export class LoopLag {
  readonly #options: LoopLagOptions;
  #histogram: Histogram = { observe() {} };
  #timer: Timer | null = null;
  #windowEndsAt = 0;
  #maxMs = 0;
  #maxBeforeMs = 0;
  #warnedAt = Number.NEGATIVE_INFINITY;
  #heldBack = 0;

  constructor(options: LoopLagOptions) {
    this.#options = options;
  }

  /** The largest of the last minute or two. */
  get maxMs(): number {
    return Math.max(this.#maxMs, this.#maxBeforeMs);
  }

  measure(metrics: Metrics): void {
    const help = "How late a task got its turn in the event loop, ten times a second.";
    this.#histogram = metrics.histogram({ name: "flt_event_loop_lag_seconds", help }, BUCKETS_SECONDS);
    metrics.read(
      {
        name: "flt_event_loop_lag_max_seconds",
        help: "The largest flt_event_loop_lag_seconds of the last minute or two.",
      },
      "gauge",
      () => this.maxMs / 1000,
    );
  }

  start(): void {
    this.#windowEndsAt = this.#options.clock.now() + WINDOW_MS;
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #arm(): void {
    const { clock } = this.#options;
    const dueAt = clock.now() + BEAT_MS;
    this.#timer = clock.after(BEAT_MS, () => {
      this.#note(Math.max(0, clock.now() - dueAt));
      this.#arm();
    });
  }

  #note(lateMs: number): void {
    const now = this.#options.clock.now();
    this.#histogram.observe(lateMs / 1000);
    if (now >= this.#windowEndsAt) {
      this.#maxBeforeMs = this.#maxMs;
      this.#maxMs = 0;
      this.#windowEndsAt = now + WINDOW_MS;
    }
    this.#maxMs = Math.max(this.#maxMs, lateMs);
    if (lateMs > this.#options.warnAboveMs) this.#warn(lateMs, now);
  }

  #warn(lateMs: number, now: number): void {
    this.#heldBack += 1;
    if (now - this.#warnedAt < WARN_EVERY_MS) return;
    this.#options.log.warning(
      "This process was held up: it got to nothing for a while, and others may have doubted it",
      {
        lateMs: Math.round(lateMs),
        times: this.#heldBack,
      },
    );
    this.#warnedAt = now;
    this.#heldBack = 0;
  }
}
