/**
 * Clearance: no other machine runs a fenced unit that is about to start here, nor begins to.
 *
 * Problem. A unit is placed here while the machine that it leaves still stops it; or is moved on while this machine is about to start
 * it, and the next one, too. And a machine that was lost a moment ago runs it until its own systemd has stopped it (model/fence.ts),
 * whatever the registry says by then.
 * Idea. Say first, then look. This machine's report of the unit is written before it looks at those of the others, in a view that has
 * caught up since: of two machines that both mean to start it, whoever wrote last sees the other's report, and waits. The one that is
 * not to hold it any more takes its report back; the other goes on. So four things must be true: this report is in the store, the schedule
 * names this machine, no other machine reports the unit, and no machine is gone since less than a fence takes. What is not is waited for.
 * Invariants.
 * - What was found true stays true for as long as the session lives whose report was written: whoever comes later sees that report.
 * - A machine that was away already when this daemon began to look counts from that moment: it may have gone just before.
 * - One that is back counts on: its reports went with its lease, and say nothing until it has made them anew. So does one that was
 *   lost and came back while the view could not tell: it shows when the view is made anew.
 * - A change wakes those that wait for this unit, or for this machine, and nobody else.
 *
 * Not here. This machine's own right to run it, the lease (fence.ts).
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { pause } from "../lib/wait.ts";
import { FENCE_OVER_MS } from "../model/fence.ts";
import { type Machine, type MachineId, shortMachineId } from "../model/machine.ts";
import type { UnitReport } from "../model/states.ts";
import type { CallOptions, MachineSession, Scheduled, ViewChange } from "../registry/types.ts";
import type { Reporter } from "./reporter.ts";

/** The cluster, as the registry's view has it. */
export interface Neighbours {
  sync(options?: CallOptions): Promise<void>;
  reports(name?: string): Iterable<UnitReport>;
  machine(id: MachineId): Machine | undefined;
  scheduledOn(machineId: MachineId, name: string): Scheduled | undefined;
  /** Machines that are not registered and did not leave in order. */
  away(): Iterable<MachineId>;
  /** Machines that were away and are back, with something that is another one each time. */
  returned(): Iterable<readonly [MachineId, number]>;
  /** There is something to be seen. */
  readonly ready: boolean;
  subscribe(listener: (changes: readonly ViewChange[]) => void): () => void;
}

export interface ClearanceOptions {
  readonly neighbours: Neighbours;
  /** What the others can read of this machine. */
  readonly reports: Pick<Reporter, "confirm" | "isAttached">;
  readonly clock: Clock;
  readonly log: Log;
  readonly selfId: MachineId;
}

/** What a start waits for: news of a unit or of a machine, or that this much time goes by. */
interface Obstacle {
  /** For whoever asks the journal why nothing starts. */
  readonly why: string;
  readonly about: string;
  readonly waitMs: number;
}

const LONGEST_WAIT_MS = 3_600_000;

export class Clearance {
  readonly #options: ClearanceOptions;
  #away: ReadonlySet<MachineId> = new Set();
  /** Null before the first look: nobody knows then who is back since when. */
  #returned: ReadonlyMap<MachineId, number> | null = null;
  /** When what a machine ran that lost its lease has surely stopped; until that time is over. */
  readonly #fencedAtMs = new Map<MachineId, number>();
  /** By unit or machine: those have different names. */
  readonly #waiting = new Map<string, Set<() => void>>();
  #unsubscribe: () => void = () => {};

  constructor(options: ClearanceOptions) {
    this.#options = options;
  }

  start(): void {
    this.#unsubscribe = this.#options.neighbours.subscribe((changes) => this.#hear(changes));
    this.#note();
  }

  stop(): void {
    this.#unsubscribe();
  }

