/**
 * A virtual clock that runs by itself: in each turn of the event loop, time jumps to the next timer.
 *
 * Idea. A test awaits calls as it would against the real thing, and hours pass in seconds; with the same calls in the same
 * order, timers fire in the same order, too.
 *
 * @module
 */
import type { Clock, Timer } from "../../src/lib/clock.ts";

interface Entry {
  readonly at: number;
  readonly run: () => void;
}

export class RunningClock implements Clock {
  #now = 0;
  /** By time, earliest last; equal times in the order they were set. */
  #timers: Entry[] = [];
  #running: Promise<void> | null = null;

  now(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): Timer {
    const entry = { at: this.#now + delayMs, run };
    let at = this.#timers.length;
    while (at > 0 && (this.#timers[at - 1] as Entry).at <= entry.at) at--;
    this.#timers.splice(at, 0, entry);
    return {
      cancel: () => {
        const index = this.#timers.indexOf(entry);
        if (index >= 0) this.#timers.splice(index, 1);
      },
    };
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = null;
    await running;
  }

  /** The process was paused: time went by, and nothing ran meanwhile. */
  stall(ms: number): void {
    this.#now += ms;
  }

  async #run(): Promise<void> {
    for (;;) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (this.#running === null) return;
      const next = this.#timers.pop();
      if (next === undefined) continue;
      this.#now = Math.max(this.#now, next.at);
      next.run();
    }
  }
}
