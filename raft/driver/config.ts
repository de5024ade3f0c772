/**
 * The driver's settings: milliseconds and bytes for people, ticks for the core.
 *
 * Idea. One place states every limit with the arithmetic behind it, checks how they depend on each other and translates
 * them; nothing else in the driver knows how long a tick is.
 *
 * @module
 */
import type { CoreConfig, Membership, NodeId } from "../types.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

export interface RaftNodeConfig {
  readonly id: NodeId;
  /** Who takes part while the disk knows of no membership: the same on every node that founds the cluster. Without voters: this
   *  one joins, and learns it from the leader once it is a learner there. */
  readonly membership: Membership;
  /** How often the core's time moves on. Half a heartbeat, so that a heartbeat is late by at most 50 %. */
  readonly tickMs?: number;
  /** Ten of them may get lost before an election starts. */
  readonly heartbeatMs?: number;
  /** Far above the longest garbage collection pause that was measured (256 ms). */
  readonly electionTimeoutMs?: number;
  /** Random part on top: narrow, since six ticks keep three voters apart and each more delays a takeover. */
  readonly electionJitterMs?: number;
  /** Deadline of a proposal or read that names none. */
  readonly requestTimeoutMs?: number;
  /** A snapshot is taken when this much was logged since the last: bounds replay at start (about 0.3 s) and memory. */
  readonly snapshotLogBytes?: number;
  readonly snapshotLogEntries?: number;
  /** Kept in memory behind a snapshot, so that a follower that missed a few seconds needs no snapshot. */
  readonly trailingEntries?: number;
  /** Kept in memory on top for a follower that is alive and needs it, or will when the snapshot that is sent to it is there: what a
   *  busy cluster writes in the ten seconds that 200 MB may take. */
  readonly laggardLogBytes?: number;
  readonly laggardLogEntries?: number;
  /** One command. etcd's clients send at most 1.5 MiB. */
  readonly maxEntryBytes?: number;
  /** One append message: fills a gigabit link for 8 ms, so that a heartbeat waits no longer than that behind it. */
  readonly maxAppendBytes?: number;
  /** Pipelining to one follower; 8 MiB cover 80 ms of round trip at a gigabit. */
  readonly maxInflightMessages?: number;
  readonly maxInflightBytes?: number;
  /** What a leader without a quorum piles up in memory before it refuses. */
  readonly maxUncommittedBytes?: number;
  /** A learner that lacks more is not made a voter. What a busy cluster writes in a tenth of a second. */
  readonly promotionLagEntries?: number;
  /** Applied in one turn at most: some milliseconds of a state machine's work. */
  readonly maxCommittedBytes?: number;
  /** From one check of what lies on the disk to the next. A pass over 200 MB takes half a second of CPU, in small pieces. */
  readonly diskCheckMs?: number;
}

export type ResolvedConfig = Required<RaftNodeConfig>;

export const RAFT_DEFAULTS = {
  tickMs: 50,
  heartbeatMs: 100,
  electionTimeoutMs: 1000,
  electionJitterMs: 300,
  requestTimeoutMs: 5000,
  snapshotLogBytes: 16 * MIB,
  snapshotLogEntries: 50_000,
  trailingEntries: 5000,
  laggardLogBytes: 64 * MIB,
  laggardLogEntries: 200_000,
  maxEntryBytes: 2 * MIB,
  maxAppendBytes: MIB,
  maxInflightMessages: 256,
  maxInflightBytes: 8 * MIB,
  maxUncommittedBytes: 16 * MIB,
  promotionLagEntries: 1000,
  maxCommittedBytes: MIB,
  diskCheckMs: 3_600_000,
} as const;

/** Fills in the defaults and refuses settings that cannot work together. */
export function resolveConfig(config: RaftNodeConfig): ResolvedConfig {
  const resolved: ResolvedConfig = { ...RAFT_DEFAULTS, ...config };
  const refuse = (why: string): never => {
    throw new RangeError(`Configure raft node ${config.id}: ${why}`);
  };
  if (!Number.isSafeInteger(config.id) || config.id < 1) refuse("the id must be a positive integer");
  if (resolved.tickMs <= 0) refuse("tickMs must be positive");
  if (resolved.heartbeatMs < resolved.tickMs) refuse("heartbeatMs must be at least tickMs");
  if (resolved.electionTimeoutMs < 3 * resolved.heartbeatMs) {
    refuse("electionTimeoutMs must be at least three heartbeats, or one lost packet starts an election");
  }
  if (resolved.trailingEntries > resolved.snapshotLogEntries) {
    refuse("trailingEntries must not exceed snapshotLogEntries");
  }
  return resolved;
}

/** The same settings in the core's unit, the tick. */
export function coreConfigOf(config: ResolvedConfig, membership: Membership, random: () => number): CoreConfig {
  const ticks = (ms: number) => Math.max(1, Math.round(ms / config.tickMs));
  return {
    id: config.id,
    membership,
    electionTicks: ticks(config.electionTimeoutMs),
    electionJitterTicks: ticks(config.electionJitterMs),
    heartbeatTicks: ticks(config.heartbeatMs),
    maxAppendBytes: config.maxAppendBytes,
    maxInflightMessages: config.maxInflightMessages,
    maxInflightBytes: config.maxInflightBytes,
    maxUncommittedBytes: config.maxUncommittedBytes,
    promotionLagEntries: config.promotionLagEntries,
    maxCommittedBytes: config.maxCommittedBytes,
    random,
  };
}
