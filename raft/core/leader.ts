/**
 * A term of office: everything that exists only while this node leads.
 *
 * Idea. Made when an election is won, thrown away when the office is lost; so nothing of one term can leak into another.
 *
 * Invariants.
 * - Only entries of its own term are committed by counting; older ones commit with them (thesis 3.6.2).
 * - Its own disk counts only after the caller wrote the batch (thesis 10.2.1).
 * - At most one change of membership is not committed; a joint one is left as soon as it is (thesis 4.3).
 * - A change that removes the leader is carried to its end by it, without counting itself (thesis 4.2.2); then `isRemoved`.
 * - Reads are answered only after an entry of its term committed, and after a quorum confirmed it (thesis 6.4).
 *
 * @module
 */
import type { EntryKind, LogIndex, Membership, Message, NodeId, Term } from "../types.ts";
import { NO_NODE } from "../types.ts";
import { type ChangeRefusal, leaveJoint, planChange } from "./change.ts";
import type { Progress } from "./progress.ts";
import { ReadRounds } from "./read-index.ts";
import { Replication } from "./replication.ts";
import type { SharedState } from "./state.ts";

export type ProposeResult =
  | { readonly kind: "appended"; readonly index: LogIndex; readonly term: Term }
  | { readonly kind: "refused"; readonly reason: "not-leader" | "too-much-uncommitted" | "transferring" };

/** Of a change of membership; `node` is the learner that lags. */
export type ChangeResult =
  | { readonly kind: "appended"; readonly index: LogIndex; readonly term: Term }
  | {
      readonly kind: "refused";
      readonly reason: "not-leader" | "transferring" | ChangeRefusal;
      readonly node?: NodeId;
    };

const NO_DATA = new Uint8Array(0);

export class Leader {
  readonly #state: SharedState;
  readonly #replication: Replication;
  readonly #reads = new ReadRounds();
  #uncommittedBytes: number;
  #heartbeatElapsed = 0;
  #checkQuorumElapsed = 0;
  #suspected = false;
  #transferee: NodeId = NO_NODE;
  #transferElapsed = 0;

  constructor(state: SharedState) {
    this.#state = state;
    this.#replication = new Replication(state);
    this.#uncommittedBytes = state.log.bytesBetween(state.log.commit + 1, state.log.lastIndex);
    this.#append("noop", NO_DATA);
  }

  get peers(): ReadonlyMap<NodeId, Progress> {
    return this.#replication.peers;
  }
  get transferee(): NodeId {
    return this.#transferee;
  }
  /** Who could lead in its place, the best first. */
  get heirs(): readonly NodeId[] {
    return this.#replication.heirs();
  }
  get uncommittedBytes(): number {
    return this.#uncommittedBytes;
  }
  get pendingReads(): number {
    return this.#reads.pending;
  }
  /** A committed membership does without this node's vote: it has to step down. */
  get isRemoved(): boolean {
    const { log, members, id } = this.#state;
    return log.configuration.index <= log.commit && !members.isJoint && !members.isVoter(id);
  }
  /** Whether it may turn candidates away: not after a pause, until a quorum was heard again. */
  get trustsItself(): boolean {
    return !this.#suspected;
  }

