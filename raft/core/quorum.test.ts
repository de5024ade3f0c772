/** Quorum arithmetic against a dumb oracle that tries every subset. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { NodeId } from "../types.ts";
import { acknowledgedByQuorum, hasQuorum, majority, type VoterSet, voteResult } from "./quorum.ts";

const voterSet = fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 7 });
const voterSets = fc.array(voterSet, { minLength: 1, maxLength: 2 });
const acks = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 8, maxLength: 8 });
const votes = fc.array(fc.constantFrom(true, false, undefined), { minLength: 8, maxLength: 8 });

/** A group decides when it holds more than half of every set. */
function decides(sets: readonly VoterSet[], group: (node: NodeId) => boolean): boolean {
  return sets.every((set) => set.filter(group).length * 2 > set.length);
}

test("majority() is the smallest number of which two always overlap", () => {
  expect([1, 2, 3, 4, 5].map(majority)).toEqual([1, 2, 2, 3, 3]);
});

test("acknowledgedByQuorum() is the largest index that a deciding group has", () => {
  fc.assert(
    fc.property(voterSets, acks, (sets, ack) => {
      const ackOf = (node: NodeId) => ack[node] ?? 0;
      let expected = 0;
      for (let index = 0; index <= 12; index++) {
        if (decides(sets, (node) => ackOf(node) >= index)) expected = index;
      }
      expect(acknowledgedByQuorum(sets, ackOf)).toBe(expected);
    }),
  );
});

test("voteResult() is won when the votes given decide, lost when no completion of them can", () => {
  fc.assert(
    fc.property(voterSets, votes, (sets, vote) => {
      const voteOf = (node: NodeId) => vote[node];
      const isWon = decides(sets, (node) => voteOf(node) === true);
      const canBeWon = decides(sets, (node) => voteOf(node) !== false);
      expect(voteResult(sets, voteOf)).toBe(isWon ? "won" : canBeWon ? "pending" : "lost");
    }),
  );
});

test("two disjoint groups never both decide, also across the two sets of a joint change", () => {
  fc.assert(
    fc.property(voterSets, votes, (sets, side) => {
      const isLeft = hasQuorum(sets, (node) => side[node] === true);
      const isRight = hasQuorum(sets, (node) => side[node] === false);
      expect(isLeft && isRight).toBe(false);
    }),
  );
});

test("a joint decision is a decision of the old voters and of the new ones", () => {
  fc.assert(
    fc.property(voterSet, voterSet, acks, (before, after, ack) => {
      const ackOf = (node: NodeId) => ack[node] ?? 0;
      const joint = acknowledgedByQuorum([before, after], ackOf);
      expect(joint).toBe(Math.min(acknowledgedByQuorum([before], ackOf), acknowledgedByQuorum([after], ackOf)));
    }),
  );
});
