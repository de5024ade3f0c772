/**
 * Follower, pre-candidate, candidate, leader: who this node is, and how a message or a tick changes that.
 *
 * Idea. Every message passes one gate, the rule of terms (thesis 3.3), and then goes to the role that it concerns.
 *
 *     follower --timeout--> pre-candidate --majority would vote--> candidate --majority voted--> leader
 *        ^                        |                                   |                            |
 *        +---- higher term, or a leader of this term, or refused -----+---- no quorum heard -------+
 *
 * Invariants.
 * - A node votes once a term, and a candidate counts its own vote only when it is on disk.
 * - A pre-vote changes nobody's term or vote (thesis 9.6).
 *
 * Not here. What followers do with appends (follower.ts), what leaders do (leader.ts).
 *
 * @module
 */
import type { HardState, Message, NodeId, Term } from "../types.ts";
import { NO_NODE } from "../types.ts";
import { Ballot, ElectionTimer } from "./election.ts";
import { acceptAppend, acceptHeartbeat, acceptSnapshot, replyAccepted } from "./follower.ts";
import { Leader } from "./leader.ts";
import { ForwardedReads } from "./read-index.ts";
import { Sufferers } from "./recovery.ts";
import { type SharedState, SOUND } from "./state.ts";
import { isWellFormed } from "./validity.ts";

type Of<K extends Message["kind"]> = Extract<Message, { readonly kind: K }>;
type LeaderMessage = Of<"append"> | Of<"heartbeat"> | Of<"snapshot">;
type VoteRequest = Of<"vote"> | Of<"pre-vote">;

export class Roles {
  readonly #state: SharedState;
  readonly #timer: ElectionTimer;
  readonly #forwarded = new ForwardedReads();
  readonly #sufferers = new Sufferers();
  #ballot = new Ballot();
  /** The last term that had a leader, as far as this node knows, or that it found on its disk: no vote of then is waited for. */
  #ledTerm: Term;
  #leadership: Leader | null = null;

  constructor(state: SharedState) {
    this.#state = state;
    this.#timer = new ElectionTimer(state.config);
    this.#ledTerm = state.term;
  }

  /** Others that recover from damage, as far as a node that recovers itself was told while nobody leads. */
  get sufferers(): Sufferers {
    return this.#sufferers;
  }

  /** The office, while this node holds it. */
  get leadership(): Leader | null {
    return this.#leadership;
  }

