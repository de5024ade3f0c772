/**
 * What the driver needs from the world: a clock, a disk, a network, and the machine that the log drives.
 *
 * Idea. The ports are shaped by the Ready loop, so that a simulator can stand in for each of them and the driver that
 * runs in production is the one that was tortured.
 *
 * Invariants.
 * - A port never calls back into the driver from inside a call that the driver makes to it.
 *
 * Not here. Their real implementations (adapters/, and for the clock the caller's).
 *
 * @module
 */
import type { Entry, HardState, LogIndex, Message, NodeId, SnapshotMeta, Term } from "../types.ts";

export interface Timer {
  cancel(): void;
}

/** Monotonic milliseconds. `after` fires once, never early; neither call keeps the process alive on its own account. */
export interface Clock {
  now(): number;
  after(delayMs: number, run: () => void): Timer;
}

export type RaftLogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** One structured line per decision, for an operator. */
export interface RaftLog {
  debug(message: string, fields?: RaftLogFields): void;
  info(message: string, fields?: RaftLogFields): void;
  notice(message: string, fields?: RaftLogFields): void;
  warning(message: string, fields?: RaftLogFields): void;
  error(message: string, fields?: RaftLogFields): void;
}

/** What a start finds on disk. Entries begin right after the snapshot (or at 1). */
export interface LoadedState {
  readonly hardState: HardState;
  readonly snapshot: SnapshotMeta | null;
  readonly entries: readonly Entry[];
}

/** One Ready's worth of writing: one transaction, on disk when the promise resolves. */
export interface LogBatch {
  readonly hardState: HardState | null;
  /** Replaces everything from entries[0].index on. */
  readonly entries: readonly Entry[];
  readonly mustSync: boolean;
}

/**
 * Log, hard state and snapshots of one node.
 *
 * Errors. `append` rejects with {@link DiskFullError} when there is no room: nothing was written and the node may go on
 * refusing proposals; hard state has a reserve and always fits. Any other rejection means that the disk's content is
 * unknown: the driver stops the node. Whatever is read is verified; `load`, and reading a snapshot, reject with
 * {@link CorruptLogError} when it is not what was written, also when what was written last is missing.
 */
export interface LogStorage {
  load(): Promise<LoadedState>;
  append(batch: LogBatch): Promise<void>;
  /** Begins a snapshot of the local state machine; becomes the node's snapshot only by `finish`. At most one at a time. */
  createSnapshot(meta: SnapshotMeta): Promise<SnapshotWriter>;
  /** The latest finished snapshot's bytes, in order; null when there is none. A later finish does not disturb a reader. */
  readSnapshot(): Promise<{ readonly meta: SnapshotMeta; readonly chunks: AsyncIterable<Uint8Array> } | null>;
  /** Installs a sealed *received* snapshot: drops the whole log, sets the hard state; one transaction. After a DiskFullError
   *  nothing has changed, and the same writer may be tried again. */
  installSnapshot(writer: SnapshotWriter, hardState: HardState): Promise<void>;
  /** Drops entries up to and including `index`; never beyond the latest snapshot. */
  compact(index: LogIndex): Promise<void>;
  /**
   * After a CorruptLogError: sets the damaged files aside, keeps what can be verified (a sound snapshot, and the entries that follow it
   * without a gap), and goes on. Until a hard state without `recovery` is appended, load() gives one with it: a number above that of
   * any damage before.
   */
  recover(): Promise<Salvage>;
  /** What is on disk is not what was written, though each part of it looks sound: the next load() rejects with a CorruptLogError that gives this reason. */
  condemn(reason: string): Promise<void>;
  /** Reads entries and snapshot again (the hard state is rewritten all the time), beside whatever else goes on, a little at a time; ends early once `isEnough`.
   *  Rejects with CorruptLogError when something is not what was written. */
  verify(isEnough: () => boolean): Promise<void>;
  close(): Promise<void>;
}

/** In words, for the log. */
export interface Salvage {
  readonly kept: string;
  /** Where the damaged files are. */
  readonly setAside: string;
}

export interface SnapshotWriter {
  readonly meta: SnapshotMeta;
  write(chunk: Uint8Array): Promise<void>;
  /** All bytes on disk: what is left to finish(), or installSnapshot(), is to name them. Nothing is written afterwards. */
  seal(): Promise<void>;
  /** Makes it the node's snapshot, durably. For a received one call LogStorage.installSnapshot instead. */
  finish(): Promise<void>;
  abort(): Promise<void>;
}

export class DiskFullError extends Error {
  readonly code = "disk-full";
}
export class CorruptLogError extends Error {
  readonly code = "corrupt-log";
}

/** How much of a snapshot is here from a transfer that broke: that many chunks, which begin it. */
export interface SnapshotPrefix {
  readonly index: LogIndex;
  readonly term: Term;
  readonly chunks: number;
  /** Of these chunks, see SnapshotDigest. */
  readonly digest: string;
}

/** A snapshot that a peer sends. */
export interface IncomingSnapshot {
  readonly meta: SnapshotMeta;
  /** The sender leads in it, or did. */
  readonly term: Term;
  /** Chunks that do not come again: the peer found that its snapshot begins with the prefix that it was told of. 0: all come. */
  readonly skipped: number;
  /** In order. An error says that the transfer broke: it may be resumed. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Once the chunks have ended: the sender's digest of all of them, the skipped ones included; null where its release tells none. */
  digest(): string | null;
}

/** What a transport reports back. */
export interface TransportHandler {
  message(message: Message): void;
  /** What a sender need not send again; it is told so before it begins. */
  snapshotPrefix(): SnapshotPrefix | null;
  /** The promise resolves when the snapshot is on disk or was not needed any more, and rejects when it was not taken. The
   *  driver steps the core. */
  snapshot(from: NodeId, incoming: IncomingSnapshot): Promise<void>;
  /** The connection from or to this peer closed or could not be made. */
  unreachable(peer: NodeId): void;
}

/** Messages between nodes: may be lost, repeated, reordered, never altered. */
export interface Transport {
  start(handler: TransportHandler): Promise<void>;
  /** Never blocks and never throws; what does not fit the peer's queue is dropped (raft repeats itself). */
  send(messages: readonly Message[]): void;
  /** Goes on behind what the peer has of it, see skipPrefix. Resolves when the peer has all of it on its disk, rejects when
   *  that is not known. Holds no more than a few chunks at a time, and messages do not wait behind them. */
  sendSnapshot(to: NodeId, meta: SnapshotMeta, term: Term, chunks: AsyncIterable<Uint8Array>): Promise<void>;
  stop(): Promise<void>;
}

/** The machine that the log drives. Apply is total and deterministic; its result goes to the proposer on this node. */
export interface StateMachine {
  /** Sees every committed entry of kind `normal` once, in index order; the other kinds are the library's own. */
  apply(entry: Entry): unknown;
  /** Pins the present state before it returns (not at the first chunk), and yields its bytes; apply goes on meanwhile. */
  snapshot(): AsyncIterable<Uint8Array>;
  /** Begins to read a whole snapshot, beside the present state: apply and snapshot go on with that one meanwhile. */
  load(): StateLoader;
}

/** A state in the making, fed chunk by chunk. Whoever gives it up just lets go of it. */
export interface StateLoader {
  /** @throws when these bytes are none of a snapshot that this program reads. */
  write(chunk: Uint8Array): void;
  /** Every byte was written. @throws when that is no whole snapshot. @returns what puts the new state in place of the present
   *  one: at once, so that it stops nobody, however large the state is. */
  finish(): () => void;
}
