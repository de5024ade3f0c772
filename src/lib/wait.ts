/**
 * Waiting that always ends: a pause and a deadline, both on the Clock port and both cut short by a signal, or by one of several.
 *
 * @module
 */
import type { Clock } from "./clock.ts";

/** Resolves after the delay, or at once when the signal is aborted: look at the signal afterwards. */
export function pause(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const end = () => {
      timer.cancel();
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = clock.after(delayMs, end);
    signal?.addEventListener("abort", end);
  });
}

export interface LinkedSignal extends Disposable {
  readonly signal: AbortSignal;
}

/**
 * A signal that is aborted as soon as one of these is, until it is disposed of.
 *
 * AbortSignal.any() does the same, but Bun 1.4.5 never frees what it returns once somebody has listened to it, with all that the
 * listener holds: not for what happens again and again in a daemon.
 */
export function linkSignals(signals: readonly AbortSignal[]): LinkedSignal {
  const controller = new AbortController();
  const abort = () => controller.abort();
  for (const signal of signals) signal.addEventListener("abort", abort);
  if (signals.some((signal) => signal.aborted)) abort();
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const signal of signals) signal.removeEventListener("abort", abort);
    },
  };
}

export interface Deadline {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** The error to reject with when time ran out, or when the signal was aborted. */
  readonly error: (why: "timeout" | "aborted") => Error;
}

/** Settles as the work does, or rejects when its time is up; the work itself goes on, and its outcome is dropped. */
export function within<T>(clock: Clock, work: Promise<T>, deadline: Deadline): Promise<T> {
  return new Promise((resolve, reject) => {
    const { signal } = deadline;
    const finish = () => {
      timer.cancel();
      signal?.removeEventListener("abort", abort);
    };
    const abort = () => {
      finish();
      reject(deadline.error("aborted"));
    };
    const timer = clock.after(deadline.timeoutMs, () => {
      finish();
      reject(deadline.error("timeout"));
    });
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
    work.then(
      (value) => {
        finish();
        resolve(value);
      },
      (error: unknown) => {
        finish();
        reject(error);
      },
    );
  });
}
