/**
 * What the thesis claims, claim by claim: the section is in the name, the test is the shortest cluster that shows it.
 *
 * Chapter 3, the algorithm; thesis-extensions.test.ts has the rest. Longer stories are in raft/testdata.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { CoreCluster, encode, logOfTerms } from "../../test/fakes/core-cluster.ts";
import type { CoreConfig, Entry, Message, MessageKind, NodeId } from "../types.ts";

const THREE = { voters: [1, 2, 3], learners: [] };
const FIVE = { voters: [1, 2, 3, 4, 5], learners: [] };

type Of<K extends MessageKind> = Extract<Message, { readonly kind: K }>;

function sentBy<K extends MessageKind>(cluster: CoreCluster, id: NodeId, kind: K): readonly Of<K>[] {
  const messages = cluster.node(id).work()?.messages ?? [];
  return messages.filter((message): message is Of<K> => message.kind === kind);
}

function three(options: Partial<CoreConfig> = {}): CoreCluster {
  const cluster = new CoreCluster(THREE, options);
  cluster.elect(1);
  return cluster;
}

/** Nodes whose disks hold entries of these terms, all of them in `term`. */
function withLogs(logs: readonly (readonly number[])[], term: number): CoreCluster {
  const voters = logs.map((_, i) => i + 1);
  const cluster = new CoreCluster({ voters, learners: [] });
  logs.forEach((terms, i) => {
    cluster.add(i + 1, { voters, learners: [] }, {}, logOfTerms(terms, term));
  });
  return cluster;
}

const entry = (index: number, term: number): Entry => ({ index, term, kind: "normal", data: encode("x") });

describe("thesis 3.3: terms", () => {
  test("thesis 3.3: a server with a smaller term adopts the larger one", () => {
    const cluster = three();
    cluster.core(2).step({ kind: "heartbeat", from: 3, to: 2, term: 7, commit: 0, readContext: 0 });
    expect([cluster.core(2).term, cluster.core(2).leader]).toEqual([7, 3]);
  });

  test("thesis 3.3: a leader or candidate that finds its term out of date becomes a follower", () => {
    const cluster = three();
    cluster.core(1).step({ kind: "heartbeat-reply", from: 2, to: 1, term: 4, readContext: 0 });
    expect([cluster.core(1).role, cluster.core(1).term]).toEqual(["follower", 4]);
  });

  test("thesis 3.3: a request with a stale term is refused and told the term", () => {
    const cluster = new CoreCluster(THREE);
    cluster.add(2, THREE, {}, logOfTerms([1], 5));
    cluster.core(2).step({ kind: "vote", from: 1, to: 2, term: 3, lastIndex: 9, lastTerm: 3, transfer: false });
    cluster
      .core(2)
      .step({ kind: "append", from: 1, to: 2, term: 3, prevIndex: 1, prevTerm: 1, entries: [], commit: 0 });
    const messages = cluster.node(2).work()?.messages ?? [];
    expect(messages.map((message) => [message.kind, message.term])).toEqual([
      ["vote-reply", 5],
      ["append-reply", 5],
    ]);
    expect(cluster.core(2).lastIndex).toBe(1);
  });

  test("thesis 3.3: term and vote are on disk before a vote leaves", () => {
    const cluster = new CoreCluster(THREE);
    cluster.core(2).step({ kind: "vote", from: 1, to: 2, term: 1, lastIndex: 0, lastTerm: 0, transfer: false });
    const ready = cluster.core(2).ready();
    expect(ready?.messages).toMatchObject([{ kind: "vote-reply", granted: true }]);
    expect(ready?.hardState).toEqual({ term: 1, vote: 1, commit: 0 });
    expect(ready?.mustSync).toBe(true);
  });
});

