/**
 * The door of the consensus core: inputs go in by methods, work comes out as a Ready.
 *
 * Idea. A value machine. Nothing in here waits, reads a clock or touches a disk; the same inputs give the same outputs, on a
 * production host and in a simulator. The caller's duties for a Ready are numbered in ../README.md.
 *
 *     tick() step(m) propose(d) ...  ->  ready() -> write, send, apply -> advance() -> ready() -> ...
 *
 * Invariants.
 * - One Ready is outstanding at most. Inputs go on meanwhile; what they cause waits for the next.
 * - A Ready carries every change that its messages rest on, unless an earlier one did.
 * - What this node wrote counts (its own vote, its own disk in a quorum) only after advance().
 *
 * @module
 */
import { assert } from "../assert.ts";
import type {
  CoreConfig,
  Entry,
  HardState,
  LogIndex,
  Membership,
  Message,
  NodeId,
  Ready,
  Role,
  SnapshotMeta,
  SoftState,
  Term,
} from "../types.ts";
import type { ChangeResult, ProposeResult } from "./leader.ts";
import { RaftLog } from "./log.ts";
import { Roles } from "./roles.ts";
import { SharedState } from "./state.ts";
import type { CoreStatus } from "./status.ts";
import { describe } from "./status.ts";

export type { ChangeResult, ProposeResult } from "./leader.ts";
export type { CoreStatus, PeerStatus } from "./status.ts";

/** What a start finds on disk; entries at or below the snapshot are tolerated and ignored. */
export interface StartState {
  readonly hardState: HardState;
  readonly snapshot: SnapshotMeta | null;
  readonly entries: readonly Entry[];
}

export class RaftCore {
  readonly #state: SharedState;
  readonly #log: RaftLog;
  readonly #roles: Roles;
  #outstanding: Ready | null = null;
  #handedSoft: SoftState;
  #handedHard: HardState;

