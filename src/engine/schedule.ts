/**
 * Chooses a machine for one unit: of the machines that every rule lets it onto, the one with the fewest units; ties by id.
 *
 * Idea. Machines are tried in that order, so the first that fits is the one. None fits: one sentence for each, by machine.
 *
 * @module
 */
import type { Refusal } from "../registry/types.ts";
import type { Cluster } from "./cluster.ts";
import { objection } from "./filters/index.ts";
import type { Host, Unit } from "./hosts.ts";

export type Choice =
  | { readonly kind: "fits"; readonly host: Host; readonly tried: number }
  | {
      readonly kind: "nowhere";
      readonly refusals: readonly Refusal[];
      /** Some machine would do if another unit left it. */
      readonly isCrowdedOut: boolean;
      readonly tried: number;
    };

/** A record of refusals stays readable, and small, on a cluster of a thousand machines. */
const MAX_REFUSALS = 32;

export function choose(cluster: Cluster, unit: Unit): Choice {
  if (unit.needs.problem !== null) return nowhere(unit.needs.problem);
  if (cluster.registeredCount === 0) return nowhere("No machine is registered");
  const refusals: Refusal[] = [];
  let isCrowdedOut = false;
  let tried = 0;
  for (const host of cluster.byLoad()) {
    tried += 1;
    const found = objection(unit, host, cluster, "newcomer");
    if (found === null) return { kind: "fits", host, tried };
    isCrowdedOut ||= found.isAboutNeighbours;
    refusals.push({ machineId: host.id, reason: found.reason });
  }
  return { kind: "nowhere", refusals: condense(refusals), isCrowdedOut, tried };
}

/** Why a unit cannot stay where it is; null: it can. */
export function whyLeave(cluster: Cluster, unit: Unit, host: Host): string | null {
  return unit.needs.problem === null ? (objection(unit, host, cluster, "resident")?.reason ?? null) : null;
}

function nowhere(reason: string): Choice {
  return { kind: "nowhere", refusals: [{ machineId: "", reason }], isCrowdedOut: false, tried: 0 };
}

/** By machine id, so that the same refusals make the same record; the tail is counted by reason. */
function condense(refusals: Refusal[]): readonly Refusal[] {
  refusals.sort((a, b) => (a.machineId < b.machineId ? -1 : 1));
  if (refusals.length <= MAX_REFUSALS) return refusals;
  const counts = new Map<string, number>();
  for (const { reason } of refusals.slice(MAX_REFUSALS)) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const [most] = [...counts].sort((a, b) => b[1] - a[1]);
  const total = refusals.length - MAX_REFUSALS;
  const summary = most === undefined ? "" : `; ${most[1]} of them: ${most[0]}`;
  return [
    ...refusals.slice(0, MAX_REFUSALS),
    { machineId: "", reason: `${total} further machines do not fit${summary}` },
  ];
}
