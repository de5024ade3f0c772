/**
 * The real Clock: monotonic milliseconds and timers of the runtime.
 *
 * Invariants.
 * - `now` never goes backwards, whatever happens to the wall clock (CLOCK_MONOTONIC).
 * - A timer does not keep the process alive: what does is a listener or a child, and those have owners that end them.
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";

/** setTimeout takes 31 bits of milliseconds; beyond that it would fire at once. */
const LONGEST_TIMER_MS = 2_147_483_647;

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, run) {
    const handle = setTimeout(run, Math.min(Math.max(0, delayMs), LONGEST_TIMER_MS));
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};
