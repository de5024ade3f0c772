/**
 * Disk check: reads again, now and then, what lies on the disk and is not read otherwise before the next start; and what to do when the
 * leader knows of more than lies there.
 *
 * Problem. Bits flip in data that nobody reads. Members that run for months would all find out at their next start, perhaps on the same
 * day: a majority that is damaged at once is lost, one member at a time is not.
 * Idea. The machine in memory is sound, so the cure costs nobody anything: a snapshot of the present state takes the place of the damaged
 * one, and of the log that it stands for.
 *
 * Invariants.
 * - One pass at a time; `stop()` resolves when none runs any more.
 *
 * @module
 */
import type { LogIndex } from "../types.ts";
import { type Clock, CorruptLogError, type LogStorage, type RaftLog, type Timer } from "./ports.ts";

export interface DiskCheckOptions {
  readonly clock: Clock;
  readonly storage: LogStorage;
  readonly everyMs: number;
  readonly log: RaftLog;
  /** Writes anew what is damaged. */
  readonly renew: () => Promise<void>;
  readonly fatal: (error: Error) => void;
}

export class DiskCheck {
  readonly #options: DiskCheckOptions;
  #timer: Timer | null = null;
  #pass: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: DiskCheckOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#stopped) return;
    const { clock, everyMs } = this.#options;
    this.#timer = clock.after(everyMs, () => {
      this.#pass = this.#check().then(() => this.start(), this.#options.fatal);
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#pass;
  }

  async #check(): Promise<void> {
    const { storage, log, renew } = this.#options;
    try {
      await storage.verify(() => this.#stopped);
    } catch (error) {
      if (!(error instanceof CorruptLogError)) throw error;
      log.error(
        "The disk gave back something else than was written to it: a snapshot of the present state takes its place",
        {
          found: error.message,
        },
      );
      await renew();
    }
  }
}

/**
 * A disk in place of another one, or put back to an older state, looks new, or sound: that it is not can only be heard. The next start
 * recovers from it as from damage.
 *
 * @param confirmed An entry that this member had confirmed to its leader.
 */
export async function distrust(storage: LogStorage, confirmed: LogIndex, lastIndex: LogIndex): Promise<never> {
  const found =
    "The disk is not the one that this member wrote to, or an older state of it: " +
    `the member had confirmed entry ${confirmed} to its leader, and the log ends at ${lastIndex}`;
  await storage.condemn(found);
  throw new CorruptLogError(`${found}: it has to start again, and is rebuilt from the leader then`);
}
