/**
 * Seeds one after the other: until the last one, the end of the time given, or Ctrl-C.
 *
 * @module
 */
import { interruption } from "../programs/interruption.ts";
import { Progress } from "./progress.ts";

export interface SeedsOptions {
  readonly first: number;
  readonly last: number;
  /** Without it the last seed is the end. */
  readonly minutes?: number | undefined;
  /** In a seed's life. */
  readonly seedMs: number;
  /** Nothing but the results: a single seed, or one whose life is printed. */
  readonly isQuiet: boolean;
}

/** What came of the seeds, beside what the caller counts. */
export class Seeds {
  readonly #options: SeedsOptions;
  readonly #interruption = interruption();
  readonly #endMs: number;
  readonly #progress: Progress | null;
  done = 0;
  failed = 0;

  constructor(options: SeedsOptions) {
    this.#options = options;
    const { first, last, minutes, seedMs, isQuiet } = options;
    this.#endMs = minutes === undefined ? Number.POSITIVE_INFINITY : performance.now() + minutes * 60_000;
    const time = minutes === undefined ? "" : `, for ${minutes} min`;
    if (!isQuiet) process.stderr.write(`seeds ${first} to ${last}${time}\n`);
    this.#progress = isQuiet ? null : progressOn(process.stderr, options, this.#endMs, seedMs);
  }

  /** @param live The life of a seed; it says whether it failed. */
  async each(live: (seed: number) => Promise<boolean> | boolean): Promise<void> {
    const { first, last } = this.#options;
    for (let seed = first; seed <= last && performance.now() < this.#endMs; seed++) {
      const isFailed = await live(seed);
      this.done += 1;
      if (isFailed) this.failed += 1;
      this.#progress?.seedDone(isFailed);
      // Lives take no turn of the loop: signals come in between.
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (this.#interruption.signal.aborted) break;
    }
    this.#progress?.clear();
  }

  /** Before something is printed. */
  makeRoom(): void {
    this.#progress?.clear();
  }

  get exitCode(): number {
    return this.#interruption.exitCode() ?? (this.failed > 0 ? 1 : 0);
  }
}

function progressOn(
  stream: NodeJS.WriteStream,
  { first, last, minutes }: SeedsOptions,
  endMs: number,
  seedMs: number,
): Progress {
  return new Progress({
    seeds: minutes === undefined ? last - first + 1 : null,
    seedMs,
    endMs,
    isTerminal: stream.isTTY === true,
    write: (text) => {
      stream.write(text);
    },
    nowMs: () => performance.now(),
    cpuMs: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    },
  });
}

/** A promise that nobody holds and that fails is found between two seeds: it is a violation, too. */
export async function withLost<R extends { readonly violation: Error | null }>(live: () => R): Promise<R> {
  let lost: unknown = null;
  const onLost = (error: unknown) => {
    lost ??= error;
  };
  process.on("unhandledRejection", onLost);
  const result = live();
  await new Promise<void>((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", onLost);
  if (lost === null || result.violation !== null) return result;
  return { ...result, violation: new Error(`Nobody took a failure: ${String(lost)}`, { cause: lost }) };
}
