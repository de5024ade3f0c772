/**
 * A clock that moves when the test says so.
 *
 * @module
 */
import type { Clock, Timer } from "../../src/lib/clock.ts";

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class ManualClock implements Clock {
  #now = 0;
  #order = 0;
  readonly #timers = new Set<Entry>();

  now(): number {
    return this.#now;
  }
  after(delayMs: number, run: () => void): Timer {
    const entry = { at: this.#now + delayMs, order: this.#order++, run };
    this.#timers.add(entry);
    return { cancel: () => this.#timers.delete(entry) };
  }
  get pending(): number {
    return this.#timers.size;
  }
  /** Runs what becomes due, in order, letting promises settle between. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settle();
      const due = [...this.#timers]
        .filter((entry) => entry.at <= end)
        .sort((one, other) => one.at - other.at || one.order - other.order)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.run();
    }
    this.#now = end;
    await settle();
  }
}

/** Lets every promise that can go on do so: no time passes on any clock of the test. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}