describe("thesis 3.4: elections", () => {
  test("thesis 3.4: servers start as followers", () => {
    const cluster = new CoreCluster(THREE);
    expect([...cluster.nodes.values()].map((node) => node.core.role)).toEqual(["follower", "follower", "follower"]);
  });

  test("thesis 3.4: a follower remains one as long as it hears its leader", () => {
    const cluster = three();
    cluster.tick(100);
    expect(cluster.leaders()).toEqual([1]);
    expect(cluster.core(1).term).toBe(1);
  });

  test("thesis 3.4: without a leader's word for an election timeout it campaigns, not sooner", () => {
    const { core } = new CoreCluster(THREE).node(1);
    for (let i = 0; i < 9; i++) core.tick();
    expect(core.role).toBe("follower");
    core.tick();
    expect(core.role).toBe("pre-candidate");
  });

  test("thesis 3.4: each server votes for one candidate a term, first come first served", () => {
    const cluster = new CoreCluster(THREE);
    const ask = (from: NodeId) =>
      cluster.core(2).step({ kind: "vote", from, to: 2, term: 1, lastIndex: 0, lastTerm: 0, transfer: false });
    ask(1);
    ask(3);
    ask(1);
    const granted = sentBy(cluster, 2, "vote-reply").map((message) => [message.to, message.granted]);
    expect(granted).toEqual([
      [1, true],
      [3, false],
      [1, true],
    ]);
  });

  test("thesis 3.4: a vote is remembered across a restart", () => {
    const cluster = new CoreCluster(THREE);
    cluster.core(2).step({ kind: "vote", from: 1, to: 2, term: 1, lastIndex: 0, lastTerm: 0, transfer: false });
    cluster.node(2).work();
    cluster.node(2).restart();
    cluster.core(2).step({ kind: "vote", from: 3, to: 2, term: 1, lastIndex: 0, lastTerm: 0, transfer: false });
    expect(sentBy(cluster, 2, "vote-reply")).toMatchObject([{ to: 3, granted: false }]);
  });

  test("thesis 3.4: a majority wins, whichever servers it is", () => {
    for (const lost of [[4, 5], [2, 3], [2, 5], []]) {
      const cluster = new CoreCluster(FIVE);
      cluster.isolate(lost);
      cluster.elect(1);
      expect(cluster.leaders()).toEqual([1]);
    }
  });

  test("thesis 3.4: a minority does not", () => {
    const cluster = new CoreCluster(FIVE);
    cluster.isolate([3, 4, 5]);
    cluster.elect(1);
    expect(cluster.leaders()).toEqual([]);
  });

  test("thesis 3.4: a candidate that hears a leader of its term follows it", () => {
    const cluster = new CoreCluster(THREE);
    const { core } = cluster.node(1);
    core.campaign();
    core.step({ kind: "pre-vote-reply", from: 2, to: 1, term: 1, granted: true });
    expect([core.role, core.term]).toEqual(["candidate", 1]);
    core.step({ kind: "append", from: 3, to: 1, term: 1, prevIndex: 0, prevTerm: 0, entries: [], commit: 0 });
    expect([core.role, core.leader]).toEqual(["follower", 3]);
  });

  test("thesis 3.4: election timeouts are spread over the interval given, and only over that", () => {
    const seen = new Set<number>();
    for (let step = 0; step < 100; step++) {
      const { core } = new CoreCluster(THREE, { electionJitterTicks: 5, random: () => step / 100 }).node(1);
      let ticks = 0;
      for (; core.role === "follower"; ticks++) core.tick();
      seen.add(ticks);
    }
    expect([...seen].sort((a, b) => a - b)).toEqual([10, 11, 12, 13, 14, 15]);
  });
});

