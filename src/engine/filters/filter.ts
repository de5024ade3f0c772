/**
 * A rule of placement: lets a unit onto a machine, or says in a sentence why not.
 *
 * Idea. One rule a file, tried in turn (index.ts); the sentence is for the operator who asks why a unit is nowhere.
 *
 * @module
 */
import type { Cluster } from "../cluster.ts";
import type { Host, Unit } from "../hosts.ts";

/** newcomer: would this unit be let in? resident: it is there already, may it stay? */
export type Standing = "newcomer" | "resident";

export interface Filter {
  /** True when the refusal may end because some unit leaves that machine. */
  readonly isAboutNeighbours: boolean;
  /** null: no objection. */
  refuse(unit: Unit, host: Host, cluster: Cluster, standing: Standing): string | null;
}
