/**
 * From samples to rates: the latest of each machine, beside the one before it. Pure.
 *
 * Invariants.
 * - A rate is taken between two samples of one machine, on its own clock; a unit that was started anew in between has none.
 * - A machine that is silent for STALE_INTERVALS is forgotten.
 *
 * @module
 */
import type { MachineRef } from "../../model/events.ts";
import type { Usage, UsageEvent, UsageSample } from "../../model/usage.ts";

/** `cpu` in percent of one processor; null: not known, or not accounted for. */
export interface Figures {
  readonly cpu: number | null;
  readonly cpuNs: number | null;
  readonly memory: number | null;
  readonly tasks: number | null;
}

export interface MachineRow extends Figures {
  readonly machine: MachineRef;
  /** Units that run there. */
  readonly units: number;
  /** Why there are no figures now. */
  readonly problem: string | null;
}

export interface UnitRow extends Figures {
  readonly name: string;
  readonly machine: MachineRef;
}

interface Entry {
  readonly machine: MachineRef;
  readonly latest: UsageSample | null;
  readonly before: UsageSample | null;
  readonly problem: string | null;
  readonly heardAtMs: number;
}

const STALE_INTERVALS = 5;
const STALE_MIN_MS = 10_000;

export class UsageBook {
  readonly #entries = new Map<string, Entry>();
  readonly #staleMs: number;

  constructor(intervalMs: number) {
    this.#staleMs = Math.max(STALE_MIN_MS, STALE_INTERVALS * intervalMs);
  }

  take(event: UsageEvent, nowMs: number): void {
    const { machine } = event;
    const known = this.#entries.get(machine.id);
    const entry: Entry =
      "problem" in event
        ? { machine, latest: known?.latest ?? null, before: null, problem: event.problem, heardAtMs: nowMs }
        : { machine, latest: event, before: known?.latest ?? null, problem: null, heardAtMs: nowMs };
    this.#entries.set(machine.id, entry);
  }

  /** Whether it has a rate of this machine, or knows that there will be none. */
  isSettled(machineId: string): boolean {
    const entry = this.#entries.get(machineId);
    return entry !== undefined && (entry.before !== null || entry.problem !== null);
  }

  forgetStale(nowMs: number): void {
    for (const [id, { heardAtMs }] of this.#entries) {
      if (nowMs - heardAtMs > this.#staleMs) this.#entries.delete(id);
    }
  }

  /** By id. */
  machines(): MachineRow[] {
    const rows = [...this.#entries.values()].map((entry): MachineRow => {
      const { machine, latest, problem } = entry;
      if (latest === null || problem !== null) return { machine, ...NO_FIGURES, units: 0, problem };
      return {
        machine,
        ...figures(latest.total, entry.before?.total, elapsed(entry)),
        units: latest.units.length,
        problem,
      };
    });
    return rows.sort((one, other) => (one.machine.id < other.machine.id ? -1 : 1));
  }

  /** By name, then machine. */
  units(): UnitRow[] {
    const rows: UnitRow[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.latest === null || entry.problem !== null) continue;
      const before = new Map(entry.before?.units.map((unit) => [unit.name, unit]));
      for (const unit of entry.latest.units) {
        rows.push({
          name: unit.name,
          machine: entry.machine,
          ...figures(unit, before.get(unit.name), elapsed(entry)),
        });
      }
    }
    return rows.sort((one, other) => compare(one.name, other.name) || compare(one.machine.id, other.machine.id));
  }
}

const NO_FIGURES: Figures = { cpu: null, cpuNs: null, memory: null, tasks: null };

function elapsed({ latest, before }: Entry): number {
  return latest === null || before === null ? 0 : latest.atMs - before.atMs;
}

function figures(now: Usage, before: Usage | undefined, elapsedMs: number): Figures {
  return {
    cpu: rate(now.cpuNs, before?.cpuNs, elapsedMs),
    cpuNs: now.cpuNs ?? null,
    memory: now.memoryBytes ?? null,
    tasks: now.tasks ?? null,
  };
}

function rate(nowNs: number | undefined, beforeNs: number | undefined, elapsedMs: number): number | null {
  if (nowNs === undefined || beforeNs === undefined || elapsedMs <= 0 || nowNs < beforeNs) return null;
  return (nowNs - beforeNs) / (elapsedMs * 10_000);
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
