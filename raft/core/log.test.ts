/** The log in memory: marks, conflicts, hints, compaction, and a dumb oracle. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { logOfTerms } from "../../test/fakes/core-cluster.ts";
import { InvariantError } from "../assert.ts";
import type { Entry, SnapshotMeta } from "../types.ts";
import { RaftLog } from "./log.ts";

const membership = { voters: [1], learners: [] };
const meta = (index: number, term: number): SnapshotMeta => ({ index, term, membership });
const logOf = (...terms: number[]) => new RaftLog(null, logOfTerms(terms).entries, 0, membership);
const entriesFrom = (index: number, ...terms: number[]): readonly Entry[] =>
  terms.map((term, i) => ({ index: index + i, term, kind: "normal", data: new Uint8Array(10) }));
const terms = (log: RaftLog) =>
  Array.from({ length: log.lastIndex - log.firstIndex + 1 }, (_, i) => log.termAt(log.firstIndex + i));

test("append() keeps what agrees and replaces from the first difference on", () => {
  const log = logOf(1, 1, 2, 2);
  expect(log.append(2, 1, entriesFrom(3, 2, 3))).toBe(true);
  expect(terms(log)).toEqual([1, 1, 2, 3]);
  expect(log.stable).toBe(3);
});

test("append() of old news does not cut what came after it", () => {
  const log = logOf(1, 1, 2, 2);
  expect(log.append(1, 1, entriesFrom(2, 1))).toBe(true);
  expect(terms(log)).toEqual([1, 1, 2, 2]);
});

test("append() behind the end, or where terms differ, changes nothing", () => {
  const log = logOf(1, 1);
  expect(log.append(3, 1, entriesFrom(4, 1))).toBe(false);
  expect(log.append(2, 2, entriesFrom(3, 2))).toBe(false);
  expect(terms(log)).toEqual([1, 1]);
});

test("append() never replaces what is committed", () => {
  const log = logOf(1, 1, 1);
  log.commitTo(3);
  expect(() => log.append(1, 1, entriesFrom(2, 2))).toThrow(InvariantError);
});

test("stableTo() does not count a write that was replaced while it was under way", () => {
  const log = logOf(1);
  log.append(1, 1, entriesFrom(2, 1, 1));
  const [, written] = log.unstable();
  log.append(1, 1, entriesFrom(2, 2));
  log.stableTo(written?.index ?? 0, written?.term ?? 0);
  expect(log.stable).toBe(1);
  expect(log.unstable().map((entry) => entry.term)).toEqual([2]);
});

test("slice() stops before the limit, but the first entry always comes", () => {
  const log = new RaftLog(null, entriesFrom(1, 1, 1, 1, 1), 0, membership);
  expect(log.slice(1, 4, 25)).toHaveLength(2);
  expect(log.slice(2, 4, 1)).toHaveLength(1);
  expect(log.slice(1, 4, 1_000)).toHaveLength(4);
});

test("compact() keeps the rest, the bytes and the term right before it", () => {
  const log = new RaftLog(null, entriesFrom(1, 1, 2, 2, 3), 3, membership);
  log.appliedTo(3);
  log.compact(2, meta(3, 2));
  expect([log.firstIndex, log.lastIndex, log.entryBytes, log.termAt(2), log.termAt(1)]).toEqual([3, 4, 20, 2, null]);
  log.compact(1, meta(2, 2));
  expect(log.snapshot?.index).toBe(3);
  log.compact(3, meta(3, 2));
  expect([log.firstIndex, log.termAt(3), log.entryBytes]).toEqual([4, 2, 10]);
});

test("restore() leaves nothing of the old log, and nothing to apply until it is installed", () => {
  const log = logOf(1, 1);
  const snapshot = meta(9, 4);
  log.restore(snapshot);
  expect([log.firstIndex, log.lastIndex, log.lastTerm, log.commit, log.entryBytes]).toEqual([10, 9, 4, 9, 0]);
  expect(log.handOutSnapshot()).toBe(snapshot);
  expect(log.handOutSnapshot()).toBeNull();
  log.append(9, 4, entriesFrom(10, 4));
  log.commitTo(10);
  expect(log.unapplied(1_000)).toEqual([]);
  log.snapshotInstalled(snapshot);
  expect(log.applied).toBe(9);
  expect(log.unapplied(1_000)).toHaveLength(1);
});

test("a start with a commit index beyond the log believes the log", () => {
  const log = new RaftLog(null, entriesFrom(1, 1, 1), 7, membership);
  expect(log.commit).toBe(2);
});

test("a start tolerates entries that the snapshot covers", () => {
  const log = new RaftLog(meta(2, 1), entriesFrom(1, 1, 1, 1), 0, membership);
  expect([log.firstIndex, log.lastIndex, log.commit, log.applied]).toEqual([3, 3, 2, 2]);
});

test("lastAtOrBelowTerm() finds what a dumb search finds", () => {
  const ascending = fc
    .array(fc.integer({ min: 1, max: 6 }), { maxLength: 12 })
    .map((list) => list.sort((a, b) => a - b));
  fc.assert(
    fc.property(ascending, fc.integer({ min: 0, max: 14 }), fc.integer({ min: 0, max: 7 }), (list, index, term) => {
      const expected = list.findLastIndex((each, i) => i + 1 <= index && each <= term) + 1;
      expect(logOf(...list).lastAtOrBelowTerm(index, term).index).toBe(expected);
    }),
  );
});

test("append() leaves what a dumb list would hold", () => {
  const ascending = fc
    .array(fc.integer({ min: 1, max: 4 }), { maxLength: 8 })
    .map((list) => list.sort((a, b) => a - b));
  fc.assert(
    fc.property(ascending, ascending, fc.nat(8), (mine, theirs, from) => {
      const prev = Math.min(from, theirs.length);
      const prevTerm = theirs[prev - 1] ?? 0;
      // Logs of one cluster agree up to an index where they agree in term; only such pairs can meet.
      const agreesAt = (i: number) => mine[i] === theirs[i];
      fc.pre(mine.every((_, i) => !agreesAt(i) || mine.slice(0, i).every((_, j) => agreesAt(j))));
      const log = logOf(...mine);
      const isMatch = prev === 0 || mine[prev - 1] === prevTerm;
      expect(log.append(prev, prevTerm, entriesFrom(prev + 1, ...theirs.slice(prev)))).toBe(isMatch);
      const differsAt = theirs.findIndex((term, i) => mine[i] !== term);
      expect(terms(log)).toEqual(!isMatch || differsAt < 0 ? mine : theirs);
    }),
  );
});
