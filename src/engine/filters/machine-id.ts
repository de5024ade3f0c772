/**
 * MachineID: only that machine, by its full id or its first 8 digits.
 *
 * @module
 */
import { matchesMachineId } from "../../model/machine.ts";
import type { Filter } from "./filter.ts";

export const machineId: Filter = {
  isAboutNeighbours: false,
  refuse(unit, host) {
    const { machineIds } = unit.needs;
    if (machineIds.length === 0 || machineIds.some((wanted) => matchesMachineId(host.id, wanted))) return null;
    return `The unit asks for machine ${machineIds.join(" or ")}`;
  },
};
