/**
 * A node's state as values to print: for operators, logs and transcripts; nothing decides by it.
 *
 * @module
 */
import type { LogIndex, Membership, NodeId, Role, Term } from "../types.ts";
import type { Leader } from "./leader.ts";
import type { ProgressMode } from "./progress.ts";
import type { SharedState } from "./state.ts";

export interface PeerStatus {
  readonly id: NodeId;
  readonly mode: ProgressMode;
  readonly match: LogIndex;
  readonly next: LogIndex;
  /** Appends under way. */
  readonly flights: number;
  readonly paused: boolean;
  readonly recentlyActive: boolean;
  /** Its disk was damaged: it counts for nothing until it has everything again. */
  readonly recovering: boolean;
}

export interface CoreStatus {
  readonly id: NodeId;
  readonly role: Role;
  readonly term: Term;
  readonly vote: NodeId;
  readonly leader: NodeId;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly stable: LogIndex;
  readonly commit: LogIndex;
  readonly applied: LogIndex;
  readonly entryBytes: number;
  readonly membership: Membership;
  /** This node's disk was damaged (recovery.ts). */
  readonly recovering: boolean;
  /** An entry that this node confirmed and does not have any more; null as it should be. */
  readonly forgotten: LogIndex | null;
  /** Messages seen that no correct peer sends; should stay 0. */
  readonly protocolViolations: number;
  /** Below: only while leading, else empty. */
  readonly transferee: NodeId;
  readonly uncommittedBytes: number;
  readonly pendingReads: number;
  readonly peers: readonly PeerStatus[];
}

export function describe(state: SharedState, leadership: Leader | null): CoreStatus {
  const { log } = state;
  return {
    id: state.id,
    role: state.role,
    term: state.term,
    vote: state.vote,
    leader: state.leader,
    firstIndex: log.firstIndex,
    lastIndex: log.lastIndex,
    stable: log.stable,
    commit: log.commit,
    applied: log.applied,
    entryBytes: log.entryBytes,
    membership: state.members.membership,
    recovering: state.isRecovering,
    forgotten: state.forgotten,
    protocolViolations: state.protocolViolations,
    transferee: leadership?.transferee ?? 0,
    uncommittedBytes: leadership?.uncommittedBytes ?? 0,
    pendingReads: leadership?.pendingReads ?? 0,
    peers: [...(leadership?.peers ?? [])].map(([id, progress]) => ({
      id,
      mode: progress.mode,
      match: progress.match,
      next: progress.next,
      flights: progress.flights,
      paused: progress.paused,
      recentlyActive: progress.recentlyActive,
      recovering: progress.isRecovering,
    })),
  };
}
