/**
 * What replica/ needs of a raft node; #raft's RaftNode fits it as it is.
 *
 * @module
 */
import type { LogIndex, NodeId, Role, SoftState, Term, WaitOptions } from "#raft";

export interface Raft {
  readonly id: NodeId;
  /** 0: nobody, as far as this node knows. */
  readonly leader: NodeId;
  readonly role: Role;
  readonly term: Term;
  /** Resolves with what the machine's apply() returned on this node. Refusals: #raft's error classes. */
  propose<T>(data: Uint8Array, options?: WaitOptions): Promise<T>;
  /** Resolves once a read of the local machine is linearizable; waits for a leader until its deadline. */
  readIndex(options?: WaitOptions): Promise<LogIndex>;
  /** True once that member leads; false when nothing came of it. */
  transferLeader(to: NodeId): Promise<boolean>;
  /** The machine's state was replaced: resolves when the snapshot on disk is of this one, whatever its index was before. */
  renewSnapshot(): Promise<void>;
  onChange(listener: (state: SoftState) => void): () => void;
}
