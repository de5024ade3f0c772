/**
 * Quorum arithmetic over one voter set or two.
 *
 * Idea. A decision needs a majority of *every* set given. One set is the normal case; during joint consensus (thesis
 * 4.3) there are two, the old and the new voters, and the same three functions answer.
 *
 *     voters 1 2 3, acknowledged 5 9 7  ->  sorted down 9 7 5, majority is 2  ->  7 is on a majority
 *
 * Invariants.
 * - A set is never empty and names nobody twice (membership.ts sees to that).
 *
 * Not here. Who votes (membership.ts) and what was acknowledged (progress.ts).
 *
 * @module
 */
import { assert } from "../assert.ts";
import type { NodeId } from "../types.ts";

export type VoterSet = readonly NodeId[];
export type VoteResult = "won" | "lost" | "pending";

export function majority(size: number): number {
  return Math.floor(size / 2) + 1;
}

/** The largest number that a majority of every set has reached, where `ackOf` says what one node has reached. */
export function acknowledgedByQuorum(sets: readonly VoterSet[], ackOf: (node: NodeId) => number): number {
  assert(sets.length > 0, "a quorum needs a voter set");
  let result = Number.POSITIVE_INFINITY;
  for (const set of sets) {
    const acks = set.map(ackOf).sort((a, b) => b - a);
    const reached = acks[majority(set.length) - 1];
    assert(reached !== undefined, "a voter set is never empty");
    result = Math.min(result, reached);
  }
  return result;
}

/** Outcome of an election: lost as soon as a majority of some set can no longer be reached. */
export function voteResult(sets: readonly VoterSet[], voteOf: (node: NodeId) => boolean | undefined): VoteResult {
  let result: VoteResult = "won";
  for (const set of sets) {
    const granted = set.filter((node) => voteOf(node) === true).length;
    const open = set.filter((node) => voteOf(node) === undefined).length;
    if (granted + open < majority(set.length)) return "lost";
    if (granted < majority(set.length)) result = "pending";
  }
  return result;
}

/** Whether a majority of every set has the property. */
export function hasQuorum(sets: readonly VoterSet[], has: (node: NodeId) => boolean): boolean {
  return voteResult(sets, has) === "won";
}