  /**
   * Resolves when no other machine runs the unit, nor will, for as long as the returned session is this machine's; with null when
   * the signal is aborted. Rejects with KvError when the store cannot say.
   */
  async granted(name: string, signal: AbortSignal): Promise<MachineSession | null> {
    const { neighbours, reports, log } = this.#options;
    let isTold = false;
    while (!signal.aborted) {
      const session = await reports.confirm(name, signal);
      if (session === null) return null;
      await neighbours.sync({ signal });
      while (!signal.aborted && reports.isAttached(session)) {
        const obstacle = this.#obstacle(name);
        if (obstacle === null) return session;
        if (!isTold) log.info(`Unit "${name}" with Fence=strict waits to be started: ${obstacle.why}`, { unit: name });
        isTold = true;
        await this.#news(obstacle, signal);
      }
    }
    return null;
  }

  /** Whether what was granted then holds now. */
  stands(name: string, session: MachineSession): boolean {
    return this.#options.reports.isAttached(session) && this.#obstacle(name) === null;
  }

  /** Whether what was granted held all the time until now: whoever looked meanwhile saw this machine's report. */
  lasts(session: MachineSession): boolean {
    return this.#options.reports.isAttached(session);
  }

  #obstacle(name: string): Obstacle | null {
    const { neighbours, selfId, clock } = this.#options;
    const endless = { about: name, waitMs: Number.POSITIVE_INFINITY };
    // The agent will hear of it, too.
    if (neighbours.scheduledOn(selfId, name)?.desiredState !== "launched") {
      return { ...endless, why: "it is not to run here any more" };
    }
    for (const { machineId, jobState } of neighbours.reports(name)) {
      if (machineId !== selfId && jobState !== "inactive") {
        return { ...endless, why: `machine ${shortMachineId(machineId)} still holds it` };
      }
    }
    const now = clock.now();
    let last: Obstacle | null = null;
    for (const [id, fencedAtMs] of this.#fencedAtMs) {
      const waitMs = fencedAtMs - now;
      if (waitMs <= (last?.waitMs ?? 0)) continue;
      last = { about: id, waitMs, why: `machine ${shortMachineId(id)} was lost a moment ago, and may run it` };
    }
    return last;
  }

  /** Resolves when the obstacle may be gone, or the signal is aborted. */
  async #news({ about, waitMs }: Obstacle, signal: AbortSignal): Promise<void> {
    const end = new AbortController();
    const wake = () => end.abort();
    const waiting = this.#waiting.get(about) ?? new Set();
    this.#waiting.set(about, waiting.add(wake));
    signal.addEventListener("abort", wake);
    // An hour, or a change: whichever is first, it is looked at again.
    await pause(this.#options.clock, Math.min(waitMs, LONGEST_WAIT_MS), end.signal);
    signal.removeEventListener("abort", wake);
    waiting.delete(wake);
    if (waiting.size === 0 && this.#waiting.get(about) === waiting) this.#waiting.delete(about);
  }

  #wake(about: string): void {
    for (const wake of this.#waiting.get(about) ?? []) wake();
  }

  #hear(changes: readonly ViewChange[]): void {
    if (changes.some(({ kind }) => kind === "machine" || kind === "left" || kind === "reset")) this.#note();
    for (const change of changes) {
      if (change.kind === "report" || change.kind === "schedule") this.#wake(change.name);
      else if (change.kind === "reset") for (const about of [...this.#waiting.keys()]) this.#wake(about);
    }
  }

  #note(): void {
    const { neighbours, clock, selfId } = this.#options;
    const now = clock.now();
    const away = new Set(neighbours.away());
    away.delete(selfId);
    for (const id of away) if (!this.#away.has(id)) this.#fencedAtMs.set(id, now + FENCE_OVER_MS);
    const returned = new Map(neighbours.returned());
    for (const [id, at] of returned) {
      const isNews = this.#returned !== null && this.#returned.get(id) !== at;
      if (isNews && id !== selfId && !this.#away.has(id)) this.#fencedAtMs.set(id, now + FENCE_OVER_MS);
    }
    if (neighbours.ready) this.#returned = returned;
    for (const [id, fencedAtMs] of this.#fencedAtMs) {
      const hasLeft = !away.has(id) && neighbours.machine(id) === undefined;
      if (!hasLeft && fencedAtMs > now) continue;
      this.#fencedAtMs.delete(id);
      this.#wake(id);
    }
    this.#away = away;
  }
}
