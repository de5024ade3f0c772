/**
 * Raft's state machine over a store: log entries in, results out.
 *
 * Invariants.
 * - Entries are applied in index order; the position is that of the last one, also after a restore.
 * - What was written by a program that knows more than this one ends the daemon with advice: going on would part the replicas.
 *   What cannot be decoded at all is an assertion.
 *
 * @module
 */
import type { Entry, LogIndex, StateLoader, StateMachine } from "#raft";
import type { Clock } from "../lib/clock.ts";
import { NewerFormatError } from "../lib/format.ts";
import { reasonOf } from "../lib/log.ts";
import { decodeCommand } from "../store/codec.ts";
import type { Command, CommandResult } from "../store/command.ts";
import { SnapshotReader } from "../store/snapshot.ts";
import { Store } from "../store/store.ts";

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

  constructor(store: Store = new Store()) {
    this.store = store;
  }

  /** Index of the last command that the store has seen. */
  get position(): LogIndex {
    return this.#position;
  }

  apply(entry: Entry): Applied {
    const result = this.store.apply(decode(entry));
    this.#reach(entry.index);
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
        return () => this.#reach(this.store.restore(content));
      },
    };
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
