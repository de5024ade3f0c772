/**
 * History keeper: has the leader compact old revisions, so that memory and snapshots stay bounded.
 *
 * Idea. A log entry like any other: every replica forgets the same revisions at the same place in the log. What is kept
 * is what a watcher may have missed and still catch up with.
 *
 * @module
 */
import { type Log, reasonOf } from "../lib/log.ts";
import type { Revision } from "../store/kv.ts";
import type { Store } from "../store/store.ts";

export interface HistoryKeeperPorts {
  readonly store: Store;
  readonly log: Log;
  compact(revision: Revision): Promise<void>;
}

export interface HistoryBounds {
  /** Revisions that are kept for watchers and old reads. */
  readonly keepRevisions: number;
  /** Changes that are kept for them, at least: as many as there are keys where those are more. A change takes some 450 bytes. */
  readonly keepChanges: number;
}

export class HistoryKeeper {
  readonly #ports: HistoryKeeperPorts;
  readonly #bounds: HistoryBounds;
  #busy = false;

  /** Compacts to the bounds whenever there is twice as much. */
  constructor(ports: HistoryKeeperPorts, bounds: HistoryBounds) {
    this.#ports = ports;
    this.#bounds = bounds;
  }

  /** The leader calls this after each command. */
  look(): void {
    if (this.#busy) return;
    const floor = this.#floor();
    if (floor <= this.#ports.store.compactRevision) return;
    this.#busy = true;
    void this.#compact(floor);
  }

  /** A revision is one change or a hundred: many small ones are cut by their number, a few large ones by what they hold. */
  #floor(): Revision {
    const { keepRevisions, keepChanges } = this.#bounds;
    const { revision, compactRevision, changesAboveFloor, history, index } = this.#ports.store;
    const isLong = revision - compactRevision >= 2 * keepRevisions;
    const keep = Math.max(keepChanges, index.size);
    const isLarge = changesAboveFloor >= 2 * keep;
    return Math.max(isLong ? revision - keepRevisions : 0, isLarge ? history.cutFrom(compactRevision, keep) : 0);
  }

  async #compact(revision: Revision): Promise<void> {
    try {
      await this.#ports.compact(revision);
    } catch (error) {
      this.#ports.log.debug("Compacting old revisions failed; the next write tries again", { reason: reasonOf(error) });
    } finally {
      this.#busy = false;
    }
  }
}
