/**
 * The nouns of the consensus library: what the core takes in, what it hands out, what travels between nodes.
 *
 * Idea. Everything here is a plain value: no class, no promise, no clock. A message can be printed, compared, stored in
 * a transcript and replayed.
 *
 * Invariants.
 * - An index or a term is a safe integer; index 0 and term 0 mean "before the first entry".
 * - A node id is a positive safe integer; 0 means nobody.
 * - `Uint8Array`s handed in or out are never changed afterwards by either side.
 *
 * Not here. How values become bytes (driver/codec.ts), who carries them (driver/ports.ts).
 *
 * @module
 */

/** A node's number within its cluster: a positive safe integer, 0 for nobody. */
export type NodeId = number;
/** Position in the log, from 1. */
export type LogIndex = number;
/** Election term, from 1. */
export type Term = number;

export const NO_NODE: NodeId = 0;

/** `normal` carries the caller's bytes, `noop` is what a new leader appends (thesis 6.4), `config` changes membership. */
export type EntryKind = "normal" | "noop" | "config";

export interface Entry {
  readonly index: LogIndex;
  readonly term: Term;
  readonly kind: EntryKind;
  readonly data: Uint8Array;
}

/** What must survive a crash beside the log (thesis figure 3.1, "persistent state"); commit is a hint that saves time. */
export interface HardState {
  readonly term: Term;
  /** The candidate that got this node's vote in `term`, or NO_NODE. */
  readonly vote: NodeId;
  readonly commit: LogIndex;
  /** There while this node recovers from damage to its disk (core/recovery.ts): above the number of any earlier damage. */
  readonly recovery?: number;
}

/** Who takes part. Learners receive the log and never vote. */
export interface Membership {
  readonly voters: readonly NodeId[];
  readonly learners: readonly NodeId[];
  /** During a joint change (thesis 4.3) the voters before it: a decision needs a majority of them, too. Absent otherwise. */
  readonly outgoing?: readonly NodeId[];
}

/** Membership that an entry of the log, or a snapshot, put in force. */
export interface Configuration {
  /** The entry's, or the snapshot's; 0 for what a node was started with. */
  readonly index: LogIndex;
  readonly membership: Membership;
}

/** Names the state that a snapshot stands for; its bytes travel and rest elsewhere. */
export interface SnapshotMeta {
  readonly index: LogIndex;
  readonly term: Term;
  readonly membership: Membership;
}

export type Role = "follower" | "pre-candidate" | "candidate" | "leader";

interface Envelope {
  readonly from: NodeId;
  readonly to: NodeId;
  /** The sender's term; for pre-votes the term that the candidate would have (thesis 9.6). */
  readonly term: Term;
}

/** One protocol message. `kind` tells the fields; every field is a value that fits a transcript line. */
export type Message = Envelope &
  (
    | { readonly kind: "pre-vote"; readonly lastIndex: LogIndex; readonly lastTerm: Term }
    | { readonly kind: "pre-vote-reply"; readonly granted: boolean }
    | {
        readonly kind: "vote";
        readonly lastIndex: LogIndex;
        readonly lastTerm: Term;
        /** The leader itself asked for this election (thesis 3.10): voters need not wait until they miss it. */
        readonly transfer: boolean;
      }
    | { readonly kind: "vote-reply"; readonly granted: boolean }
    | {
        readonly kind: "append";
        readonly prevIndex: LogIndex;
        readonly prevTerm: Term;
        readonly entries: readonly Entry[];
        readonly commit: LogIndex;
      }
    | {
        /** On success `index` is the last index known to match. On a refusal `index` is the refused prevIndex and the
         *  hint names where the follower's log could agree (thesis 3.5, faster back-tracking by term). */
        readonly kind: "append-reply";
        readonly index: LogIndex;
        readonly rejected: boolean;
        readonly hintIndex: LogIndex;
        readonly hintTerm: Term;
      }
    | { readonly kind: "heartbeat"; readonly commit: LogIndex; readonly readContext: number }
    | { readonly kind: "heartbeat-reply"; readonly readContext: number }
    /** From the core to its driver: this follower needs a snapshot. The driver streams the bytes and then hands the same
     *  message to the follower's core, when every byte is on its disk. */
    | { readonly kind: "snapshot"; readonly snapshot: SnapshotMeta }
    /** A follower asks the leader for an index that is safe to read at (thesis 6.4). */
    | { readonly kind: "read-index"; readonly context: number }
    | {
        readonly kind: "read-index-reply";
        readonly context: number;
        readonly index: LogIndex;
        readonly rejected: boolean;
      }
    /** Leader transfer: campaign at once (thesis 3.10). */
    | { readonly kind: "timeout-now" }
    /** This node lost what was on its disk: what it said before is void, what it says now is no promise (core/recovery.ts). */
    | { readonly kind: "recovering"; readonly recovery: number }
    /** What a node that recovers answers to appends, in place of an append-reply: it counts for nothing but the next append. */
    | {
        readonly kind: "recovery-reply";
        readonly recovery: number;
        readonly index: LogIndex;
        readonly rejected: boolean;
        readonly hintIndex: LogIndex;
        readonly hintTerm: Term;
      }
    /** From the leader: you have everything that you can ever have promised; this recovery is over. */
    | { readonly kind: "recovered"; readonly recovery: number }
  );

