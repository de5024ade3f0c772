/**
 * Linearizable read points for many concurrent readers, one quorum round for all of them (thesis 6.4).
 *
 * Idea. Readers gather while a round is on its way; when it ends, the next one starts for all who came meanwhile. A
 * reader never joins a round that began before it asked: that round's index could miss a write it already saw.
 *
 * Invariants.
 * - At most one round is out. A round without an answer is given up after `retryMs` and its readers join the next.
 * - Contexts never repeat, not even over restarts (they begin at a random number): a reply that was meant for an
 *   earlier life of this node must not answer today's reader.
 *
 * @module
 */
import type { LogIndex, ReadState } from "../types.ts";
import { DroppedError } from "./errors.ts";
import type { Clock, Timer } from "./ports.ts";
import { Waiter } from "./waiter.ts";

interface Confirmed {
  readonly index: LogIndex;
  readonly readers: readonly Waiter<LogIndex>[];
}

export interface ReadsOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly retryMs: number;
  /** Starts a round in the core. */
  readonly ask: (context: number) => "accepted" | "no-leader";
  /** Asks for a turn of the loop, which calls begin(). */
  readonly wake: () => void;
}

/** Room for 2^47 rounds above the largest start: no restart ever runs out of contexts. */
const CONTEXT_START_MAX = 2 ** 52;

export class Reads {
  readonly #options: ReadsOptions;
  #context: number;
  #gathering: Waiter<LogIndex>[] = [];
  #round: { readonly context: number; readonly readers: Waiter<LogIndex>[] } | null = null;
  #retry: Timer | null = null;
  #confirmed: Confirmed[] = [];
  #applied: LogIndex = 0;

  constructor(options: ReadsOptions) {
    this.#options = options;
    this.#context = 1 + Math.floor(options.random() * CONTEXT_START_MAX);
  }

  read(timeoutMs: number, signal: AbortSignal | undefined): Promise<LogIndex> {
    const reader = new Waiter<LogIndex>(this.#options.clock, timeoutMs, signal, (why) => unanswered(why));
    this.#gathering.push(reader);
    this.#options.wake();
    return reader.promise;
  }

  /** Called in each turn of the loop: starts the next round when one is due. */
  begin(): void {
    if (this.#round !== null || this.#retry !== null || this.#gathering.length === 0) return;
    const readers = this.#gathering.filter((reader) => !reader.settled);
    this.#gathering = [];
    if (readers.length === 0) return;
    this.#context += 1;
    if (this.#options.ask(this.#context) === "accepted") this.#round = { context: this.#context, readers };
    else this.#gathering = readers;
    this.#retry = this.#options.clock.after(this.#options.retryMs, () => this.#giveUpRound());
  }

  answered(state: ReadState): void {
    const round = this.#round;
    if (round === null || round.context !== state.context) return;
    this.#round = null;
    if (state.index === null) {
      // Refused: the running timer starts the next round, so that a leader that is not ready yet is not flooded.
      this.#gathering.push(...round.readers);
      return;
    }
    this.#cancelRetry();
    this.#confirmed.push({ index: state.index, readers: round.readers });
    this.appliedTo(this.#applied);
    this.#options.wake();
  }

  /** There is another leader, or this one is ready now: no use in waiting for the old round. */
  leaderChanged(): void {
    this.#giveUpRound();
  }

  appliedTo(index: LogIndex): void {
    this.#applied = index;
    if (this.#confirmed.length === 0) return;
    this.#confirmed = this.#confirmed.filter((confirmed) => {
      if (confirmed.index > index) return true;
      for (const reader of confirmed.readers) reader.resolve(confirmed.index);
      return false;
    });
  }

  close(): void {
    this.#cancelRetry();
    const all = [...this.#gathering, ...(this.#round?.readers ?? []), ...this.#confirmed.flatMap((c) => c.readers)];
    this.#gathering = [];
    this.#round = null;
    this.#confirmed = [];
    for (const reader of all) reader.reject(new DroppedError("stopped", "Read: this node is stopping"));
  }

  #giveUpRound(): void {
    this.#cancelRetry();
    if (this.#round !== null) {
      this.#gathering.push(...this.#round.readers);
      this.#round = null;
    }
    if (this.#gathering.length > 0) this.#options.wake();
  }

  #cancelRetry(): void {
    this.#retry?.cancel();
    this.#retry = null;
  }
}

function unanswered(why: "deadline" | "aborted"): DroppedError {
  return why === "aborted"
    ? new DroppedError("aborted", "Read: the caller went away")
    : new DroppedError("deadline", "Read: no leader confirmed it with a quorum before the deadline");
}
