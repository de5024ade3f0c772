/**
 * Fence watch: since when the fenced units of a machine without a lease have surely stopped.
 *
 * Idea. The machine stops them by itself (model/fence.ts), so that nobody has to be asked: only time must go by. It is counted
 * from the moment in which this engine learns that the lease is over, which is never too early.
 * Invariants.
 * - A machine is reported once, and not when it is registered again by then.
 *
 * Not here. Whether the machine is dead (deaths.ts): units without a fence wait for that, fenced ones do not.
 *
 * @module
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { FENCE_OVER_MS } from "../model/fence.ts";
import type { MachineId } from "../model/machine.ts";

export class FenceWatch {
  readonly #clock: Clock;
  readonly #onOver: (id: MachineId) => void;
  readonly #timers = new Map<MachineId, Timer>();

  constructor(clock: Clock, onOver: (id: MachineId) => void) {
    this.#clock = clock;
    this.#onOver = onOver;
  }

  /** @param waiting Machines without a lease whose fence time is not known to be over. */
  update(waiting: ReadonlySet<MachineId>): void {
    for (const [id, timer] of this.#timers) {
      if (waiting.has(id)) continue;
      timer.cancel();
      this.#timers.delete(id);
    }
    for (const id of waiting) {
      if (this.#timers.has(id)) continue;
      const over = () => {
        this.#timers.delete(id);
        this.#onOver(id);
      };
      this.#timers.set(id, this.#clock.after(FENCE_OVER_MS, over));
    }
  }

  stop(): void {
    this.update(new Set());
  }
}
