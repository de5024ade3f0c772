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

/** Forgotten by one command: every replica does it in one go, within some milliseconds. More than one revision can hold. */
const STEP_CHANGES = 2_000;

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

  /** Compacts to the bounds, a step at a time, whenever there is a step more. */
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
    const keep = Math.max(keepChanges, index.size);
    const isLong = revision - compactRevision >= keepRevisions + Math.min(keepRevisions, STEP_CHANGES);
    const isLarge = changesAboveFloor >= keep + Math.min(keep, STEP_CHANGES);
    if (isLong) return Math.min(revision - keepRevisions, history.cutAfter(compactRevision, STEP_CHANGES));
    return isLarge ? history.cutAfter(compactRevision, Math.min(STEP_CHANGES, changesAboveFloor - keep)) : 0;
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
