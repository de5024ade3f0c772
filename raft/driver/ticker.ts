/**
 * Turns the clock into ticks, and knows when not to trust it.
 *
 * Problem. A process that was stopped, or starved of CPU, wakes up with timers that are long due while the leader's
 * heartbeats wait unread in its sockets. Counting that time would start an election against a living leader.
 * Idea. One timer is at most one tick, however late it is. Later than an election timeout: no tick at all, the core is
 * told to distrust its clock, and by the next tick the event loop has read what was waiting.
 *
 * Invariants.
 * - Time is never caught up: a late tick makes elections later, never earlier.
 *
 * @module
 */
import type { Clock, Timer } from "./ports.ts";

export interface TickerOptions {
  readonly clock: Clock;
  readonly tickMs: number;
  /** A gap longer than this is a stall. */
  readonly stallMs: number;
  readonly onTick: () => void;
  readonly onStall: (gapMs: number) => void;
}

export class Ticker {
  readonly #options: TickerOptions;
  #timer: Timer | null = null;
  #due = 0;
  #lastTickAt = 0;

  constructor(options: TickerOptions) {
    this.#options = options;
  }

  /** When the clock last came by, stalled or not; for the watchdog. */
  get lastTickAt(): number {
    return this.#lastTickAt;
  }

  start(): void {
    this.#lastTickAt = this.#options.clock.now();
    this.#due = this.#lastTickAt + this.#options.tickMs;
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #arm(): void {
    const delayMs = Math.max(0, this.#due - this.#options.clock.now());
    this.#timer = this.#options.clock.after(delayMs, () => this.#fire());
  }

  #fire(): void {
    const { clock, tickMs, stallMs, onTick, onStall } = this.#options;
    const now = clock.now();
    const gapMs = now - this.#lastTickAt;
    this.#lastTickAt = now;
    // A tick that is late by less than its length keeps the beat, so that timer slack does not add up.
    this.#due = now - this.#due < tickMs ? this.#due + tickMs : now + tickMs;
    this.#arm();
    if (gapMs > stallMs) onStall(gapMs);
    else onTick();
  }
}
