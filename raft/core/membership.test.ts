/** Membership changes: the leaves against dumb oracles, and the claims of the thesis that transcripts do not show. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CoreCluster } from "../../test/fakes/core-cluster.ts";
import type { Entry, Membership } from "../types.ts";
import { decodeMembership, encodeMembership } from "./config-entry.ts";
import { Configurations } from "./configurations.ts";
import { Members, membershipProblem } from "./membership.ts";

const ids = (minLength: number) => fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { minLength, maxLength: 5 });
const membership: fc.Arbitrary<Membership> = fc
  .record({ voters: ids(1), learners: ids(0), outgoing: fc.option(ids(1), { nil: undefined }) })
  .map(({ voters, learners, outgoing }) => {
    const rest = learners.filter((node) => !voters.includes(node));
    return outgoing === undefined ? { voters, learners: rest } : { voters, learners: rest, outgoing };
  });
const config = (index: number, value: Membership): Entry => ({
  index,
  term: 1,
  kind: "config",
  data: encodeMembership(value),
});

describe("a config entry's data", () => {
  test("comes back as it was", () => {
    fc.assert(fc.property(membership, (value) => expect(decodeMembership(encodeMembership(value))).toEqual(value)));
  });

  test("has these bytes in each release that reads it", () => {
    const text = (value: Membership) => new TextDecoder().decode(encodeMembership(value));
    expect(text({ voters: [1, 2], learners: [3] })).toBe('{"v":1,"voters":[1,2],"learners":[3]}');
    expect(text({ voters: [1], learners: [], outgoing: [2] })).toBe(
      '{"v":1,"voters":[1],"learners":[],"outgoing":[2]}',
    );
  });

  test("is refused when it names no membership, or is of a later release", () => {
    for (const text of [
      "",
      "null",
      "{",
      "[]",
      '{"v":1}',
      '{"v":2,"voters":[1],"learners":[]}',
      '{"v":1,"voters":[],"learners":[]}',
      '{"v":1,"voters":[1,1],"learners":[]}',
      '{"v":1,"voters":[1],"learners":[1]}',
      '{"v":1,"voters":[1],"learners":["2"]}',
      '{"v":1,"voters":[1.5],"learners":[]}',
      '{"v":1,"voters":[1],"learners":[],"outgoing":[]}',
      '{"v":1,"voters":[1],"learners":[],"outgoing":[2,2]}',
    ]) {
      expect(decodeMembership(new TextEncoder().encode(text))).toBeNull();
    }
    expect(decodeMembership(Uint8Array.of(0xff, 0xfe))).toBeNull();
  });
});

test("Members: everybody gets the log, voters of both halves are asked, learners are not", () => {
  fc.assert(
    fc.property(membership, fc.integer({ min: 1, max: 6 }), (value, self) => {
      const members = new Members(self, value);
      const voters = new Set([...value.voters, ...(value.outgoing ?? [])]);
      const everybody = new Set([...voters, ...value.learners]);
      expect(membershipProblem(value)).toBeNull();
      expect(new Set([...members.peers, self])).toEqual(new Set([...everybody, self]));
      expect(new Set([...members.otherVoters, self])).toEqual(new Set([...voters, self]));
      expect(members.voterSets).toHaveLength(members.isJoint ? 2 : 1);
    }),
  );
});

test("Configurations: the newest in the log is in force, whatever was appended, truncated and compacted", () => {
  const step = fc.record({
    act: fc.constantFrom("append", "plain", "truncate", "compact"),
    at: fc.nat(20),
    value: membership,
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const founders: Membership = { voters: [1], learners: [] };
      const known = new Configurations({ index: 0, membership: founders });
      let offset = 0;
      let log: (Membership | null)[] = [];
      let base = founders;
      for (const { act, at, value } of steps) {
        const last = offset + log.length;
        if (act === "append" || act === "plain") {
          log.push(act === "append" ? value : null);
          if (act === "append") known.appended(config(last + 1, value));
        } else if (act === "truncate") {
          const from = Math.min(last, offset + at) + 1;
          log = log.slice(0, from - offset - 1);
          known.truncatedFrom(from);
        } else {
          const upTo = Math.min(last, offset + at);
          base = log.slice(0, upTo - offset).findLast((entry) => entry !== null) ?? base;
          log = log.slice(upTo - offset);
          offset = upTo;
          known.compactedTo(upTo);
        }
        expect(known.latest.membership).toEqual(log.findLast((entry) => entry !== null) ?? base);
        for (let index = 0; index <= log.length; index++) {
          const expected = log.slice(0, index).findLast((entry) => entry !== null) ?? base;
          expect(known.upTo(offset + index).membership).toEqual(expected);
        }
      }
    }),
  );
});

describe("a change of membership", () => {
  const founders: Membership = { voters: [1, 2, 3], learners: [4] };

  function elected(options = {}): CoreCluster {
    const cluster = new CoreCluster(founders, options);
    cluster.elect(1);
    return cluster;
  }
  const latest = (cluster: CoreCluster, id: number) => cluster.core(id).membership;

  test("outlives a restart from the log, before and after a snapshot stands for it (thesis 4.1)", () => {
    const cluster = elected();
    const wanted: Membership = { voters: [1, 2, 3, 4], learners: [] };
    cluster.core(1).changeMembership(wanted);
    cluster.settle();
    cluster.node(2).restart();
    expect(latest(cluster, 2)).toEqual(wanted);
    cluster.settle();
    cluster.node(2).compact();
    cluster.node(2).restart();
    expect(cluster.node(2).disk.entries).toEqual([]);
    expect(latest(cluster, 2)).toEqual(wanted);
  });

  test("reaches a newcomer in a snapshot", () => {
    const cluster = elected();
    cluster.propose(1, "a", "b");
    cluster.node(1).compact();
    cluster.add(5, { voters: [], learners: [] });
    cluster.core(1).changeMembership({ voters: [1, 2, 3], learners: [4, 5] });
    cluster.tick(3);
    expect(cluster.node(5).applied).toEqual(["a", "b"]);
    expect(latest(cluster, 5)).toEqual({ voters: [1, 2, 3], learners: [4, 5] });
    expect(cluster.core(5).role).toBe("follower");
  });

  test("a voter that demotes itself and forgets in a crash that it was one is needed, and stands for election (thesis 4.2.2)", () => {
    const cluster = new CoreCluster({ voters: [1], learners: [2] });
    cluster.elect(1);
    cluster.core(1).changeMembership({ voters: [1, 2], learners: [] });
    cluster.settle();
    cluster.core(1).transferLeader(2);
    cluster.settle();
    expect(cluster.leaders()).toEqual([2]);
    cluster.isolate([2]);
    cluster.core(2).changeMembership({ voters: [1], learners: [2] });
    cluster.settle();
    const { disk } = cluster.node(2);
    // The commit index is a hint that is never synced alone: this one is older than the change that made it a voter.
    cluster.node(2).disk = { ...disk, hardState: { ...disk.hardState, commit: 1 } };
    cluster.node(2).restart();
    cluster.heal();
    cluster.tick(60);
    // Only node 2 can win: node 1 needs its vote and does not get it, with a shorter log.
    expect(cluster.leaders()).toHaveLength(1);
    expect(latest(cluster, 1)).toEqual({ voters: [1], learners: [2] });
    expect(cluster.leaders()).toEqual([1]);
  });

  test("is refused by a leader of whose term nothing is committed", () => {
    const cluster = elected();
    cluster.core(2).suspect();
    cluster.core(3).suspect();
    cluster.isolate([1, 4]);
    cluster.core(2).campaign();
    for (let round = 0; cluster.core(2).role !== "leader" && round < 20; round++) {
      for (const node of cluster.nodes.values()) node.work();
      for (const message of cluster.network.splice(0)) cluster.deliver(message);
    }
    expect(cluster.core(2).role).toBe("leader");
    expect(cluster.core(2).changeMembership({ voters: [2, 3], learners: [] })).toEqual({
      kind: "refused",
      reason: "not-ready",
    });
  });

  test("is refused without a voter, with a node named twice, while the office is handed over, and by a follower", () => {
    const cluster = elected();
    const refusal = (id: number, target: Membership) => {
      const result = cluster.core(id).changeMembership(target);
      return result.kind === "refused" ? result.reason : result.kind;
    };
    expect(refusal(1, { voters: [], learners: [1, 2, 3] })).toBe("invalid-membership");
    expect(refusal(1, { voters: [1, 1], learners: [] })).toBe("invalid-membership");
    expect(refusal(1, { voters: [1], learners: [], outgoing: [2] })).toBe("invalid-membership");
    expect(refusal(2, { voters: [1, 2], learners: [] })).toBe("not-leader");
    expect(refusal(1, { voters: [3, 2, 1], learners: [4] })).toBe("no-change");
    cluster.isolate([3]);
    cluster.core(1).transferLeader(3);
    expect(refusal(1, { voters: [1, 2], learners: [] })).toBe("transferring");
  });

  test("takes one entry for one voter, two for more (thesis 4.3)", () => {
    for (const [target, entries] of [
      [{ voters: [1, 2, 3, 4], learners: [] }, 1],
      [{ voters: [1, 2], learners: [3] }, 1],
      [{ voters: [1, 2, 4], learners: [] }, 2],
      [{ voters: [1], learners: [] }, 2],
      [{ voters: [2, 3], learners: [1, 4, 6] }, 1],
    ] as const) {
      const cluster = elected();
      cluster.core(1).changeMembership(target);
      cluster.settle();
      cluster.tick(1);
      expect(latest(cluster, 2)).toEqual(target);
      const kinds = cluster.node(1).history.map((entry) => entry.kind);
      expect(kinds.filter((kind) => kind === "config")).toHaveLength(entries);
    }
  });

  test("a learner that was a voter has no say: a quorum is one of those who are left", () => {
    const cluster = elected();
    cluster.core(1).changeMembership({ voters: [1, 2], learners: [3, 4] });
    cluster.settle();
    cluster.isolate([1, 3, 4]);
    cluster.propose(1, "x");
    expect(cluster.core(1).commit).toBe(2);
    expect(cluster.core(3).lastIndex).toBe(3);
  });
});
