/**
 * Conflicts: not on a machine with a unit of such a name. Holds both ways for a newcomer.
 *
 * A resident minds only its own list: two units can share a machine against it only when a file was replaced, and then the
 * one whose file now objects is the one to go, not its neighbour.
 *
 * @module
 */
import { matchesAny } from "../needs.ts";
import type { Filter } from "./filter.ts";

export const conflicts: Filter = {
  isAboutNeighbours: true,
  refuse(unit, host, _cluster, standing) {
    if (unit.needs.conflicts.length > 0) {
      for (const name of host.units.keys()) {
        if (name === unit.name) continue;
        const glob = matchesAny(unit.needs.conflicts, name);
        if (glob !== undefined) return `Holds "${name}": the unit conflicts with "${glob.pattern}"`;
      }
    }
    if (standing === "resident") return null;
    for (const other of host.conflicting.values()) {
      if (other.name === unit.name) continue;
      const glob = matchesAny(other.needs.conflicts, unit.name);
      if (glob !== undefined) return `Holds "${other.name}", which conflicts with "${glob.pattern}"`;
    }
    return null;
  },
};
