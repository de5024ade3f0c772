/**
 * MachineOf: wherever these units are. A unit whose target is nowhere is nowhere, too.
 *
 * A global target is on every machine that holds it. A unit is always with itself.
 *
 * @module
 */
import { shortMachineId } from "../../model/machine.ts";
import type { Filter } from "./filter.ts";

export const machineOf: Filter = {
  isAboutNeighbours: false,
  refuse(unit, host, cluster) {
    for (const target of unit.needs.machineOf) {
      if (target === unit.name || host.units.has(target)) continue;
      const leader = cluster.unit(target);
      if (leader === undefined) return `The unit must be with "${target}", which does not exist`;
      if (leader.needs.global) return `The unit must be with "${target}", which is not on this machine`;
      if (leader.place === null) return `The unit must be with "${target}", which is placed nowhere`;
      return `The unit must be with "${target}", which is on ${shortMachineId(leader.place)}`;
    }
    return null;
  },
};
