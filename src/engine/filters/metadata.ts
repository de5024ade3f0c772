/**
 * MachineMetadata: for each key that the unit names, the machine has one of the values that will do.
 *
 * @module
 */
import type { Filter } from "./filter.ts";

export const metadata: Filter = {
  isAboutNeighbours: false,
  refuse(unit, host) {
    const present = host.machine?.metadata ?? {};
    for (const [key, values] of unit.needs.metadata) {
      const value = Object.hasOwn(present, key) ? present[key] : undefined;
      if (value !== undefined && values.has(value)) continue;
      const wanted = [...values].map((each) => `${key}=${each}`).join(" or ");
      return value === undefined
        ? `No metadata ${key}: the unit needs ${wanted}`
        : `Has ${key}=${value}: the unit needs ${wanted}`;
    }
    return null;
  },
};
