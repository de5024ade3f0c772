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
  onChange(listener: (state: SoftState) => void): () => void;
}
