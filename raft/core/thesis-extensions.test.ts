/**
 * What the thesis claims beyond its chapter 3: transfer, snapshots, reads, disruption, early sending.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { CORE_DEFAULTS, CoreCluster, encode, logOfTerms } from "../../test/fakes/core-cluster.ts";
import { InvariantError } from "../assert.ts";
import type { CoreConfig } from "../types.ts";
import { RaftCore } from "./raft-core.ts";

const THREE = { voters: [1, 2, 3], learners: [] };

function three(options: Partial<CoreConfig> = {}): CoreCluster {
  const cluster = new CoreCluster(THREE, options);
  cluster.elect(1);
  return cluster;
}

describe("thesis 3.8 and 3.10: restarts and transfer", () => {
  test("thesis 3.8: everything committed is there after all servers restart", () => {
    const cluster = three();
    cluster.propose(1, "a", "b");
    for (const node of cluster.nodes.values()) node.restart();
    cluster.network = [];
    cluster.elect(2);
    cluster.tick();
    expect([1, 2, 3].map((id) => cluster.node(id).applied)).toEqual([
      ["a", "b"],
      ["a", "b"],
      ["a", "b"],
    ]);
  });

  test("thesis 3.8: the log need not be applied again below the snapshot", () => {
    const cluster = three();
    cluster.propose(1, "a", "b");
    cluster.node(2).compact();
    cluster.node(2).restart();
    expect([cluster.core(2).applied, cluster.node(2).applied]).toEqual([3, ["a", "b"]]);
    expect(cluster.core(2).ready()).toBeNull();
  });

  test("thesis 3.10: transfer moves the office in one round, although the leader lives", () => {
    const cluster = three();
    expect(cluster.core(1).transferLeader(3)).toBe(true);
    cluster.settle();
    expect(cluster.leaders()).toEqual([3]);
    expect(cluster.core(3).term).toBe(2);
  });

  test("thesis 3.10: no proposal is taken while the office is moving", () => {
    const cluster = three();
    cluster.isolate([3]);
    cluster.core(1).transferLeader(3);
    expect(cluster.core(1).propose(encode("x"))).toEqual({ kind: "refused", reason: "transferring" });
    cluster.tick(10);
    expect(cluster.core(1).propose(encode("x")).kind).toBe("appended");
  });

  test("thesis 3.10: a learner cannot be the target, nor campaign when it is told to", () => {
    const cluster = new CoreCluster({ voters: [1, 2], learners: [3] });
    cluster.elect(1);
    expect(cluster.core(1).transferLeader(3)).toBe(false);
    cluster.core(3).step({ kind: "timeout-now", from: 1, to: 3, term: 1 });
    expect(cluster.core(3).role).toBe("follower");
  });
});

describe("thesis 4.2: learners and disruption", () => {
  test("thesis 4.2.1: a learner's disk does not count", () => {
    const cluster = new CoreCluster({ voters: [1, 2, 3], learners: [4, 5] });
    cluster.elect(1);
    cluster.isolate([1, 4, 5]);
    cluster.propose(1, "x");
    expect(cluster.core(4).lastIndex).toBe(2);
    expect(cluster.core(1).commit).toBe(1);
  });

  test("thesis 4.2.3: who hears its leader does not even adopt a candidate's term", () => {
    const cluster = three();
    const vote = { kind: "vote", from: 3, to: 2, term: 9, lastIndex: 99, lastTerm: 8, transfer: false } as const;
    cluster.core(2).step(vote);
    expect([cluster.core(2).term, cluster.core(2).ready()]).toEqual([1, null]);
    for (let i = 0; i < 10; i++) cluster.core(2).tick();
    cluster.core(2).step(vote);
    expect(cluster.core(2).term).toBe(9);
  });

  test("thesis 4.2.3: an election that the leader asked for is not in the way of that rule", () => {
    const cluster = three();
    cluster.core(2).step({ kind: "vote", from: 3, to: 2, term: 2, lastIndex: 9, lastTerm: 1, transfer: true });
    expect(cluster.node(2).work()?.messages).toMatchObject([{ kind: "vote-reply", granted: true }]);
  });

  test("thesis 4.2.3: a server that came back with a higher term is not locked out", () => {
    const cluster = three();
    cluster.isolate([3]);
    cluster.core(3).step({ kind: "heartbeat", from: 2, to: 3, term: 5, commit: 0, readContext: 0 });
    cluster.node(3).work();
    cluster.network = [];
    cluster.heal();
    cluster.tick(25);
    expect(cluster.leaders()).toHaveLength(1);
    expect([1, 2, 3].map((id) => cluster.core(id).term)).toEqual([6, 6, 6]);
  });
});

describe("thesis 5: log compaction", () => {
  test("thesis 5: a follower that needs what is gone gets the snapshot and then the log", () => {
    const cluster = three();
    cluster.isolate([3]);
    cluster.propose(1, "a", "b", "c");
    cluster.node(1).compact();
    cluster.propose(1, "d");
    cluster.heal();
    cluster.tick(3);
    expect(cluster.node(3).applied).toEqual(["a", "b", "c", "d"]);
    expect(cluster.node(3).disk.snapshot?.index).toBe(4);
  });

  test("thesis 5: entries kept behind the snapshot spare a slow follower the transfer", () => {
    const cluster = three();
    cluster.isolate([3]);
    cluster.propose(1, "a", "b", "c");
    cluster.node(1).compact(1);
    cluster.heal();
    cluster.tick(3);
    expect(cluster.node(3).applied).toEqual(["a", "b", "c"]);
    expect(cluster.node(3).disk.snapshot).toBeNull();
  });

  test("thesis 5: the follower's reply ends the transfer, also before the sender hears of its end", () => {
    const cluster = three();
    cluster.isolate([3]);
    cluster.propose(1, "a", "b");
    cluster.node(1).compact();
    cluster.heal();
    const peer = () =>
      cluster
        .core(1)
        .status()
        .peers.find((each) => each.id === 3);
    cluster.core(1).tick();
    while (peer()?.mode !== "snapshot") {
      for (const node of cluster.nodes.values()) node.work();
      for (const message of cluster.network.splice(0)) if (message.kind !== "snapshot") cluster.deliver(message);
    }
    const accepted = { kind: "append-reply", from: 3, to: 1, term: 1, index: 3, rejected: false } as const;
    cluster.core(1).step({ ...accepted, hintIndex: 0, hintTerm: 0 });
    expect(peer()).toMatchObject({ mode: "replicate", match: 3, next: 4 });
    cluster.core(1).snapshotSent(3, false);
    expect(peer()).toMatchObject({ mode: "replicate", match: 3, next: 4 });
  });

  test("thesis 5.1: a snapshot replaces a log that contradicts it", () => {
    const cluster = three();
    cluster.isolate([1]);
    cluster.propose(1, "lost", "lost too");
    cluster.core(2).suspect();
    cluster.elect(3);
    cluster.propose(3, "a");
    cluster.node(3).compact();
    cluster.node(2).compact();
    cluster.heal();
    cluster.tick(3);
    expect(cluster.node(1).applied).toEqual(["a"]);
    expect(cluster.core(1).lastIndex).toBe(cluster.core(3).lastIndex);
  });

  test("thesis 5.1: a snapshot of what the log has already is answered, not installed", () => {
    const cluster = three();
    cluster.propose(1, "a", "b");
    const snapshot = { index: 2, term: 1, membership: THREE };
    cluster.core(2).step({ kind: "snapshot", from: 1, to: 2, term: 1, snapshot });
    const ready = cluster.core(2).ready();
    expect(ready?.snapshot).toBeNull();
    expect(ready?.messages).toMatchObject([{ kind: "append-reply", rejected: false, index: 3 }]);
  });

  test("thesis 5.1: a Ready with a snapshot has nothing else to write or to apply, whatever came in before it", () => {
    const cluster = new CoreCluster(THREE);
    const { core } = cluster.node(2);
    const from = { from: 1, to: 2, term: 1 } as const;
    core.step({ ...from, kind: "snapshot", snapshot: { index: 5, term: 1, membership: THREE } });
    const entry = { index: 6, term: 1, kind: "normal", data: encode("x") } as const;
    const append = { ...from, kind: "append", prevIndex: 5, prevTerm: 1, entries: [entry], commit: 6 } as const;
    core.step(append);
    const ready = core.ready();
    expect(ready).toMatchObject({ snapshot: { index: 5 }, entries: [], committed: [], mustSync: true });
    core.step(append);
    core.advance();
    expect(core.ready()).toMatchObject({ snapshot: null, entries: [{ index: 6 }], committed: [{ index: 6 }] });
  });
});

describe("thesis 6: clients", () => {
  test("thesis 6.2: a leader without a majority steps down within two election timeouts", () => {
    const cluster = three();
    cluster.isolate([1]);
    cluster.tick(20);
    expect(cluster.core(1).role).not.toBe("leader");
  });

  test("thesis 6.4: a deposed leader that does not know it answers no read", () => {
    const cluster = three();
    cluster.isolate([1]);
    cluster.core(2).suspect();
    cluster.elect(3);
    cluster.propose(3, "new");
    cluster.core(1).readIndex(1);
    cluster.settle();
    expect(cluster.node(1).readStates).toEqual([]);
    cluster.heal();
    cluster.tick();
    expect(cluster.node(1).readStates).toEqual([{ context: 1, index: null }]);
  });

  test("thesis 6.4: acknowledgements of before a request do not confirm it", () => {
    const cluster = three();
    cluster.core(1).tick();
    cluster.node(1).work();
    const heartbeats = cluster.network.splice(0);
    cluster.core(1).readIndex(1);
    cluster.node(1).work();
    cluster.network = [];
    for (const message of heartbeats) cluster.deliver(message);
    cluster.settle();
    expect(cluster.node(1).readStates).toEqual([]);
    cluster.tick();
    expect(cluster.node(1).readStates).toEqual([{ context: 1, index: 1 }]);
  });

  test("thesis 6.4: a read sees every write that was acknowledged before it", () => {
    const cluster = three();
    cluster.propose(1, "a");
    cluster.core(3).readIndex(7);
    cluster.settle();
    expect(cluster.node(3).readStates).toEqual([{ context: 7, index: 2 }]);
    expect(cluster.core(3).applied).toBeGreaterThanOrEqual(2);
  });

  test("thesis 6.4: a follower's open reads are refused when its leader changes", () => {
    const cluster = three();
    cluster.core(2).readIndex(4);
    cluster.core(2).step({ kind: "heartbeat", from: 3, to: 2, term: 2, commit: 0, readContext: 0 });
    cluster.node(2).work();
    expect(cluster.node(2).readStates).toEqual([{ context: 4, index: null }]);
  });

  test("thesis 6.4: an answer that comes twice is given once", () => {
    const cluster = three();
    cluster.core(2).readIndex(4);
    const reply = { kind: "read-index-reply", from: 1, to: 2, term: 1, context: 4, index: 1, rejected: false } as const;
    cluster.core(2).step(reply);
    cluster.core(2).step(reply);
    cluster.node(2).work();
    expect(cluster.node(2).readStates).toEqual([{ context: 4, index: 1 }]);
  });
});

describe("thesis 9.6: pre-vote", () => {
  test("thesis 9.6: a server that is cut off does not raise its term, and does not disturb when it is back", () => {
    const cluster = three();
    cluster.isolate([3]);
    cluster.tick(200);
    expect(cluster.core(3).term).toBe(1);
    cluster.heal();
    cluster.tick(20);
    expect([cluster.leaders(), cluster.core(1).term]).toEqual([[1], 1]);
  });

  test("thesis 9.6: a pre-vote changes neither term nor vote, and resets no timer", () => {
    const { core } = new CoreCluster(THREE).node(2);
    for (let i = 0; i < 9; i++) core.tick();
    core.step({ kind: "pre-vote", from: 1, to: 2, term: 1, lastIndex: 0, lastTerm: 0 });
    expect(core.ready()).toMatchObject({
      hardState: null,
      messages: [{ kind: "pre-vote-reply", granted: true, term: 1 }],
    });
    core.advance();
    core.tick();
    expect(core.role).toBe("pre-candidate");
  });

  test("thesis 9.6: who lost its leader's connection asks at once, and is refused while the leader lives", () => {
    const cluster = three();
    cluster.elect(2);
    expect(cluster.core(2).role).toBe("pre-candidate");
    cluster.tick();
    expect([cluster.core(2).role, cluster.core(2).leader, cluster.leaders()]).toEqual(["follower", 1, [1]]);
  });
});

describe("thesis 10.2: performance", () => {
  test("thesis 10.2.1: the leader does not count an entry that its disk does not have", () => {
    const cluster = new CoreCluster({ voters: [1, 2], learners: [] });
    cluster.elect(1);
    cluster.core(1).propose(encode("x"));
    const ready = cluster.core(1).ready();
    for (const message of ready?.messages ?? []) cluster.deliver(message);
    for (const message of cluster.node(2).work()?.messages ?? []) cluster.deliver(message);
    expect(cluster.core(1).commit).toBe(1);
    cluster.core(1).advance();
    expect(cluster.core(1).commit).toBe(2);
  });

  test("thesis 10.2.1: a candidate does not count a vote for itself that its disk does not have", () => {
    const { core } = new CoreCluster({ voters: [1], learners: [] }).node(1);
    core.campaign();
    expect(core.ready()).toMatchObject({ hardState: { term: 1, vote: 1 }, mustSync: true });
    expect(core.role).toBe("candidate");
    core.advance();
    expect(core.role).toBe("leader");
  });

  test("thesis 10.2.1: nor one that came after the batch which its disk just finished", () => {
    const membership = { voters: [1], learners: [] };
    const { core } = new CoreCluster(membership).add(1, membership, {}, logOfTerms([1], 1, 1));
    expect(core.ready()).toMatchObject({ hardState: null, committed: [{ index: 1 }] });
    core.campaign();
    core.advance();
    expect([core.role, core.term]).toEqual(["candidate", 2]);
    expect(core.ready()).toMatchObject({ hardState: { term: 2, vote: 1 } });
    core.advance();
    expect(core.role).toBe("leader");
  });

  test("thesis 10.2.2: proposals of the same moment leave in one append, and more follow without waiting", () => {
    const cluster = three();
    for (const text of ["a", "b", "c"]) cluster.core(1).propose(encode(text));
    const first = cluster
      .node(1)
      .work()
      ?.messages.filter((message) => message.to === 2);
    expect(first).toMatchObject([{ kind: "append", entries: [{ index: 2 }, { index: 3 }, { index: 4 }] }]);
    cluster.core(1).propose(encode("d"));
    const second = cluster
      .node(1)
      .work()
      ?.messages.filter((message) => message.to === 2);
    expect(second).toMatchObject([{ kind: "append", prevIndex: 4, entries: [{ index: 5 }] }]);
  });
});

test("the door: an advance without a ready is the caller's mistake, and ends it", () => {
  expect(() => three().core(1).advance()).toThrow(InvariantError);
});

describe("a full disk", () => {
  /** Three cores that hear each other at once; node 3 has no room for entries while `isFull`. */
  function withFullDisk() {
    const world = { isFull: false, cores: new Map<number, RaftCore>() };
    for (const id of [1, 2, 3]) {
      const start = { hardState: { term: 0, vote: 0, commit: 0 }, snapshot: null, entries: [] };
      world.cores.set(id, new RaftCore({ ...CORE_DEFAULTS, id, membership: THREE }, start));
    }
    const pump = () => {
      for (let isBusy = true; isBusy; ) {
        isBusy = false;
        for (const [id, core] of world.cores) {
          const ready = core.ready();
          if (ready === null) continue;
          const hasNoRoom = world.isFull && id === 3 && ready.entries.length > 0;
          core.advance(!hasNoRoom);
          const sent = ready.messages.filter((m) => !hasNoRoom || m.kind !== "append-reply" || m.rejected);
          for (const message of sent) world.cores.get(message.to)?.step(message);
          // What found no room comes again with every Ready: that alone is no progress.
          isBusy ||= !hasNoRoom || sent.length > 0;
        }
      }
    };
    return { world, pump };
  }

  test("a follower without room does not pile up in memory what it cannot write, and catches up later", () => {
    const { world, pump } = withFullDisk();
    const [leader, full] = [world.cores.get(1), world.cores.get(3)];
    leader?.campaign();
    pump();
    world.isFull = true;
    for (let round = 0; round < 400; round++) {
      for (let i = 0; i < 3; i++) leader?.propose(new Uint8Array(900));
      for (const core of world.cores.values()) core.tick();
      pump();
    }
    expect(leader?.commit).toBe(1201);
    expect(full?.entryBytes).toBeLessThan(CORE_DEFAULTS.maxUncommittedBytes + 2 * CORE_DEFAULTS.maxAppendBytes);
    world.isFull = false;
    for (let round = 0; round < 400; round++) {
      for (const core of world.cores.values()) core.tick();
      pump();
    }
    expect([full?.commit, full?.applied]).toEqual([1201, 1201]);
  });
});
