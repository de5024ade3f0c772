/**
 * Clearance: no other machine runs a fenced unit that is about to start here.
 *
 * Problem. A unit is placed here while the machine that it leaves still stops it; and a machine that was lost a moment ago runs it until
 * its own systemd has stopped it (model/fence.ts), whatever the registry says by then.
 * Idea. Two questions to what this daemon knows of the cluster, after it has caught up: does another machine report the unit? And is a
 * machine gone since less than a fence takes? Only when both are answered with no the unit may start; until then each change is waited for.
 * Invariants.
 * - A machine that was away already when this daemon began to look counts from that moment: it may have gone just before.
 * - One that is back counts on: its reports went with its lease, and say nothing until it has made them anew.
 *
 * Not here. This machine's own right to run it, the lease (fence.ts).
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import { pause } from "../lib/wait.ts";
import { FENCE_OVER_MS } from "../model/fence.ts";
import type { Machine, MachineId } from "../model/machine.ts";
import type { UnitReport } from "../model/states.ts";
import type { CallOptions, ViewChange } from "../registry/types.ts";

/** The other machines, as the registry's view has them. */
export interface Neighbours {
  sync(options?: CallOptions): Promise<void>;
  reports(name?: string): Iterable<UnitReport>;
  machine(id: MachineId): Machine | undefined;
  /** Machines that are not registered and did not leave in order. */
  away(): Iterable<MachineId>;
  subscribe(listener: (changes: readonly ViewChange[]) => void): () => void;
}

export interface ClearanceOptions {
  readonly neighbours: Neighbours;
  readonly clock: Clock;
  readonly selfId: MachineId;
}

const LONGEST_WAIT_MS = 3_600_000;

export class Clearance {
  readonly #options: ClearanceOptions;
  #away: ReadonlySet<MachineId> = new Set();
  /** When what a machine ran that lost its lease has surely stopped; until that time is over. */
  readonly #fencedAtMs = new Map<MachineId, number>();
  #change = Promise.withResolvers<void>();
  #unsubscribe: () => void = () => {};

  constructor(options: ClearanceOptions) {
    this.#options = options;
  }

  start(): void {
    this.#unsubscribe = this.#options.neighbours.subscribe((changes) => {
      if (changes.some(({ kind }) => kind === "machine" || kind === "left" || kind === "reset")) this.#note();
      this.#change.resolve();
      this.#change = Promise.withResolvers();
    });
    this.#note();
  }

  stop(): void {
    this.#unsubscribe();
  }

  /** Resolves when no other machine runs the unit, or when the signal is aborted. Rejects with KvError when the store cannot say. */
  async granted(name: string, signal: AbortSignal): Promise<void> {
    const { neighbours, clock } = this.#options;
    await neighbours.sync({ signal });
    while (!signal.aborted) {
      const changed = this.#change.promise;
      const waitMs = this.#isHeldElsewhere(name) ? Number.POSITIVE_INFINITY : this.#untilFenced();
      if (waitMs <= 0) return;
      const end = new AbortController();
      const abort = () => end.abort();
      signal.addEventListener("abort", abort);
      void changed.then(abort);
      // An hour, or a change: whichever is first, it is looked at again.
      await pause(clock, Math.min(waitMs, LONGEST_WAIT_MS), end.signal);
      signal.removeEventListener("abort", abort);
    }
  }

  #isHeldElsewhere(name: string): boolean {
    for (const report of this.#options.neighbours.reports(name)) {
      if (report.machineId !== this.#options.selfId && report.jobState !== "inactive") return true;
    }
    return false;
  }

  /** How long until the machine that went last has stopped what it ran. */
  #untilFenced(): number {
    const now = this.#options.clock.now();
    let waitMs = 0;
    for (const fencedAtMs of this.#fencedAtMs.values()) waitMs = Math.max(waitMs, fencedAtMs - now);
    return waitMs;
  }

  #note(): void {
    const { neighbours, clock, selfId } = this.#options;
    const now = clock.now();
    const away = new Set(neighbours.away());
    away.delete(selfId);
    for (const id of away) if (!this.#away.has(id)) this.#fencedAtMs.set(id, now + FENCE_OVER_MS);
    for (const [id, fencedAtMs] of this.#fencedAtMs) {
      const hasLeft = !away.has(id) && neighbours.machine(id) === undefined;
      if (hasLeft || fencedAtMs <= now) this.#fencedAtMs.delete(id);
    }
    this.#away = away;
  }
}
