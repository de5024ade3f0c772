/**
 * What somebody who waits for many seeds is told meanwhile: on a terminal one line that is written anew, elsewhere a line now and then.
 *
 * Invariant. It goes to stderr: stdout has the results and nothing else.
 *
 * Not here. When a seed counts as failed: the caller's.
 *
 * @module
 */

const TERMINAL_EVERY_MS = 500;
const LOG_EVERY_MS = 30_000;
const CLEAR_LINE = "\r\x1b[K";

export interface ProgressOptions {
  /** Null where only the clock ends it. */
  readonly seeds: number | null;
  /** In a seed's life. */
  readonly seedMs: number;
  /** At which the clock ends it, by `nowMs`; infinite where only the seeds do. */
  readonly endMs: number;
  readonly isTerminal: boolean;
  readonly write: (text: string) => void;
  readonly nowMs: () => number;
  /** Of the processor, that this process has used. */
  readonly cpuMs: () => number;
}

export class Progress {
  readonly #options: ProgressOptions;
  readonly #beginMs: number;
  readonly #beginCpuMs: number;
  #toldMs: number;
  #done = 0;
  #failed = 0;
  #isOnLine = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#beginMs = options.nowMs();
    this.#beginCpuMs = options.cpuMs();
    this.#toldMs = this.#beginMs;
  }

  seedDone(isFailed: boolean): void {
    this.#done += 1;
    if (isFailed) this.#failed += 1;
    const { isTerminal, nowMs, write } = this.#options;
    const now = nowMs();
    if (now - this.#toldMs < (isTerminal ? TERMINAL_EVERY_MS : LOG_EVERY_MS)) return;
    this.#toldMs = now;
    write(isTerminal ? CLEAR_LINE + this.#line(now) : `${this.#line(now)}\n`);
    this.#isOnLine = isTerminal;
  }

  /** Makes room for something else on the terminal. */
  clear(): void {
    if (this.#isOnLine) this.#options.write(CLEAR_LINE);
    this.#isOnLine = false;
  }

  #line(now: number): string {
    const { seeds, seedMs, endMs, cpuMs } = this.#options;
    const passedMs = now - this.#beginMs;
    const seedsLeft = seeds === null ? Number.POSITIVE_INFINITY : seeds - this.#done;
    const leftMs = Math.min(endMs - now, (seedsLeft * passedMs) / this.#done);
    const hours = Math.round((this.#done * seedMs) / (cpuMs() - this.#beginCpuMs));
    const of = seeds === null ? "" : ` of ${seeds}`;
    return `${this.#done}${of} seeds, ${this.#failed} failed; ${hours} simulated hours per core hour; ${shown(leftMs)} to go`;
  }
}

function shown(ms: number): string {
  return ms < 90_000 ? `${Math.max(0, Math.round(ms / 1000))} s` : `${Math.round(ms / 60_000)} min`;
}
