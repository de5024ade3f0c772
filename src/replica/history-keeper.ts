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

export class HistoryKeeper {
  readonly #ports: HistoryKeeperPorts;
  readonly #keepRevisions: number;
  #busy = false;

  /** @param keepRevisions Compacts to this many whenever there are twice as many. */
  constructor(ports: HistoryKeeperPorts, keepRevisions: number) {
    this.#ports = ports;
    this.#keepRevisions = keepRevisions;
  }

  /** The leader calls this after each command. */
  look(): void {
    const { revision, compactRevision } = this.#ports.store;
    if (this.#busy || revision - compactRevision < 2 * this.#keepRevisions) return;
    this.#busy = true;
    void this.#compact(revision - this.#keepRevisions);
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