describe("thesis 3.5: replication", () => {
  test("thesis 3.5: an entry is committed when a majority has it, and the others learn with the next append", () => {
    const cluster = three();
    cluster.core(1).propose(encode("x"));
    cluster.node(1).work();
    expect(cluster.core(1).commit).toBe(1);
    cluster.settle();
    expect([1, 2, 3].map((id) => cluster.core(id).commit)).toEqual([2, 2, 2]);
    expect([1, 2, 3].map((id) => cluster.node(id).applied)).toEqual([["x"], ["x"], ["x"]]);
  });

  test("thesis 3.5: the leader commits although a minority is slow", () => {
    const cluster = new CoreCluster(FIVE);
    cluster.elect(1);
    cluster.isolate([4, 5]);
    cluster.propose(1, "x");
    expect(cluster.core(1).commit).toBe(2);
    cluster.heal();
    cluster.tick(2);
    expect(cluster.node(5).applied).toEqual(["x"]);
  });

  test("thesis 3.5: a follower refuses what does not follow from its log", () => {
    const cluster = new CoreCluster(THREE);
    cluster.add(2, THREE, {}, logOfTerms([1, 1], 2));
    const append = { kind: "append", from: 1, to: 2, term: 3, entries: [entry(4, 3)], commit: 0 } as const;
    cluster.core(2).step({ ...append, prevIndex: 3, prevTerm: 1 });
    cluster.core(2).step({ ...append, prevIndex: 2, prevTerm: 2, entries: [entry(3, 3)] });
    expect(sentBy(cluster, 2, "append-reply").map((message) => message.rejected)).toEqual([true, true]);
    expect(cluster.core(2).lastIndex).toBe(2);
  });

  test("thesis 3.5: every log of figure 3.6 becomes the leader's", () => {
    const logs = [
      [1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
      [1, 1, 1, 4, 4, 5, 5, 6, 6],
      [1, 1, 1, 4],
      [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
      [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
      [1, 1, 1, 4, 4, 4, 4],
      [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    const cluster = withLogs(logs, 7);
    cluster.elect(1);
    cluster.tick(2);
    expect(cluster.leaders()).toEqual([1]);
    const expected = cluster.node(1).disk.entries.map((each) => [each.index, each.term]);
    expect(expected).toHaveLength(11);
    for (const node of cluster.nodes.values()) {
      expect(node.disk.entries.map((each) => [each.index, each.term])).toEqual(expected);
    }
  });

  test("thesis 3.5: with hints by term, one refusal a conflicting term is enough", () => {
    const follower = Array.from({ length: 60 }, (_, i) => (i < 1 ? 1 : 2 + Math.floor(i / 20)));
    const cluster = withLogs(
      [[1, ...Array.from({ length: 30 }, () => 9)], [1, ...Array.from({ length: 30 }, () => 9)], follower],
      9,
    );
    cluster.core(1).campaign();
    let refusals = 0;
    for (let round = 0; round < 40; round++) {
      for (const message of cluster.network.splice(0)) {
        if (message.kind === "append-reply" && message.rejected) refusals++;
        cluster.deliver(message);
      }
      for (const node of cluster.nodes.values()) node.work();
    }
    expect(cluster.core(3).lastIndex).toBe(cluster.core(1).lastIndex);
    expect(refusals).toBeLessThanOrEqual(3);
  });

  test("thesis 3.5: repeated and late appends are harmless", () => {
    const cluster = three();
    cluster.core(1).propose(encode("x"));
    cluster.node(1).work();
    const late = cluster.network.filter((message) => message.to === 2);
    cluster.settle();
    cluster.propose(1, "y");
    for (const message of late) cluster.deliver(message);
    cluster.settle();
    expect(cluster.core(2).lastIndex).toBe(3);
    expect(cluster.node(2).applied).toEqual(["x", "y"]);
  });

  test("thesis 3.5: commit goes no further than the entries of the append", () => {
    const cluster = new CoreCluster(THREE);
    cluster.add(2, THREE, {}, logOfTerms([1, 1, 1], 1));
    const append = {
      kind: "append",
      from: 1,
      to: 2,
      term: 2,
      prevIndex: 1,
      prevTerm: 1,
      entries: [],
      commit: 9,
    } as const;
    cluster.core(2).step(append);
    expect(cluster.core(2).commit).toBe(1);
  });
});

describe("thesis 3.6: safety", () => {
  test("thesis 3.6.1: a voter refuses a candidate whose log is older or shorter", () => {
    const verdicts = (lastIndex: number, lastTerm: number) => {
      const cluster = new CoreCluster(THREE);
      cluster.add(2, THREE, {}, logOfTerms([1, 2, 2], 2));
      cluster.core(2).step({ kind: "vote", from: 1, to: 2, term: 5, lastIndex, lastTerm, transfer: false });
      return sentBy(cluster, 2, "vote-reply").map((message) => message.granted)[0];
    };
    expect([verdicts(3, 2), verdicts(4, 2), verdicts(1, 3)]).toEqual([true, true, true]);
    expect([verdicts(2, 2), verdicts(9, 1)]).toEqual([false, false]);
  });

  test("thesis 3.6.1: who lacks a committed entry cannot win", () => {
    const cluster = three();
    cluster.isolate([3]);
    cluster.propose(1, "x");
    cluster.heal();
    cluster.isolate([1]);
    for (let i = 0; i < 5; i++) {
      cluster.core(2).suspect();
      cluster.elect(3);
    }
    expect(cluster.core(3).role).not.toBe("leader");
    cluster.elect(2);
    expect(cluster.leaders()).toContain(2);
  });

  test("thesis 3.6.2: an entry of an old term is not committed by counting its copies", () => {
    const cluster = withLogs([[1, 2], [1], [1]], 3);
    const { core } = cluster.node(1);
    core.campaign();
    core.step({ kind: "pre-vote-reply", from: 2, to: 1, term: 4, granted: true });
    cluster.node(1).work();
    core.step({ kind: "vote-reply", from: 2, to: 1, term: 4, granted: true });
    cluster.node(1).work();
    const accepted = { kind: "append-reply", to: 1, term: 4, rejected: false, hintIndex: 0, hintTerm: 0 } as const;
    core.step({ ...accepted, from: 2, index: 2 });
    core.step({ ...accepted, from: 3, index: 2 });
    expect([core.role, core.commit]).toEqual(["leader", 0]);
    core.step({ ...accepted, from: 2, index: 3 });
    expect(core.commit).toBe(3);
  });

  test("thesis 3.6.4: a leader's crash leaves either the entry on all, or on none", () => {
    const cluster = three();
    cluster.isolate([1]);
    cluster.propose(1, "lost");
    cluster.core(2).suspect();
    cluster.elect(3);
    cluster.propose(3, "kept");
    cluster.heal();
    cluster.tick(3);
    expect([1, 2, 3].map((id) => cluster.node(id).applied)).toEqual([["kept"], ["kept"], ["kept"]]);
  });
});
