/**
 * A failing seed made smaller: which of its kinds of faults it can do without and still break the same promise.
 *
 * Idea. Kinds are left out one by one. What is drawn for the others changes with each, so a smaller seed is another story with the same
 * end, and the shortest way to read it.
 *
 * @module
 */
import type { FaultKind } from "./world/weather.ts";
import { simulateWorld, type WorldResult } from "./world/world.ts";

export interface Shrunk {
  readonly needed: readonly FaultKind[];
  readonly without: readonly FaultKind[];
}

export function shrink({ seed, drawn, violation }: WorldResult, without: ReadonlySet<FaultKind>): Shrunk {
  const left = new Set(without);
  for (const kind of drawn) {
    const smaller = simulateWorld(seed, { without: new Set([...left, kind]) });
    if (promiseOf(smaller.violation) === promiseOf(violation)) left.add(kind);
  }
  return { needed: [...drawn].filter((kind) => !left.has(kind)), without: [...left] };
}

/** Nodes, indexes and times may be others. */
function promiseOf(violation: Error | null): string | null {
  return violation?.message.replaceAll(/\d+/g, "#").slice(0, 40) ?? null;
}
