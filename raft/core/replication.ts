/**
 * The leader's sending side: who gets which entries, heartbeats or snapshot, and what the replies mean.
 *
 * Idea. Nothing is sent when something happens; `flush` looks at each follower's progress when a Ready is made and sends what is
 * due. So a hundred proposals that came in while the disk was busy leave as one append per follower.
 * Whoever a change removes still gets the log until an election timeout after the change is committed: so it learns of it and does
 * not go on asking for votes.
 *
 * Not here. What is committed (leader.ts); one follower's window (progress.ts).
 *
 * @module
 */
import type { Entry, LogIndex, Message, NodeId } from "../types.ts";
import { Progress } from "./progress.ts";
import { acknowledgedByQuorum, hasQuorum } from "./quorum.ts";
import type { SharedState } from "./state.ts";

type AppendReply = Extract<Message, { readonly kind: "append-reply" }>;
type RecoveryReply = Extract<Message, { readonly kind: "recovery-reply" }>;

export class Replication {
  readonly #state: SharedState;
  readonly #progress = new Map<NodeId, Progress>();
  /** Those whom a change removes, and how many ticks they have left once it is committed. */
  readonly #leaving = new Map<NodeId, number>();

  constructor(state: SharedState) {
    this.#state = state;
    this.followMembership(state.log.lastIndex + 1);
  }

