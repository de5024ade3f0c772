/**
 * The door of the consensus library (#raft): the node, the nouns, the ports it needs and the errors it throws.
 *
 * Not here. Ports for real (#raft/adapters).
 *
 * @module
 */
export { RAFT_DEFAULTS, type RaftNodeConfig } from "./driver/config.ts";
export {
  DamagedLogError,
  DroppedError,
  type DropReason,
  LostError,
  NotLeaderError,
  UnknownFateError,
} from "./driver/errors.ts";
export { RaftNode, type RaftNodePorts, type RaftStatus, type Turning } from "./driver/node.ts";
export {
  type Clock,
  CorruptLogError,
  DiskFullError,
  type IncomingSnapshot,
  type LoadedState,
  type LogBatch,
  type LogStorage,
  type RaftLog,
  type RaftLogFields,
  type Salvage,
  type SnapshotPrefix,
  type SnapshotWriter,
  type StateLoader,
  type StateMachine,
  type Timer,
  type Transport,
  type TransportHandler,
} from "./driver/ports.ts";
export type { WaitOptions } from "./driver/waiter.ts";
export {
  type Configuration,
  type Entry,
  type EntryKind,
  type HardState,
  type LogIndex,
  type Membership,
  type Message,
  NO_NODE,
  type NodeId,
  type Role,
  type SnapshotMeta,
  type SoftState,
  type Term,
} from "./types.ts";
