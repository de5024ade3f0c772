/**
 * Proposals that wait for their fate.
 *
 * Idea. An appended command is named by index and term. When some entry is applied at that index, the fate is known:
 * the same term means that it is the command itself, another term that it is gone for good (thesis 3.5, log matching).
 *
 * Invariants.
 * - A waiter leaves when its index is applied, skipped by a snapshot, or the node stops; a deadline settles it early.
 * - Nothing here assumes that this node still leads: a deposed leader's command may yet commit.
 *
 * @module
 */
import type { Entry, LogIndex, Term } from "../types.ts";
import { LostError, UnknownFateError } from "./errors.ts";
import type { Clock } from "./ports.ts";
import { Waiter } from "./waiter.ts";

interface Pending {
  readonly term: Term;
  readonly waiter: Waiter<unknown>;
  /** Proposed at the same index in an earlier term and truncated since; it can still commit under another leader. */
  readonly older: Pending | undefined;
}

export class Proposals {
  readonly #clock: Clock;
  readonly #byIndex = new Map<LogIndex, Pending>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#byIndex.size;
  }

  /** The promise of apply's result for the entry that was just appended. */
  wait(index: LogIndex, term: Term, timeoutMs: number, signal: AbortSignal | undefined): Promise<unknown> {
    const waiter = new Waiter<unknown>(this.#clock, timeoutMs, signal, (why) => new UnknownFateError(why));
    this.#byIndex.set(index, { term, waiter, older: this.#byIndex.get(index) });
    return waiter.promise;
  }

  /** An entry was applied: its proposer gets the result, everyone else at this index is told that they lost. */
  applied(entry: Entry, result: unknown): void {
    let pending = this.#byIndex.get(entry.index);
    if (pending === undefined) return;
    this.#byIndex.delete(entry.index);
    for (; pending !== undefined; pending = pending.older) {
      if (pending.term === entry.term) pending.waiter.resolve(result);
      else pending.waiter.reject(new LostError());
    }
  }

  /** A snapshot brought the state up to `index`: what was applied on the way is not known. */
  skippedTo(index: LogIndex): void {
    for (const [at, pending] of this.#byIndex) {
      if (at > index) continue;
      this.#byIndex.delete(at);
      rejectAll(pending, "snapshot");
    }
  }

  close(): void {
    for (const pending of this.#byIndex.values()) rejectAll(pending, "stopped");
    this.#byIndex.clear();
  }
}

function rejectAll(first: Pending, why: "snapshot" | "stopped"): void {
  for (let pending: Pending | undefined = first; pending !== undefined; pending = pending.older) {
    pending.waiter.reject(new UnknownFateError(why));
  }
}
