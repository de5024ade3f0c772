/**
 * Who the members of a static cluster are: derived from the list of addresses that all of them share.
 *
 * Idea. Nobody hands out numbers. Each member hashes the same list and its own place in it, so the same configuration
 * gives the same ids everywhere, and another list gives another cluster whose members will not talk to this one.
 *
 * Invariants.
 * - The order, case and spacing of the list do not matter.
 * - Ids are distinct and never 0.
 *
 * Not here. A cluster of one without a list: its id is drawn at its first start and kept in data_dir (daemon/).
 *
 * @module
 */
import { createHash } from "node:crypto";
import { NO_NODE, type NodeId } from "#raft";

/** A quorum of five survives two failures; more voters make every write slower and hardly anything safer. */
export const VOTERS_MAX = 5;
/** Bytes of a hash in a node id: 48 bits stay exact numbers, and five of them do not meet. */
const ID_BYTES = 6;

export interface ClusterMembers {
  readonly clusterId: string;
  readonly selfId: NodeId;
  /** Peer address of each member, this one included. */
  readonly members: ReadonlyMap<NodeId, string>;
}

export class ClusterConfigError extends Error {
  readonly code = "cluster-config";
  constructor(message: string) {
    super(message);
    this.name = "ClusterConfigError";
  }
}

/**
 * @param addresses The initial_cluster list.
 * @param self This member's advertise_peer.
 * @throws ClusterConfigError that names the culprit.
 */
export function deriveCluster(addresses: readonly string[], self: string): ClusterMembers {
  const list = addresses.map((address) => normalizeAddress(address, "initial_cluster")).sort();
  const own = normalizeAddress(self, "advertise_peer");
  if (list.length === 0) throw new ClusterConfigError("Reading initial_cluster failed: it names no member");
  const repeated = list.find((address, i) => address === list[i - 1]);
  if (repeated !== undefined) {
    throw new ClusterConfigError(`Reading initial_cluster failed: it names "${repeated}" twice`);
  }
  if (list.length > VOTERS_MAX) {
    throw new ClusterConfigError(
      `Reading initial_cluster failed: it names ${list.length} members, more than ${VOTERS_MAX}; name three or five of them`,
    );
  }
  if (!list.includes(own)) {
    throw new ClusterConfigError(
      `Finding this machine in initial_cluster failed: "${own}" is not among ${list.join(", ")}; set advertise_peer to the address under which the others list this machine`,
    );
  }
  const clusterId = hash(list.join(",")).toString("hex", 0, 16);
  const members = new Map(list.map((address) => [nodeId(clusterId, address), address]));
  if (members.size !== list.length || members.has(NO_NODE)) {
    throw new ClusterConfigError("Deriving member ids failed: two addresses have the same hash; change one of them");
  }
  return { clusterId, selfId: nodeId(clusterId, own), members };
}

function nodeId(clusterId: string, address: string): NodeId {
  return hash(`${clusterId} ${address}`).readUIntBE(0, ID_BYTES);
}

function hash(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** host:port, [v6]:port. Names and v6 addresses are the same in any case. */
function normalizeAddress(address: string, option: string): string {
  const text = address.trim().toLowerCase();
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port < 1 || port > 65_535) {
    throw new ClusterConfigError(`Reading ${option} failed: "${address}" is not host:port`);
  }
  return `${match[1]}:${port}`;
}