  constructor(config: CoreConfig, start: StartState) {
    checkConfig(config);
    this.#log = new RaftLog(start.snapshot, start.entries, start.hardState.commit, config.membership);
    const { term } = start.hardState;
    assert(this.#log.lastTerm <= term, `the log's last term ${this.#log.lastTerm} is not above the node's ${term}`);
    this.#state = new SharedState(config, this.#log, start.hardState);
    this.#roles = new Roles(this.#state);
    this.#handedSoft = this.#softState();
    this.#handedHard = start.hardState;
  }

  get term(): Term {
    return this.#state.term;
  }
  get role(): Role {
    return this.#state.role;
  }
  /** The leader of this term as far as known, NO_NODE if not. */
  get leader(): NodeId {
    return this.#state.leader;
  }
  get commit(): LogIndex {
    return this.#log.commit;
  }
  get applied(): LogIndex {
    return this.#log.applied;
  }
  get firstIndex(): LogIndex {
    return this.#log.firstIndex;
  }
  get lastIndex(): LogIndex {
    return this.#log.lastIndex;
  }
  /** In force: the newest in the log, committed or not. */
  get membership(): Membership {
    return this.#log.configuration.membership;
  }
  /** Whether this node's disk was damaged and it counts for nothing until it has everything again (recovery.ts). */
  get isRecovering(): boolean {
    return this.#state.isRecovering;
  }
  /** An entry that this node confirmed and does not have any more; null as long as its disk keeps what it promised. It must not go on so. */
  get forgotten(): LogIndex | null {
    return this.#state.forgotten;
  }
  /** Those who say the same while nobody leads, once it is clear that whoever is sound is no majority; null before. */
  get hopeless(): readonly NodeId[] | null {
    const { sufferers } = this.#roles;
    return this.isRecovering && sufferers.isHopeless ? sufferers.nodes : null;
  }
  /** Bytes of data in the entries held in memory, from firstIndex to lastIndex. */
  get entryBytes(): number {
    return this.#log.entryBytes;
  }
  /** Followers that are alive need entries only behind this one; the last one while this node does not lead. */
  get neededBehind(): LogIndex {
    return this.#roles.leadership?.neededBehind() ?? this.#log.lastIndex;
  }
  /** A received snapshot that was accepted by step() and is not advanced yet; null also when step() did not want it. */
  get pendingSnapshot(): SnapshotMeta | null {
    return this.#log.pendingSnapshot;
  }

  /** One unit of time passed. */
  tick(): void {
    this.#roles.tick();
  }

  /** A message came in. Whatever a peer sends, this does not throw. */
  step(message: Message): void {
    this.#roles.step(message);
  }

  propose(data: Uint8Array): ProposeResult {
    return this.#roles.leadership?.propose(data) ?? { kind: "refused", reason: "not-leader" };
  }

  /** Begins a change of membership: to these voters and learners, through a joint membership where that takes one. */
  changeMembership(target: Membership): ChangeResult {
    return this.#roles.leadership?.changeMembership(target) ?? { kind: "refused", reason: "not-leader" };
  }

  /** Asks for an index that is safe to read at; the answer comes in Ready.readStates, with this context. */
  readIndex(context: number): "accepted" | "no-leader" {
    return this.#roles.read(context);
  }

  /** Asks for pre-votes at once, without waiting for the timeout. A leader goes on as it is, and a candidate that nobody refused. */
  campaign(): void {
    this.#roles.campaign();
  }

  /** Voters that could take the office, the best first; nobody while this node does not lead. */
  get heirs(): readonly NodeId[] {
    return this.#roles.leadership?.heirs ?? [];
  }

  /** Hands the office to a voter; proposals are refused until it is done, or an election timeout has passed. */
  transferLeader(to: NodeId): boolean {
    return this.#roles.leadership?.transfer(to) ?? false;
  }

  unreachable(peer: NodeId): void {
    this.#roles.leadership?.unreachable(peer);
  }

  snapshotSent(peer: NodeId, ok: boolean): void {
    this.#roles.leadership?.snapshotSent(peer, ok);
  }

  /** This process stood still for longer than an election timeout: believe no count of ticks before new inputs came. */
  suspect(): void {
    this.#roles.suspect();
  }

  /** A local snapshot is on disk. @param index Entries up to here are forgotten; at most snapshot.index. */
  compact(index: LogIndex, snapshot: SnapshotMeta): void {
    this.#log.compact(index, snapshot);
  }

  /** @returns the next batch of work; null when there is none, or the last one is not advanced yet. */
  ready(): Ready | null {
    if (this.#outstanding !== null) return null;
    this.#roles.leadership?.flush();
    const soft = this.#softState();
    const hard = this.#hardState();
    const hasVoteNews = !isSameElection(hard, this.#handedHard);
    const snapshot = this.#log.handOutSnapshot();
    const entries = this.#log.unstable();
    const ready: Ready = {
      softState: isSameSoft(soft, this.#handedSoft) ? null : soft,
      hardState: hasVoteNews || hard.commit !== this.#handedHard.commit ? hard : null,
      entries,
      snapshot,
      committed: this.#log.unapplied(this.#state.config.maxCommittedBytes),
      messages: this.#takeMessages(),
      readStates: this.#takeReadStates(),
      mustSync: hasVoteNews || entries.length > 0 || snapshot !== null,
    };
    if (isEmpty(ready)) return null;
    this.#outstanding = ready;
    this.#handedSoft = soft;
    this.#handedHard = hard;
    return ready;
  }

  /**
   * While a Ready is outstanding: a leader's messages, which need not wait for its own disk (thesis 10.2.1), so that a slow
   * or full disk does not silence its heartbeats. Nothing for any other role.
   */
  leaderMessages(): readonly Message[] {
    const { leadership } = this.#roles;
    if (leadership === null || this.#outstanding === null) return [];
    leadership.flush();
    return this.#takeMessages();
  }

  /**
   * The duties of the last Ready are done.
   *
   * @param entriesWritten False when the disk had no room for the entries: hard state is written, nothing of the entries is,
   *   nothing from the first of them on was applied, and no reply that speaks of them was sent. The next Ready brings them again.
   */
  advance(entriesWritten = true): void {
    const done = this.#outstanding;
    assert(done !== null, "advance() follows a ready()");
    this.#outstanding = null;
    if (done.snapshot !== null) this.#log.snapshotInstalled(done.snapshot);
    const written = entriesWritten ? done.entries.at(-1) : undefined;
    if (written !== undefined) this.#log.stableTo(written.index, written.term);
    const applied = done.committed.at(-1)?.index ?? 0;
    const firstMissing = entriesWritten ? undefined : done.entries[0];
    this.#log.appliedTo(Math.min(applied, firstMissing === undefined ? applied : firstMissing.index - 1));
    this.#roles.leadership?.advanceCommit();
    this.#roles.retireIfRemoved();
    this.#roles.persisted(this.#handedHard);
  }

  status(): CoreStatus {
    return describe(this.#state, this.#roles.leadership);
  }

  #softState(): SoftState {
    return { role: this.#state.role, leader: this.#state.leader, term: this.#state.term };
  }

  #hardState(): HardState {
    const { term, vote, recovery, isRecovering } = this.#state;
    const hardState = { term, vote, commit: this.#log.commit };
    return isRecovering ? { ...hardState, recovery } : hardState;
  }

  #takeMessages(): readonly Message[] {
    const messages = this.#state.outbox;
    this.#state.outbox = [];
    return messages;
  }

  #takeReadStates(): Ready["readStates"] {
    const readStates = this.#state.readStates;
    this.#state.readStates = [];
    return readStates;
  }
}

/** Whether two hard states differ in nothing but the commit index, which is worth no sync. */
export function isSameElection(a: HardState, b: HardState): boolean {
  return a.term === b.term && a.vote === b.vote && a.recovery === b.recovery;
}

function isSameSoft(a: SoftState, b: SoftState): boolean {
  return a.role === b.role && a.leader === b.leader && a.term === b.term;
}

function isEmpty(ready: Ready): boolean {
  return (
    ready.softState === null &&
    ready.hardState === null &&
    ready.snapshot === null &&
    ready.entries.length === 0 &&
    ready.committed.length === 0 &&
    ready.messages.length === 0 &&
    ready.readStates.length === 0
  );
}

function checkConfig(config: CoreConfig): void {
  assert(Number.isSafeInteger(config.id) && config.id > 0, `node id ${config.id} is a positive integer`);
  assert(config.heartbeatTicks >= 1, `heartbeatTicks ${config.heartbeatTicks} is at least 1`);
  assert(config.electionTicks > config.heartbeatTicks, "electionTicks is above heartbeatTicks");
  assert(config.electionJitterTicks >= 0, "electionJitterTicks is not negative");
  assert(config.maxAppendBytes > 0 && config.maxCommittedBytes > 0, "byte limits are positive");
  assert(config.promotionLagEntries >= 0, "promotionLagEntries is not negative");
  assert(config.maxInflightMessages > 0 && config.maxInflightBytes > 0, "the in-flight window is not empty");
}