  tick(): void {
    if (this.#leadership !== null) {
      if (!this.#leadership.tick()) this.#becomeFollower(this.#state.term, NO_NODE);
      return;
    }
    if (!this.#timer.tick()) return;
    if (this.#state.electable) this.#becomePreCandidate();
    else this.#missLeader();
  }

  campaign(): void {
    const { role, electable } = this.#state;
    if (electable && role !== "leader" && !this.#isElecting()) this.#becomePreCandidate();
  }

  /** Somebody is about to be elected: this node, whom nobody refused yet, or the one who has this node's vote and did not lead yet. */
  #isElecting(): boolean {
    const { role, vote, id, term } = this.#state;
    if (role === "candidate") return !this.#ballot.isContested;
    return vote !== NO_NODE && vote !== id && this.#ledTerm < term;
  }

  suspect(): void {
    this.#timer.suspect();
    this.#leadership?.suspect();
  }

  read(context: number): "accepted" | "no-leader" {
    const { leader, id } = this.#state;
    if (leader === NO_NODE) return "no-leader";
    if (this.#leadership !== null) {
      this.#leadership.read(id, context);
      return "accepted";
    }
    const forgotten = this.#forwarded.add(context);
    if (forgotten !== null) this.#state.answerRead(id, forgotten, null);
    this.#state.send(leader, { kind: "read-index", context });
    return "accepted";
  }

  /** The caller wrote this hard state: if it holds our vote for ourselves, that vote counts now. */
  persisted(hardState: HardState): void {
    const { id, term, role, members } = this.#state;
    if (role !== "candidate" || hardState.term !== term || hardState.vote !== id) return;
    this.#ballot.record(id, true);
    if (this.#ballot.result(members.voterSets) === "won") this.#becomeLeader();
  }

  step(message: Message): void {
    const { id, term } = this.#state;
    if (message.to !== id || message.from === id || !this.#hears(message)) return;
    if (!isWellFormed(message)) {
      this.#state.protocolViolations++;
      return;
    }
    if (message.kind === "recovering") {
      // Whoever lost its term cannot keep to the rule of terms.
      this.#sufferers.heard(message.from);
      this.#leadership?.memberRecovers(message);
      return;
    }
    if (message.term < term) {
      this.#answerStale(message);
      return;
    }
    if (message.term > term && !this.#admitHigherTerm(message)) return;
    this.#dispatch(message);
    this.retireIfRemoved();
  }

  /** A leader that a committed change removed steps down (thesis 4.2.2). */
  retireIfRemoved(): void {
    if (this.#leadership?.isRemoved !== true) return;
    this.#leadership.sayFarewell();
    this.#becomeFollower(this.#state.term, NO_NODE);
  }

  /** A node may learn late that somebody is a member, so leaders and candidates are heard whoever they are (thesis 4.1); the transport
   *  keeps strangers out. Answers are only expected from those whom this node asks. */
  #hears(message: Message): boolean {
    if (isLeaderMessage(message) || message.kind === "vote" || message.kind === "pre-vote") return true;
    const { members, leader } = this.#state;
    return members.has(message.from) || message.from === leader || this.#leadership?.peers.has(message.from) === true;
  }

  #dispatch(message: Message): void {
    switch (message.kind) {
      case "pre-vote":
      case "vote":
        return this.#answerVoteRequest(message);
      case "pre-vote-reply":
      case "vote-reply":
        return this.#countVote(message);
      case "append":
      case "heartbeat":
      case "snapshot":
        return this.#obeyLeader(message);
      case "append-reply":
        return this.#leadership?.appendReplied(message);
      case "heartbeat-reply":
        return this.#leadership?.heartbeatReplied(message);
      case "read-index":
        if (this.#leadership !== null) return this.#leadership.read(message.from, message.context);
        return this.#state.answerRead(message.from, message.context, null);
      case "read-index-reply":
        if (!this.#forwarded.settle(message.context)) return;
        return this.#state.answerRead(this.#state.id, message.context, message.rejected ? null : message.index);
      case "recovery-reply":
        return this.#leadership?.recoveryReplied(message);
      case "recovered":
        return this.#recovered(message);
      case "timeout-now":
        if (this.#state.electable && this.#state.leader === message.from) this.#becomeCandidate(true);
    }
  }

  /** @returns whether the message is to be handled; the term is adopted unless it is only a pre-vote's wish. */
  #admitHigherTerm(message: Message): boolean {
    switch (message.kind) {
      case "pre-vote":
        return !this.#clingsToLeader();
      case "pre-vote-reply":
        if (message.granted) return true;
        break;
      case "vote":
        if (!message.transfer && this.#clingsToLeader()) return false;
        break;
      default:
    }
    this.#becomeFollower(message.term, isLeaderMessage(message) ? message.from : NO_NODE);
    return true;
  }

  /** Whoever lives in the past is told the present, if it asked; a late reply is dropped. */
  #answerStale(message: Message): void {
    switch (message.kind) {
      case "pre-vote":
        return this.#state.send(message.from, { kind: "pre-vote-reply", granted: false });
      case "vote":
        return this.#state.send(message.from, { kind: "vote-reply", granted: false });
      case "append":
      case "heartbeat":
      case "snapshot":
        // Only the term in the envelope matters: it makes a deposed leader step down.
        return this.#state.send(message.from, {
          kind: "append-reply",
          index: 0,
          rejected: true,
          hintIndex: 0,
          hintTerm: 0,
        });
      case "read-index":
        return this.#state.answerRead(message.from, message.context, null);
      default:
    }
  }

  /** Thesis 3.3 has a vote a term: in this one it may have been given before the damage, so it is the leader's now. */
  #recovered({ from, recovery }: Of<"recovered">): void {
    const state = this.#state;
    if (state.leader !== from || state.recovery !== recovery) return;
    state.recovery = SOUND;
    if (state.vote === NO_NODE) state.vote = from;
    replyAccepted(state, from, state.log.commit);
  }

  #answerVoteRequest(message: VoteRequest): void {
    const { vote, leader, log, term, isRecovering } = this.#state;
    const isFree = vote === message.from || (vote === NO_NODE && leader === NO_NODE);
    const mayVote = isFree || (message.kind === "pre-vote" && message.term > term);
    const granted = mayVote && !isRecovering && log.isUpToDate(message.lastIndex, message.lastTerm);
    if (message.kind === "pre-vote") {
      this.#state.send(message.from, { kind: "pre-vote-reply", granted }, granted ? message.term : term);
      if (granted) this.#yieldTo(message);
      return;
    }
    this.#state.send(message.from, { kind: "vote-reply", granted });
    if (!granted) return;
    this.#state.vote = message.from;
    this.#timer.restart();
  }

  /** Two that ask at once would split the vote; the one with the worse log, or the lower id, gives way. */
  #yieldTo(rival: Of<"pre-vote">): void {
    const { role, log, id, term } = this.#state;
    if (role !== "pre-candidate" || rival.term <= term) return;
    const isEqual = rival.lastTerm === log.lastTerm && rival.lastIndex === log.lastIndex;
    if (!isEqual || rival.from > id) this.#becomeFollower(term, NO_NODE);
  }

  #countVote(message: Of<"pre-vote-reply"> | Of<"vote-reply">): void {
    const { role, term, members } = this.#state;
    if (role !== (message.kind === "vote-reply" ? "candidate" : "pre-candidate")) return;
    if (message.kind === "pre-vote-reply" && message.granted && message.term !== term + 1) return;
    this.#ballot.record(message.from, message.granted);
    this.#settleBallot(this.#ballot.result(members.voterSets));
  }

  #settleBallot(result: "won" | "lost" | "pending"): void {
    if (result === "pending") return;
    if (result === "lost") this.#becomeFollower(this.#state.term, NO_NODE);
    else if (this.#state.role === "pre-candidate") this.#becomeCandidate(false);
    else this.#becomeLeader();
  }

  #obeyLeader(message: LeaderMessage): void {
    const { role, leader } = this.#state;
    if (role === "leader" || (leader !== NO_NODE && leader !== message.from)) {
      // Two leaders in one term: election safety says that no correct peer sent this.
      this.#state.protocolViolations++;
      return;
    }
    if (leader !== message.from) this.#becomeFollower(message.term, message.from);
    this.#timer.leaderHeard();
    this.#sufferers.leaderHeard();
    if (message.kind === "append") acceptAppend(this.#state, message);
    else if (message.kind === "heartbeat") acceptHeartbeat(this.#state, message);
    else acceptSnapshot(this.#state, message);
  }

  /** Thesis 4.2.3: while the leader is heard, nobody else's wish to lead is heard. */
  #clingsToLeader(): boolean {
    if (this.#leadership !== null) return this.#leadership.trustsItself;
    return this.#state.leader !== NO_NODE && this.#timer.vouchesForLeader;
  }

  #becomeFollower(term: Term, leader: NodeId): void {
    if (term > this.#state.term) {
      this.#state.term = term;
      this.#state.vote = NO_NODE;
    }
    this.#enter("follower", leader);
  }

  #becomePreCandidate(): void {
    const { log, term, id, members } = this.#state;
    this.#enter("pre-candidate", NO_NODE);
    for (const peer of members.otherVoters) {
      this.#state.send(peer, { kind: "pre-vote", lastIndex: log.lastIndex, lastTerm: log.lastTerm }, term + 1);
    }
    this.#ballot.record(id, true);
    this.#settleBallot(this.#ballot.result(members.voterSets));
  }

  #becomeCandidate(transfer: boolean): void {
    const { log, id, members } = this.#state;
    this.#state.term++;
    this.#state.vote = id;
    this.#enter("candidate", NO_NODE);
    for (const peer of members.otherVoters) {
      this.#state.send(peer, { kind: "vote", lastIndex: log.lastIndex, lastTerm: log.lastTerm, transfer });
    }
  }

  #becomeLeader(): void {
    this.#enter("leader", this.#state.id);
    this.#leadership = new Leader(this.#state);
  }

  #enter(role: SharedState["role"], leader: NodeId): void {
    const office = this.#leadership;
    this.#leadership = null;
    this.#state.role = role;
    this.#state.leader = leader;
    if (leader !== NO_NODE) this.#ledTerm = this.#state.term;
    this.#ballot = new Ballot();
    this.#timer.restart();
    office?.resign();
    this.#refuseForwardedReads();
  }

  #missLeader(): void {
    const { members, id, recovery, isRecovering } = this.#state;
    if (isRecovering) {
      this.#sufferers.roundPassed(id, members);
      for (const peer of members.peers) this.#state.send(peer, { kind: "recovering", recovery });
    }
    this.#state.leader = NO_NODE;
    this.#timer.restart();
    this.#refuseForwardedReads();
  }

  #refuseForwardedReads(): void {
    for (const context of this.#forwarded.drain()) this.#state.answerRead(this.#state.id, context, null);
  }
}

function isLeaderMessage(message: Message): message is LeaderMessage {
  return message.kind === "append" || message.kind === "heartbeat" || message.kind === "snapshot";
}
