/**
 * The format level of the cluster: the lowest of those that its machines announced (lib/format.ts).
 *
 * Idea. Each machine leaves its level beside its address, which outlives its lease: a voter that is away for a moment still counts, and
 * one that was never seen, or left in order, keeps the level at the first, since it may come back as it was.
 *
 * @module
 */
import { type ClusterLevel, FIRST_LEVEL, FORMAT_LEVEL } from "../lib/format.ts";
import { type MachineId, shortMachineId } from "../model/machine.ts";

/** Where a machine's daemon listened when it registered, and what it could read then. */
export interface AddressRecord {
  readonly address: string;
  readonly format: number;
}

/**
 * @param known Of every machine that is registered, or that went without leaving.
 * @param voters Peer addresses of the members that must apply what is written; none where the store is an etcd.
 */
export function clusterLevel(known: ReadonlyMap<MachineId, AddressRecord>, voters: readonly string[]): ClusterLevel {
  const addresses = new Set([...known.values()].map(({ address }) => address.toLowerCase()));
  const unseen = voters.find((voter) => !addresses.has(voter.toLowerCase()));
  if (unseen !== undefined) return { level: FIRST_LEVEL, because: `the member ${unseen}, which was not seen yet` };
  let lowest: ClusterLevel = { level: FORMAT_LEVEL, because: "" };
  for (const [id, { format }] of known) {
    if (format < lowest.level) lowest = { level: format, because: `machine ${shortMachineId(id)}` };
  }
  return lowest;
}
