/**
 * One life of a process: its clock, what waits for it while it is stopped, and that nothing of it happens after its end.
 *
 * Idea. Each process has a clock of its own, which may run fast or slow, or jump ahead as it does on a machine that was suspended. What
 * comes from outside (a message, an answer of the disk, a client's call) goes through `arrive`, so that a stopped process sees it later.
 *
 * Invariants.
 * - A killed process does nothing any more: its timers are dead, and what arrives is dropped.
 * - A stopped process keeps what reaches it; when it goes on, due timers come first and then what waited in its sockets.
 * - No timer fires early by the process's own clock.
 *
 * @module
 */
import type { Clock, Timer } from "../../src/lib/clock.ts";

interface Waiting {
  readonly dueMs: number;
  readonly run: () => void;
  timer: Timer;
}

export class Life {
  dead = false;
  paused = false;
  readonly #clock: Clock;
  readonly #rate: number;
  #aheadMs = 0;
  /** Its clock was here once: it never shows less. */
  #seenMs = 0;
  readonly #pending = new Set<Waiting>();
  readonly #mourners = new Set<() => void>();
  #timers: (() => void)[] = [];
  #arrivals: (() => void)[] = [];

  /** @param rate Of its clock: 1.01 runs 1 % fast. */
  constructor(clock: Clock, rate = 1) {
    this.#clock = clock;
    this.#rate = rate;
  }

  readonly clock: Clock = {
    now: () => this.#now(),
    after: (delayMs, run) => {
      const waiting: Waiting = { dueMs: this.#now() + delayMs, run, timer: NEVER };
      this.#arm(waiting);
      return {
        cancel: () => {
          this.#pending.delete(waiting);
          waiting.timer.cancel();
        },
      };
    },
  };

  /** Called at its end, as a broken connection tells a client. Returns how to forget it. */
  onEnd(run: () => void): () => void {
    this.#mourners.add(run);
    return () => this.#mourners.delete(run);
  }

  end(): void {
    this.dead = true;
    for (const run of this.#mourners) run();
    this.#mourners.clear();
  }

  arrive(run: () => void): void {
    if (this.dead) return;
    if (this.paused) this.#arrivals.push(run);
    else run();
  }

  resume(): void {
    this.paused = false;
    const waiting = [...this.#timers, ...this.#arrivals];
    this.#timers = [];
    this.#arrivals = [];
    for (const run of waiting) this.#clock.after(0, () => this.arrive(run));
  }

  /** Its clock goes ahead by so much at once. */
  jump(ms: number): void {
    this.#aheadMs += ms;
    for (const waiting of [...this.#pending]) {
      waiting.timer.cancel();
      this.#arm(waiting);
    }
  }

  #now(): number {
    this.#seenMs = Math.max(this.#seenMs, this.#clock.now() * this.#rate + this.#aheadMs);
    return this.#seenMs;
  }

  #arm(waiting: Waiting): void {
    this.#pending.add(waiting);
    const delayMs = Math.max(0, waiting.dueMs - this.#now()) / this.#rate;
    waiting.timer = this.#clock.after(delayMs, () => this.#due(waiting));
  }

  #due(waiting: Waiting): void {
    if (this.dead || !this.#pending.has(waiting)) return;
    if (this.paused) {
      this.#timers.push(() => this.#due(waiting));
      return;
    }
    this.#pending.delete(waiting);
    this.#seenMs = Math.max(this.#seenMs, waiting.dueMs);
    waiting.run();
  }
}

const NEVER: Timer = { cancel() {} };
