/**
 * How tables and messages name a machine: 113f16a7.../172.17.8.103, or with the full id.
 *
 * @module
 */
import type { MachineEntity } from "../model/entities.ts";
import { shortMachineId } from "../model/machine.ts";

export function machineIdLegend(id: string, full = false): string {
  return full ? id : `${shortMachineId(id)}...`;
}

export function machineLegend(id: string, primaryIP: string, full = false): string {
  const legend = machineIdLegend(id, full);
  return primaryIP === "" ? legend : `${legend}/${primaryIP}`;
}

/** Addresses by machine id, for tables. */
export function machineAddresses(machines: readonly MachineEntity[]): ReadonlyMap<string, string> {
  return new Map(machines.map((machine) => [machine.id, machine.primaryIP ?? ""]));
}
