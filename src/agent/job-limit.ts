/**
 * JobLimit: how many of our orders systemd works on at a time.
 *
 * Problem. PID 1 loses the bus with more than 512 jobs of ours pending (it keeps a match rule a job, and the bus allows
 * 512 a connection); yet units that take minutes to start must not keep all others waiting.
 * Idea. Two limits: 64 jobs that are young, and 256 in all. A job that has run for SLOW_AFTER_MS makes room among the
 * young ones. An order that replaces the unit's own pending job adds none, and passes (`force`).
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";

/** Measured: more than 64 at once start nothing faster. */
export const YOUNG_JOBS_MAX = 64;
/** Half of what PID 1 can bear, so that other programs have room, too. */
export const JOBS_MAX = 256;
export const SLOW_AFTER_MS = 2000;

export interface JobLimits {
  readonly young: number;
  readonly all: number;
  readonly slowAfterMs: number;
}

export class JobLimit {
  readonly #clock: Clock;
  readonly #limits: JobLimits;
  /** In the order of asking. */
  readonly #waiting = new Set<() => void>();
  #young = 0;
  #all = 0;

  constructor(clock: Clock, limits: JobLimits = { young: YOUNG_JOBS_MAX, all: JOBS_MAX, slowAfterMs: SLOW_AFTER_MS }) {
    this.#clock = clock;
    this.#limits = limits;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Jobs that systemd has not ended. */
  get running(): number {
    return this.#all;
  }

  /**
   * Resolves when there is room, with what is to be called when the job has ended (calling it again does nothing);
   * with null when the signal was aborted first.
   */
  enter(signal: AbortSignal, force = false): Promise<(() => void) | null> {
    if (signal.aborted) return Promise.resolve(null);
    if (force || (this.#hasRoom() && this.#waiting.size === 0)) return Promise.resolve(this.#admit());
    return new Promise((resolve) => {
      const abort = () => {
        this.#waiting.delete(admit);
        resolve(null);
      };
      const admit = () => {
        signal.removeEventListener("abort", abort);
        resolve(this.#admit());
      };
      this.#waiting.add(admit);
      signal.addEventListener("abort", abort, { once: true });
    });
  }

  #hasRoom(): boolean {
    return this.#young < this.#limits.young && this.#all < this.#limits.all;
  }

  #admit(): () => void {
    this.#young++;
    this.#all++;
    let young = true;
    let pending = true;
    const age = () => {
      if (young) this.#young--;
      young = false;
    };
    const timer = this.#clock.after(this.#limits.slowAfterMs, () => {
      age();
      this.#letIn();
    });
    return () => {
      if (!pending) return;
      pending = false;
      timer.cancel();
      age();
      this.#all--;
      this.#letIn();
    };
  }

  #letIn(): void {
    for (const admit of this.#waiting) {
      if (!this.#hasRoom()) return;
      this.#waiting.delete(admit);
      admit();
    }
  }
}