  /** @returns false when no quorum was heard for an election timeout: the office is lost. */
  tick(): boolean {
    const { electionTicks, heartbeatTicks } = this.#state.config;
    this.#replication.tick();
    this.#transferElapsed++;
    if (this.#transferElapsed >= electionTicks) this.#transferee = NO_NODE;
    this.#checkQuorumElapsed++;
    if (this.#checkQuorumElapsed >= electionTicks) {
      this.#checkQuorumElapsed = 0;
      if (!this.#replication.checkQuorum()) return false;
      this.#suspected = false;
    }
    this.#heartbeatElapsed++;
    if (this.#heartbeatElapsed >= heartbeatTicks) this.#heartbeat();
    return true;
  }

  propose(data: Uint8Array): ProposeResult {
    if (this.#transferee !== NO_NODE) return { kind: "refused", reason: "transferring" };
    const wanted = this.#uncommittedBytes + data.length;
    if (this.#uncommittedBytes > 0 && wanted > this.#state.config.maxUncommittedBytes) {
      return { kind: "refused", reason: "too-much-uncommitted" };
    }
    return { kind: "appended", index: this.#append("normal", data), term: this.#state.term };
  }

  changeMembership(target: Membership): ChangeResult {
    if (this.#transferee !== NO_NODE) return { kind: "refused", reason: "transferring" };
    const plan = planChange(this.#state, this.#replication, target);
    if (plan.kind === "refused") return plan;
    return { kind: "appended", index: this.#appendConfig(plan.data), term: this.#state.term };
  }

  read(requester: NodeId, context: number): void {
    if (!this.#reads.add({ requester, context })) this.#state.answerRead(requester, context, null);
  }

  transfer(to: NodeId): boolean {
    if (to === this.#state.id || !this.#state.members.membership.voters.includes(to)) return false;
    if (this.#transferee !== NO_NODE) return this.#transferee === to;
    if (this.peers.get(to)?.isRecovering === true) return false;
    this.#transferee = to;
    this.#transferElapsed = 0;
    this.#hurryTransferee();
    return true;
  }

  appendReplied(message: Extract<Message, { readonly kind: "append-reply" }>): void {
    this.#replication.appendReplied(message);
    this.advanceCommit();
    if (message.from === this.#transferee) this.#hurryTransferee();
  }

  /**
   * This follower's disk was damaged: what it said before is void. A new entry is the barrier behind which it counts again; once it is
   * committed without this follower, and this follower has it, the follower is told (recovery.ts).
   */
  memberRecovers({ from, term, recovery }: Pick<Message, "from" | "term"> & { readonly recovery: number }): void {
    const progress = this.peers.get(from);
    // Whoever hears this leader says so in its term: anything else is from another time.
    if (progress === undefined || term !== this.#state.term) return;
    if (progress.isNews(recovery)) progress.fell(recovery, this.#append("noop", NO_DATA));
    else if (progress.recovery === recovery) this.#tellIfRecovered(from, progress);
    // A late word of its made this leader believe that it had heard: what was certain then is certain now.
    else if (progress.wasToldOf(recovery)) this.#state.send(from, { kind: "recovered", recovery });
  }

  recoveryReplied(message: Extract<Message, { readonly kind: "recovery-reply" }>): void {
    this.memberRecovers(message);
    const progress = this.peers.get(message.from);
    if (progress === undefined || progress.recovery !== message.recovery) return;
    this.#replication.recoveryReplied(message);
    this.#tellIfRecovered(message.from, progress);
  }

  #tellIfRecovered(to: NodeId, progress: Progress): void {
    if (!progress.hasRecovered(this.#state.log.commit)) return;
    progress.toldRecovered = true;
    this.#state.send(to, { kind: "recovered", recovery: progress.recovery });
  }

  heartbeatReplied(message: Extract<Message, { readonly kind: "heartbeat-reply" }>): void {
    this.#replication.heartbeatReplied(message.from);
    this.#reads.acknowledge(message.from, message.readContext);
    this.#answerConfirmedReads();
  }

  unreachable(peer: NodeId): void {
    this.#replication.unreachable(peer);
  }

  snapshotSent(peer: NodeId, ok: boolean): void {
    this.#replication.snapshotSent(peer, ok);
  }

  /** Commits what a quorum has on disk, once an entry of this term is among it (thesis figure 3.7). */
  advanceCommit(): void {
    const { log, term } = this.#state;
    const index = this.#replication.acknowledged();
    if (index <= log.commit || log.termAt(index) !== term) return;
    this.#uncommittedBytes -= log.bytesBetween(log.commit + 1, index);
    log.commitTo(index);
    const { configuration } = log;
    if (configuration.index > index || configuration.membership.outgoing === undefined) return;
    this.#appendConfig(leaveJoint(configuration.membership));
    // Its own disk, and a majority of one, may be all that it takes.
    this.advanceCommit();
  }

  /** Last words of a leader that a change removed: what is committed, and who should lead now (thesis 4.2.2). */
  sayFarewell(): void {
    this.#replication.flush();
    const [heir] = this.#replication.heirs();
    if (heir !== undefined) this.#state.send(heir, { kind: "timeout-now" });
  }

  /** Where the log can be cut without making a follower that is alive need a snapshot. */
  neededBehind(): LogIndex {
    return this.#replication.neededBehind();
  }

  /** Puts everything that is due into the outbox. */
  flush(): void {
    const { log, term } = this.#state;
    if (this.#reads.hasWaiting && log.termAt(log.commit) === term) {
      this.#reads.open(log.commit);
      this.#heartbeat();
      this.#answerConfirmedReads();
    }
    this.#replication.flush();
  }

  /** This process stood still: others may lead by now, and what was heard before proves nothing. */
  suspect(): void {
    this.#suspected = true;
    this.#checkQuorumElapsed = 0;
    this.#replication.forgetActivity();
    this.#reads.restart();
  }

  /** Whoever waits for a read must ask the next leader. */
  resign(): void {
    for (const { requester, context } of this.#reads.drain()) this.#state.answerRead(requester, context, null);
  }

  #append(kind: EntryKind, data: Uint8Array): LogIndex {
    const { log, term } = this.#state;
    const index = log.lastIndex + 1;
    log.appendOwn({ index, term, kind, data });
    this.#uncommittedBytes += data.length;
    return index;
  }

  #appendConfig(data: Uint8Array): LogIndex {
    const index = this.#append("config", data);
    this.#replication.followMembership(index);
    return index;
  }

  #heartbeat(): void {
    this.#heartbeatElapsed = 0;
    this.#replication.heartbeat(this.#reads.asking);
  }

  #answerConfirmedReads(): void {
    const { members, id } = this.#state;
    for (const { requester, context, index } of this.#reads.confirmed(members.voterSets, id)) {
      this.#state.answerRead(requester, context, index);
    }
  }

  #hurryTransferee(): void {
    if (this.#replication.hasAll(this.#transferee)) this.#state.send(this.#transferee, { kind: "timeout-now" });
  }
}
