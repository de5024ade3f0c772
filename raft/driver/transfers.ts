/**
 * Handing the leadership over, and waiting for what comes of it.
 *
 * Idea. The heir is asked to campaign; that it leads is seen as everybody sees it, by the change of leader. Who hears nothing of it within
 * an election timeout is told no, and the leader goes on.
 *
 * @module
 */
import type { RaftCore } from "../core/raft-core.ts";
import type { NodeId } from "../types.ts";
import { DroppedError } from "./errors.ts";
import type { Clock } from "./ports.ts";
import { Waiter } from "./waiter.ts";

interface Transfer {
  readonly to: NodeId;
  readonly waiter: Waiter<boolean>;
}

export interface TransfersOptions {
  readonly clock: Clock;
  readonly electionTimeoutMs: number;
  /** Asks for a turn of the loop. */
  readonly wake: () => void;
}

export class Transfers {
  readonly #options: TransfersOptions;
  #waiting: readonly Transfer[] = [];

  constructor(options: TransfersOptions) {
    this.#options = options;
  }

  /** True once `to` leads; false when this node cannot hand over, or nothing came of it within an election timeout. */
  async begin(core: RaftCore, to: NodeId): Promise<boolean> {
    if (core.leader === to) return true;
    if (!core.transferLeader(to)) return false;
    const { clock, electionTimeoutMs, wake } = this.#options;
    const timedOut = new DroppedError("deadline", "Transfer leadership: nothing came of it in time");
    const waiter = new Waiter<boolean>(clock, electionTimeoutMs, undefined, () => timedOut);
    const transfer: Transfer = { to, waiter };
    this.#waiting = [...this.#waiting, transfer];
    wake();
    try {
      return await waiter.promise;
    } catch (error) {
      if (error !== timedOut) throw error;
      return false;
    } finally {
      this.#waiting = this.#waiting.filter((other) => other !== transfer);
    }
  }

  leaderIs(leader: NodeId): void {
    for (const { to, waiter } of this.#waiting) if (leader === to) waiter.resolve(true);
  }

  close(): void {
    for (const { waiter } of this.#waiting) waiter.resolve(false);
  }
}