export type MessageKind = Message["kind"];

/** Answer to readIndex(): read at `index` once it is applied. `index` is null when the request was refused: ask again. */
export interface ReadState {
  readonly context: number;
  readonly index: LogIndex | null;
}

/** What changed in who leads; the driver tells its caller. */
export interface SoftState {
  readonly role: Role;
  readonly leader: NodeId;
  readonly term: Term;
}

/**
 * One batch of work that the core hands to its caller. The caller's duties, in this order (README.md):
 * 1. write `hardState`, `entries` and `snapshot` to disk in one transaction and sync it when `mustSync`;
 *    a leader may send `messages` before that (thesis 10.2.1), everyone else only afterwards.
 *    Without `mustSync` only the commit index moved, a hint that may be written later;
 * 2. send `messages`;
 * 3. apply `committed`, in order;
 * 4. call advance().
 */
export interface Ready {
  readonly softState: SoftState | null;
  readonly hardState: HardState | null;
  /** To append to disk, replacing whatever is there from the first index on. */
  readonly entries: readonly Entry[];
  /** To install in place of the whole log and state. With it come neither entries nor committed ones. */
  readonly snapshot: SnapshotMeta | null;
  /** Committed and on this node's disk, or about to be in this very batch: apply after step 1. */
  readonly committed: readonly Entry[];
  readonly messages: readonly Message[];
  readonly readStates: readonly ReadState[];
  readonly mustSync: boolean;
}

/** Everything that the core may be told about itself; times are in ticks, the driver knows how long a tick is. */
export interface CoreConfig {
  readonly id: NodeId;
  /** In force until log or snapshot name another. Without voters it is that of a newcomer, who learns it from the leader. */
  readonly membership: Membership;
  /** Ticks without a word from the leader before a follower campaigns; each round adds a random part of the jitter. */
  readonly electionTicks: number;
  readonly electionJitterTicks: number;
  readonly heartbeatTicks: number;
  /** Largest append message, in bytes of entry data (one entry always fits). */
  readonly maxAppendBytes: number;
  /** Appends in flight to one follower, in messages and in bytes. */
  readonly maxInflightMessages: number;
  readonly maxInflightBytes: number;
  /** The leader refuses proposals while this much is not committed yet; a single entry is always taken by an idle leader.
   *  A follower takes no more entries while this much found no room on its disk. */
  readonly maxUncommittedBytes: number;
  /** A learner that lacks more entries than these is not made a voter: a quorum must not wait for it. */
  readonly promotionLagEntries: number;
  /** Most bytes of committed entries in one Ready. */
  readonly maxCommittedBytes: number;
  /** Chance, as a port: a float in [0, 1). */
  readonly random: () => number;
}
