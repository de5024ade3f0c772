/**
 * Replaces: a unit is not where another one is that sends it away.
 *
 * Problem. Units that replace each other would chase each other round the cluster for ever, also in larger circles and by
 * way of MachineOf, where one move makes another.
 * Idea. `a` sends `b` away unless b's move could come back to a: no path from b to a along "replaces" and "is followed by".
 * What is left has no circles, so every chain of moves ends. Two that replace each other fall out of it, as fleet has it.
 *
 * A global unit is never sent away: it has no other machine to go to.
 *
 * @module
 */
import type { Cluster } from "../cluster.ts";
import type { Unit } from "../hosts.ts";
import { matchesAny } from "../needs.ts";
import type { Filter } from "./filter.ts";

export const replaces: Filter = {
  isAboutNeighbours: true,
  refuse(unit, host, cluster) {
    for (const other of host.replacing.values()) {
      if (sendsAway(cluster, other, unit)) return `Holds "${other.name}", which replaces the unit`;
    }
    return null;
  },
};

function sendsAway(cluster: Cluster, unit: Unit, other: Unit): boolean {
  if (unit.name === other.name || other.needs.global) return false;
  if (matchesAny(unit.needs.replaces, other.name) === undefined) return false;
  return !canMove(cluster, other, unit.name);
}

/** Whether a move of `first` can make `last` move, step by step. */
function canMove(cluster: Cluster, first: Unit, last: string): boolean {
  const seen = new Set<string>([first.name]);
  const open: Unit[] = [first];
  for (let unit = open.pop(); unit !== undefined; unit = open.pop()) {
    for (const name of movedBy(cluster, unit, last)) {
      if (name === last) return true;
      const next = seen.has(name) ? undefined : cluster.unit(name);
      seen.add(name);
      if (next !== undefined) open.push(next);
    }
  }
  return false;
}

/** Units that a move of this one can move; of the replaced ones only those from which the search can go on, or end. */
function* movedBy(cluster: Cluster, unit: Unit, last: string): Iterable<string> {
  yield* cluster.followersOf(unit.name);
  const globs = unit.needs.replaces;
  if (globs.length === 0) return;
  if (last !== unit.name && matchesAny(globs, last) !== undefined) yield last;
  for (const { name } of cluster.replacers())
    if (name !== unit.name && matchesAny(globs, name) !== undefined) yield name;
  for (const name of cluster.leaders()) if (name !== unit.name && matchesAny(globs, name) !== undefined) yield name;
}
