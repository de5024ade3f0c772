/**
 * What may go wrong in one seed, and how badly. Each seed turns a random subset on.
 *
 * @module
 */
import type { SeededRandom } from "../random.ts";

/** What acts on each message, or on each process from its start. */
export const STEADY_FAULTS = ["loss", "delay", "reordering", "duplication", "clock-skew", "slow-disk"] as const;
/** What strikes at a moment. */
export const STRIKES = [
  "one-way-cut",
  "partition",
  "isolation",
  "reset",
  "clock-jump",
  "pause",
  "crash",
  "crash-of-the-leader",
  "crash-of-many",
  "power-off",
  "full-disk",
  "corruption",
  "snapshot",
  "transfer",
  "membership",
] as const;

export const FAULT_KINDS = [...STEADY_FAULTS, ...STRIKES];

export type Strike = (typeof STRIKES)[number];
export type FaultKind = (typeof STEADY_FAULTS)[number] | Strike;

export interface Weather {
  readonly on: ReadonlySet<FaultKind>;
  readonly strikes: readonly Strike[];
  readonly lossChance: number;
  readonly duplicateChance: number;
  readonly delayMs: number;
  readonly lateChance: number;
  readonly lateMs: number;
  readonly skew: number;
  readonly diskMs: number;
  readonly slowDiskChance: number;
  readonly slowDiskMs: number;
  /** Longest calm between two strikes. */
  readonly calmMs: number;
  /** Hosts that nobody has told who takes part. */
  readonly newcomers: number;
}

/** @param without Kinds that are off whatever the seed says. */
export function drawWeather(random: SeededRandom, without: ReadonlySet<FaultKind>): Weather {
  const bad = random.between(0.2, 0.8);
  const draw = <T extends FaultKind>(kinds: readonly T[]) =>
    kinds.filter((kind) => random.chance(bad) && !without.has(kind));
  const steady = draw(STEADY_FAULTS);
  const strikes = draw(STRIKES);
  const on = new Set<FaultKind>([...steady, ...strikes]);
  const when = (kind: FaultKind, low: number, high: number) => {
    const value = random.between(low, high);
    return on.has(kind) ? value : 0;
  };
  const newcomers = random.pick(on.has("membership") ? [0, 1, 1, 2] : [0]);
  return {
    on,
    strikes,
    lossChance: when("loss", 0.01, 0.12),
    duplicateChance: when("duplication", 0.01, 0.1),
    delayMs: 1 + when("delay", 1, 25),
    lateChance: when("reordering", 0.01, 0.1),
    lateMs: random.between(20, 1200),
    skew: when("clock-skew", 0.005, 0.05),
    diskMs: random.between(0.1, 5),
    slowDiskChance: when("slow-disk", 0.01, 0.06),
    slowDiskMs: random.between(20, 800),
    calmMs: random.pick([600, 1500, 4000]),
    newcomers,
  };
}
