/**
 * A promise that somebody waits for with an end: a deadline, an abort signal, or an answer, whichever comes first.
 *
 * Invariants.
 * - It settles once; with that its timer is cancelled and its signal let go.
 *
 * @module
 */
import type { Clock, Timer } from "./ports.ts";

export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

export class Waiter<T> {
  readonly promise: Promise<T>;
  #resolve: (value: T) => void = () => {};
  #reject: (error: Error) => void = () => {};
  #timer: Timer | null = null;
  #signal: AbortSignal | undefined;
  #onAbort: (() => void) | null = null;
  #settled = false;

  /** `expired` makes the error for a wait that ended without an answer. */
  constructor(
    clock: Clock,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    expired: (why: "deadline" | "aborted") => Error,
  ) {
    this.promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (signal?.aborted) {
      this.reject(expired("aborted"));
      return;
    }
    this.#timer = clock.after(timeoutMs, () => this.reject(expired("deadline")));
    if (signal !== undefined) {
      this.#signal = signal;
      this.#onAbort = () => this.reject(expired("aborted"));
      signal.addEventListener("abort", this.#onAbort, { once: true });
    }
  }

  get settled(): boolean {
    return this.#settled;
  }

  resolve(value: T): void {
    if (this.#settle()) this.#resolve(value);
  }

  reject(error: Error): void {
    if (this.#settle()) this.#reject(error);
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#timer?.cancel();
    if (this.#onAbort !== null) this.#signal?.removeEventListener("abort", this.#onAbort);
    return true;
  }
}
