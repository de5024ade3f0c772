/**
 * The room's door: the replicated store for the daemon.
 *
 * @module
 */
export { replicaHandlers } from "./handlers.ts";
export { ClusterConfigError, type ClusterMembers, deriveCluster, VOTERS_MAX } from "./members.ts";
export type { Raft } from "./ports.ts";
export { REPLICA_DEFAULTS, type ReplicaConfig, ReplicaKv, type ReplicaKvOptions } from "./replica-kv.ts";
export { StoreMachine } from "./store-machine.ts";
