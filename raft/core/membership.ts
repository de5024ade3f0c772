/**
 * Who takes part, seen from the protocol: which voter sets decide, and to whom the leader sends.
 *
 * Idea. The core asks only for `voterSets`, `peers`, `has` and `isVoter`. One set decides as a rule; during a joint change there are
 * two, the voters before and after, and nothing but this file has to know.
 *
 *     {1 2 3} -> 4, 5 for 2, 3:   voters 1 4 5, outgoing 1 2 3   ->   voters 1 4 5
 *
 * Invariants.
 * - No id twice in a set, none both voter and learner. Whoever goes from voter to learner is in `outgoing` until then.
 * - Voters are missing only where a newcomer was told nothing yet.
 *
 * Not here. Which membership is in force (configurations.ts), which change is allowed (change.ts).
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
    const { voters, learners, outgoing } = membership;
    this.membership = membership;
    this.voterSets = outgoing === undefined ? [voters] : [voters, outgoing];
    this.#voters = new Set(this.voterSets.flat());
    this.#all = new Set([...this.#voters, ...learners]);
    this.peers = [...this.#all].filter((node) => node !== self);
    this.otherVoters = [...this.#voters].filter((node) => node !== self);
  }

  get isJoint(): boolean {
    return this.membership.outgoing !== undefined;
  }

  has(node: NodeId): boolean {
    return this.#all.has(node);
  }

  /** Of either set. */
  isVoter(node: NodeId): boolean {
    return this.#voters.has(node);
  }
}

/** What is wrong with a membership, or null. Also asked about memberships that a peer sent. */
export function membershipProblem(membership: Membership): string | null {
  const { voters, learners, outgoing } = membership;
  const members = [...voters, ...learners];
  if (voters.length === 0) return "there is no voter";
  if (outgoing?.length === 0) return "there is no voter to take over from";
  if (![...members, ...(outgoing ?? [])].every(isNodeId)) return "an id is no positive integer";
  if (new Set(members).size !== members.length) return "an id occurs twice";
  if (outgoing !== undefined && new Set(outgoing).size !== outgoing.length) return "an outgoing id occurs twice";
  return null;
}

/** Whether a node was told nothing: it waits for a leader to write to it. */
export function isUnknown(membership: Membership): boolean {
  return membership.voters.length === 0;
}

export function assertMembership(membership: Membership): void {
  const problem = membershipProblem(membership);
  assert(problem === null, `membership is valid: ${problem}`);
}

export function isSameMembership(one: Membership, other: Membership): boolean {
  return (
    isSameSet(one.voters, other.voters) &&
    isSameSet(one.learners, other.learners) &&
    isSameSet(one.outgoing ?? [], other.outgoing ?? [])
  );
}

function isSameSet(one: readonly NodeId[], other: readonly NodeId[]): boolean {
  return one.length === other.length && one.every((node) => other.includes(node));
}

function isNodeId(node: NodeId): boolean {
  return Number.isSafeInteger(node) && node > 0;
}
