/**
 * Who takes part, seen from the protocol: which voter sets decide, and to whom the leader sends.
 *
 * Idea. The core asks only for `voterSets`, `peers`, `has` and `isVoter`. Today there is one set, given at the start or by a
 * snapshot; joint consensus will make it two for a while, and nothing but this file has to know.
 *
 * Invariants.
 * - At least one voter; no id twice, also not as voter and learner.
 *
 * @module
 */
import { assert } from "../assert.ts";
import type { Membership, NodeId } from "../types.ts";
import type { VoterSet } from "./quorum.ts";

export class Members {
  readonly membership: Membership;
  readonly voterSets: readonly VoterSet[];
  /** Everybody who gets the log, without the node itself. */
  readonly peers: readonly NodeId[];
  /** Whom a candidate asks. */
  readonly otherVoters: readonly NodeId[];
  readonly #all: ReadonlySet<NodeId>;
  readonly #voters: ReadonlySet<NodeId>;

  constructor(self: NodeId, membership: Membership) {
    const problem = membershipProblem(membership);
    assert(problem === null, `membership is valid: ${problem}`);
    const everybody = [...membership.voters, ...membership.learners];
    this.membership = membership;
    this.voterSets = [membership.voters];
    this.peers = everybody.filter((node) => node !== self);
    this.otherVoters = membership.voters.filter((node) => node !== self);
    this.#all = new Set(everybody);
    this.#voters = new Set(membership.voters);
  }

  has(node: NodeId): boolean {
    return this.#all.has(node);
  }

  isVoter(node: NodeId): boolean {
    return this.#voters.has(node);
  }
}

/** What is wrong with a membership, or null. Also asked about memberships that a peer sent. */
export function membershipProblem(membership: Membership): string | null {
  const everybody = [...membership.voters, ...membership.learners];
  if (membership.voters.length === 0) return "there is no voter";
  if (!everybody.every((node) => Number.isSafeInteger(node) && node > 0)) return "an id is no positive integer";
  if (new Set(everybody).size !== everybody.length) return "an id occurs twice";
  return null;
}
