/**
 * The membership that is applied here, who wants to hear of it, and calls that wait for the end of a change.
 *
 * Idea. A change is done when the entry that names the wanted membership is applied. A joint one takes two entries; the second is
 * appended by whoever leads when the first is committed, so nobody can name it before: callers wait for the first membership
 * without an outgoing half.
 *
 * Invariants.
 * - Every waiting call settles: by the end of the change, its deadline, its signal or close().
 *
 * @module
 */
import type { Configuration } from "../types.ts";
import { UnknownFateError } from "./errors.ts";
import type { Clock } from "./ports.ts";
import { Waiter, type WaitOptions } from "./waiter.ts";

export class Changes {
  readonly #clock: Clock;
  readonly #listeners = new Set<(configuration: Configuration) => void>();
  readonly #waiting = new Set<Waiter<void>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  onChange(listener: (configuration: Configuration) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  applied(configuration: Configuration): void {
    if (configuration.membership.outgoing === undefined) {
      for (const waiter of this.#waiting) waiter.resolve();
    }
    for (const listener of [...this.#listeners]) listener(configuration);
  }

  /** Resolves when no joint membership is in force any more. */
  async left(timeoutMs: number, signal: WaitOptions["signal"]): Promise<void> {
    const waiter = new Waiter<void>(this.#clock, timeoutMs, signal, (why) => new UnknownFateError(why));
    this.#waiting.add(waiter);
    try {
      await waiter.promise;
    } finally {
      this.#waiting.delete(waiter);
    }
  }

  close(): void {
    for (const waiter of this.#waiting) waiter.reject(new UnknownFateError("stopped"));
    this.#listeners.clear();
  }
}
