/**
 * The two small machines of an election: when to ask, and how the answers add up.
 *
 * Idea. The timer counts ticks since the leader was last heard. Below the election timeout it vouches for the leader, so this
 * node ignores candidates (thesis 4.2.3); above the timeout plus this round's random part it makes the node ask itself
 * (thesis 3.4). A ballot is one round of questions.
 *
 * @module
 */
import type { CoreConfig, NodeId } from "../types.ts";
import type { VoteResult, VoterSet } from "./quorum.ts";
import { voteResult } from "./quorum.ts";

type TimerConfig = Pick<CoreConfig, "electionTicks" | "electionJitterTicks" | "random">;

export class ElectionTimer {
  readonly #config: TimerConfig;
  #elapsed = 0;
  #timeout = 0;
  #suspected = false;

  constructor(config: TimerConfig) {
    this.#config = config;
    this.restart();
  }

  /** Whether the leader was heard so recently that no election can be wanted. */
  get vouchesForLeader(): boolean {
    return !this.#suspected && this.#elapsed < this.#config.electionTicks;
  }

  /** @returns whether it is time to campaign. */
  tick(): boolean {
    this.#elapsed++;
    return this.#elapsed >= this.#timeout;
  }

  /** A new round with a new random part, so that nodes that collided once do not collide again. */
  restart(): void {
    this.#elapsed = 0;
    this.#timeout =
      this.#config.electionTicks + Math.floor(this.#config.random() * (this.#config.electionJitterTicks + 1));
  }

  leaderHeard(): void {
    this.#elapsed = 0;
    this.#suspected = false;
  }

  /** This process stood still: what it counted says nothing, neither against the leader nor for it. */
  suspect(): void {
    this.#elapsed = 0;
    this.#suspected = true;
  }
}

export class Ballot {
  readonly #votes = new Map<NodeId, boolean>();

  /** The first answer counts; a repeated message changes nothing. */
  record(node: NodeId, granted: boolean): void {
    if (!this.#votes.has(node)) this.#votes.set(node, granted);
  }

  /** Whether somebody said no: a candidate's votes are split, then. */
  get isContested(): boolean {
    return [...this.#votes.values()].includes(false);
  }

  result(sets: readonly VoterSet[]): VoteResult {
    return voteResult(sets, (node) => this.#votes.get(node));
  }
}
