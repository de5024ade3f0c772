/**
 * The rules of placement in the order in which they are tried: what is written in the file before what happens to be there.
 *
 * @module
 */
import type { Cluster } from "../cluster.ts";
import type { Host, Unit } from "../hosts.ts";
import { conflicts } from "./conflicts.ts";
import type { Filter, Standing } from "./filter.ts";
import { machineId } from "./machine-id.ts";
import { machineOf } from "./machine-of.ts";
import { metadata } from "./metadata.ts";
import { replaces } from "./replaces.ts";

const FILTERS: readonly Filter[] = [machineId, metadata, machineOf, conflicts, replaces];

export interface Objection {
  readonly reason: string;
  readonly isAboutNeighbours: boolean;
}

/** The first rule that keeps the unit off this machine; null: it fits. */
export function objection(unit: Unit, host: Host, cluster: Cluster, standing: Standing): Objection | null {
  for (const filter of FILTERS) {
    const reason = filter.refuse(unit, host, cluster, standing);
    if (reason !== null) return { reason, isAboutNeighbours: filter.isAboutNeighbours };
  }
  return null;
}