  /** Membership is another now: sends to whoever is new, from `next` on, and prepares to let go of whoever is no member any more. */
  followMembership(next: LogIndex): void {
    const { members, config } = this.#state;
    const limits = { maxMessages: config.maxInflightMessages, maxBytes: config.maxInflightBytes };
    for (const peer of members.peers) {
      this.#leaving.delete(peer);
      if (!this.#progress.has(peer)) this.#progress.set(peer, new Progress(next, limits));
    }
    for (const peer of this.#progress.keys()) {
      if (!members.has(peer)) this.#leaving.set(peer, config.electionTicks);
    }
  }

  tick(): void {
    if (this.#state.log.configuration.index > this.#state.log.commit) return;
    for (const [peer, ticksLeft] of this.#leaving) {
      if (ticksLeft > 1) this.#leaving.set(peer, ticksLeft - 1);
      else {
        this.#leaving.delete(peer);
        this.#progress.delete(peer);
      }
    }
  }

  get peers(): ReadonlyMap<NodeId, Progress> {
    return this.#progress;
  }

  /** The last index that is on the disks of a quorum; the leader counts what its own disk has. */
  acknowledged(): LogIndex {
    const { log, members, id } = this.#state;
    return acknowledgedByQuorum(members.voterSets, (node) =>
      node === id ? log.stable : (this.#progress.get(node)?.pledged ?? 0),
    );
  }

  hasAll(peer: NodeId): boolean {
    return this.#progress.get(peer)?.pledged === this.#state.log.lastIndex;
  }

  /** Whether a quorum would hardly notice that it waits for this one, too. */
  isCaughtUp(peer: NodeId): boolean {
    const progress = this.#progress.get(peer);
    if (progress?.mode !== "replicate" || !progress.isAlive || progress.isRecovering) return false;
    if (this.#leaving.has(peer)) return false;
    return this.#state.log.lastIndex - progress.match <= this.#state.config.promotionLagEntries;
  }

  /** The other voters, the best successor first: those that live, that follow without a gap, that have most of the log. */
  heirs(): readonly NodeId[] {
    const { id: self, members } = this.#state;
    const ranks = members.membership.voters.flatMap((id) => {
      const progress = this.#progress.get(id);
      if (id === self || progress === undefined || progress.isRecovering) return [];
      const follows = progress.recentlyActive && progress.mode === "replicate";
      return [{ id, health: Number(progress.isAlive) + Number(follows), match: progress.match }];
    });
    ranks.sort((one, other) => other.health - one.health || other.match - one.match);
    return ranks.map(({ id }) => id);
  }

  /** Whether a quorum was heard since the last call (thesis 6.2), this node included; starts the next period. */
  checkQuorum(): boolean {
    const { members, id } = this.#state;
    const active = hasQuorum(members.voterSets, (node) => node === id || this.#progress.get(node)?.hasVoice === true);
    for (const progress of this.#progress.values()) progress.periodEnded();
    return active;
  }

  forgetActivity(): void {
    for (const progress of this.#progress.values()) progress.forgetActivity();
  }

  /** Nobody who is alive needs entries at or below this one, but for those who are sent a snapshot of it. */
  neededBehind(): LogIndex {
    let index = this.#state.log.lastIndex;
    for (const progress of this.#progress.values()) {
      if (progress.isAlive) index = Math.min(index, progress.neededBehind);
    }
    return index;
  }

  flush(): void {
    for (const [peer, progress] of this.#progress) this.#flushTo(peer, progress);
  }

  /** A heartbeat commits only what the follower is known to have: it may lack, or hold otherwise, what lies behind. */
  heartbeat(readContext: number): void {
    for (const [peer, progress] of this.#progress) {
      const commit = Math.min(progress.match, this.#state.log.commit);
      this.#state.send(peer, { kind: "heartbeat", commit, readContext });
    }
  }

  heartbeatReplied(peer: NodeId): void {
    const progress = this.#progress.get(peer);
    if (progress === undefined) return;
    progress.heard();
    progress.freeOldest();
    if (progress.match < this.#state.log.lastIndex) progress.nudged = true;
  }

  appendReplied(message: AppendReply): void {
    const progress = this.#progress.get(message.from);
    if (progress === undefined) return;
    progress.recentlyActive = true;
    // A word from before the damage, or the first one after the recovery.
    if (progress.isRecovering && !progress.toldRecovered) return;
    progress.recovered();
    this.#replied(progress, message);
  }

  recoveryReplied(message: RecoveryReply): void {
    const progress = this.#progress.get(message.from);
    if (progress === undefined) return;
    progress.recentlyActive = true;
    this.#replied(progress, message);
  }

  #replied(progress: Progress, message: AppendReply | RecoveryReply): void {
    const { log } = this.#state;
    if (message.rejected) {
      const hint =
        message.hintTerm > 0 ? log.lastAtOrBelowTerm(message.hintIndex, message.hintTerm).index : message.hintIndex;
      progress.rejected(message.index, hint);
      return;
    }
    if (message.index > log.lastIndex) {
      this.#state.protocolViolations++;
      return;
    }
    if (!progress.accepted(message.index)) return;
    const reachable =
      progress.mode === "probe" || (progress.mode === "snapshot" && progress.match + 1 >= log.firstIndex);
    if (reachable) progress.becomeReplicate();
  }

  unreachable(peer: NodeId): void {
    const progress = this.#progress.get(peer);
    if (progress?.mode === "replicate") progress.becomeProbe();
  }

  snapshotSent(peer: NodeId, ok: boolean): void {
    const progress = this.#progress.get(peer);
    if (progress?.mode === "snapshot") progress.snapshotEnded(ok);
  }

  #flushTo(peer: NodeId, progress: Progress): void {
    const { log, config } = this.#state;
    while (!progress.paused && this.#isDue(progress)) {
      const prevIndex = progress.next - 1;
      const prevTerm = log.termAt(prevIndex);
      if (prevTerm === null) {
        this.#offerSnapshot(peer, progress);
        return;
      }
      const entries =
        progress.next > log.lastIndex ? [] : log.slice(progress.next, log.lastIndex, config.maxAppendBytes);
      this.#state.send(peer, { kind: "append", prevIndex, prevTerm, entries, commit: log.commit });
      progress.sentCommit = log.commit;
      progress.sent(prevIndex + entries.length, entries.length, totalBytes(entries));
    }
  }

  #isDue(progress: Progress): boolean {
    const { log } = this.#state;
    if (progress.next <= log.lastIndex || progress.nudged) return true;
    return progress.mode === "replicate" && progress.sentCommit < log.commit;
  }

  /** Only to a follower that lives: the bytes of a snapshot are not spent on a dead one. */
  #offerSnapshot(peer: NodeId, progress: Progress): void {
    const { snapshot } = this.#state.log;
    if (snapshot === null || !progress.recentlyActive || this.#leaving.has(peer)) return;
    progress.becomeSnapshot(snapshot.index);
    this.#state.send(peer, { kind: "snapshot", snapshot });
  }
}

function totalBytes(entries: readonly Entry[]): number {
  return entries.reduce((sum, entry) => sum + entry.data.length, 0);
}
