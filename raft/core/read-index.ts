/**
 * Linearizable reads without a log entry (thesis 6.4), on both ends.
 *
 * Idea. The leader notes its commit index, asks a quorum by heartbeat whether it still leads, and then lets the reader read at
 * that index. Requests that wait at the same moment share one round; rounds are numbered, and a reply to round n
 * confirms every round up to n, so a lost heartbeat costs nothing but time.
 *
 *     request a, request b -> round 7 opens at commit 120 -> heartbeats say 7 -> quorum says 7 -> a and b may read at 120
 *
 * Invariants.
 * - A round's index is the commit index at a moment after its requests came in, and the round is confirmed by heartbeats
 *   sent after that moment. No clock is trusted.
 * - Every request is answered once: by an index, or by a refusal when leadership ends.
 *
 * @module
 */
import type { LogIndex, NodeId } from "../types.ts";
import type { VoterSet } from "./quorum.ts";
import { acknowledgedByQuorum } from "./quorum.ts";

export interface ReadRequest {
  readonly requester: NodeId;
  readonly context: number;
}

interface Round {
  readonly number: number;
  readonly index: LogIndex;
  readonly requests: readonly ReadRequest[];
}

/** Requests a leader keeps at most; a caller batches its readers, so that this is thousands of batches. */
const WAITING_READS_MAX = 10_000;
/** Requests that a follower remembers to have forwarded. Those beyond were lost long ago. */
const FORWARDED_READS_MAX = 1_000;

/** The leader's end. */
export class ReadRounds {
  #waiting: ReadRequest[] = [];
  #rounds: Round[] = [];
  #lastRound = 0;
  readonly #acknowledged = new Map<NodeId, number>();

  /** What heartbeats carry: the newest round, or 0 when none waits for confirmation. */
  get asking(): number {
    return this.#rounds.length > 0 ? this.#lastRound : 0;
  }
  get pending(): number {
    return this.#rounds.reduce((count, round) => count + round.requests.length, this.#waiting.length);
  }
  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** @returns false when too many wait already. */
  add(request: ReadRequest): boolean {
    if (this.#waiting.length >= WAITING_READS_MAX) return false;
    this.#waiting.push(request);
    return true;
  }

  /** Everything that waits becomes a round at this commit index, to be confirmed by heartbeats that are sent from now on. */
  open(commit: LogIndex): void {
    this.#lastRound++;
    this.#rounds.push({ number: this.#lastRound, index: commit, requests: this.#waiting });
    this.#waiting = [];
  }

  acknowledge(peer: NodeId, round: number): void {
    if (round <= this.#lastRound) this.#acknowledged.set(peer, Math.max(round, this.#acknowledged.get(peer) ?? 0));
  }

  /** Takes out what a quorum has confirmed; the leader itself counts as having confirmed everything. */
  confirmed(sets: readonly VoterSet[], self: NodeId): readonly (ReadRequest & { readonly index: LogIndex })[] {
    if (this.#rounds.length === 0) return [];
    const upTo = acknowledgedByQuorum(sets, (node) =>
      node === self ? this.#lastRound : (this.#acknowledged.get(node) ?? 0),
    );
    const done = this.#rounds.filter((round) => round.number <= upTo);
    this.#rounds.splice(0, done.length);
    return done.flatMap((round) => round.requests.map((request) => ({ ...request, index: round.index })));
  }

  /** Confirmations under way no longer count: every open request waits for a new round. */
  restart(): void {
    this.#waiting = [...this.#rounds.flatMap((round) => round.requests), ...this.#waiting];
    this.#rounds = [];
  }

  /** Takes out everything unanswered. */
  drain(): readonly ReadRequest[] {
    this.restart();
    const all = this.#waiting;
    this.#waiting = [];
    return all;
  }
}

/** The follower's end: which of its requests the leader still owes an answer. */
export class ForwardedReads {
  readonly #contexts = new Set<number>();

  /** @returns a context that has to be refused to keep the memory bounded, or null. */
  add(context: number): number | null {
    this.#contexts.add(context);
    const [oldest] = this.#contexts;
    if (oldest === undefined || this.#contexts.size <= FORWARDED_READS_MAX) return null;
    this.#contexts.delete(oldest);
    return oldest;
  }

  /** @returns whether this answer was awaited. */
  settle(context: number): boolean {
    return this.#contexts.delete(context);
  }

  drain(): readonly number[] {
    const all = [...this.#contexts];
    this.#contexts.clear();
    return all;
  }
}
