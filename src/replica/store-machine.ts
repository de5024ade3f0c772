/**
 * Raft's state machine over a store: log entries in, results out.
 *
 * Invariants.
 * - Entries are applied in index order; the position is that of the last one, also after a restore.
 * - What was written by a program that knows more than this one ends the daemon with advice: going on would part the replicas.
 *   What cannot be decoded at all is an assertion.
 * - Whatever replaces the state, by raft's hand or another member's, leaves position and digests those of what is there now.
 *
 * @module
 */
import type { Entry, LogIndex, StateLoader, StateMachine } from "#raft";
import type { Clock } from "../lib/clock.ts";
import { NewerFormatError } from "../lib/format.ts";
import { reasonOf } from "../lib/log.ts";
import { decodeCommand } from "../store/codec.ts";
import type { Command, CommandResult } from "../store/command.ts";
import type { Digest } from "../store/digest.ts";
import { type ReadSnapshot, SnapshotReader } from "../store/snapshot.ts";
import { Store } from "../store/store.ts";
import { DigestTrail } from "./digest-trail.ts";
import { Replacement } from "./replacement.ts";

/** What a proposer on this node is told. */
export interface Applied {
  readonly index: LogIndex;
  readonly result: CommandResult;
}

interface PositionWaiter {
  readonly index: LogIndex;
  readonly reached: () => void;
}

export class StoreMachine implements StateMachine {
  readonly store: Store;
  #position: LogIndex = 0;
  /** By index, lowest first. */
  #waiters: PositionWaiter[] = [];
  readonly #listeners = new Set<() => void>();
  readonly #trail = new DigestTrail();
  #replacement: Replacement | null = null;

  constructor(store: Store = new Store()) {
    this.store = store;
  }

  /** Index of the last command that the store has seen. */
  get position(): LogIndex {
    return this.#position;
  }

  apply(entry: Entry): Applied {
    const result = this.store.apply(decode(entry));
    this.#trail.record(entry.index, this.store.digest);
    this.#replacement?.keep(entry);
    this.#reach(entry.index);
    this.#replaceIfDue();
    for (const listener of this.#listeners) listener();
    return { index: entry.index, result };
  }

  /** Called after each command. */
  onApply(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  snapshot(): AsyncIterable<Uint8Array> {
    return inTurns(this.store.snapshot(this.#position));
  }

  /** The reader builds index and history as the bytes come, so that putting them in place takes no time. */
  load(): StateLoader {
    const reader = new SnapshotReader();
    return {
      write: (chunk) => reader.write(chunk),
      finish: () => {
        const content = reader.finish();
        return () => this.#install(content);
      },
    };
  }

  /** The store's digest right after this entry; undefined when that was no command, is too long ago, or not yet. */
  digestAt(index: LogIndex): Digest | undefined {
    return this.#trail.at(index);
  }

  /** Begins to keep what another member's state will need to be brought up to date. A former one ends there. */
  beginReplacement(): Replacement {
    this.endReplacement();
    this.#replacement = new Replacement(this.#position);
    return this.#replacement;
  }

  /** That member's state is here, all of it: it takes this one's place, at once or when this member has come so far. */
  replaceBy(state: ReadSnapshot): void {
    this.#replacement?.offer(state);
    this.#replaceIfDue();
  }

  endReplacement(): void {
    this.#replacement?.fail("it was given up");
    this.#replacement = null;
  }

  /** Resolves once the store has seen this entry, or after `patienceMs`: then false. */
  reached(index: LogIndex, clock: Clock, patienceMs: number): Promise<boolean> {
    if (this.#position >= index) return Promise.resolve(true);
    return new Promise((resolve) => {
      const waiter: PositionWaiter = {
        index,
        reached: () => {
          timer.cancel();
          resolve(true);
        },
      };
      const timer = clock.after(patienceMs, () => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        resolve(false);
      });
      this.#insert(waiter);
    });
  }

  /** Raft's own snapshot comes from the leader, and needs no mending. */
  #install(state: ReadSnapshot): void {
    this.#replacement?.fail("raft has installed a snapshot meanwhile");
    this.#replacement = null;
    this.#restored(this.store.restore(state));
  }

  #replaceIfDue(): void {
    const due = this.#replacement?.dueAt(this.#position);
    if (due === undefined || due === null) return;
    this.#restored(this.store.restore(due.state));
    for (const entry of due.entries) {
      this.store.apply(decode(entry));
      this.#trail.record(entry.index, this.store.digest);
      this.#reach(entry.index);
    }
    this.#replacement?.succeed();
    this.#replacement = null;
  }

  #restored(position: LogIndex): void {
    this.#trail.clear();
    this.#trail.record(position, this.store.digest);
    this.#reach(position);
  }

  /** Indexes mostly come in order: the place is at the end, or close to it. */
  #insert(waiter: PositionWaiter): void {
    let at = this.#waiters.length;
    while (at > 0 && (this.#waiters[at - 1] as PositionWaiter).index > waiter.index) at--;
    this.#waiters.splice(at, 0, waiter);
  }

  #reach(index: LogIndex): void {
    this.#position = index;
    let done = 0;
    for (; done < this.#waiters.length; done++) {
      const waiter = this.#waiters[done] as PositionWaiter;
      if (waiter.index > index) break;
      waiter.reached();
    }
    if (done > 0) this.#waiters.splice(0, done);
  }
}

function decode(entry: Entry): Command {
  try {
    return decodeCommand(entry.data);
  } catch (error) {
    if (error instanceof NewerFormatError) throw error;
    throw new Error(`Assertion failed: log entry ${entry.index} is no command this program knows: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** Slices come from a pinned state, so whoever takes them may let any amount of time pass in between. */
async function* inTurns(slices: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* slices;
}
