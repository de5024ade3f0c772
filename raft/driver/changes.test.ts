/** RaftNode.changeMembership() on a virtual clock: newcomers, joint changes, removed nodes, restarts, refusals. */
import { expect, test } from "bun:test";
import { collectingLoader } from "../../test/fakes/collecting-loader.ts";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { MemoryDisk } from "../../test/fakes/memory-disk.ts";
import { RaftNetwork } from "../../test/fakes/raft-network.ts";
import {
  DroppedError,
  type Membership,
  type NodeId,
  NotLeaderError,
  RaftNode,
  type RaftNodeConfig,
  type StateLoader,
  UnknownFateError,
} from "../index.ts";

const NOBODY: Membership = { voters: [], learners: [] };
const SILENT = { debug() {}, info() {}, notice() {}, warning() {}, error() {} };

class CountingMachine {
  count = 0;
  apply(): number {
    return ++this.count;
  }
  async *snapshot(): AsyncGenerator<Uint8Array> {
    yield Uint8Array.of(this.count);
  }
  load(): StateLoader {
    return collectingLoader(([count]) => {
      this.count = count ?? 0;
    });
  }
}

/** Node 1 leads alone; the others were told nothing. */
async function world(size: number, overrides: Partial<RaftNodeConfig> = {}) {
  const clock = new ManualClock();
  const cut = new Set<NodeId>();
  const network = new RaftNetwork({ clock, plan: (from, to) => (cut.has(from) || cut.has(to) ? [] : [1]) });
  const disks = new Map<NodeId, MemoryDisk>();
  const machines = new Map<NodeId, CountingMachine>();
  const nodes = new Map<NodeId, RaftNode>();
  let seed = 7;
  const random = () => {
    seed = (seed * 48271) % 2147483647;
    return seed / 2147483647;
  };
  const boot = async (id: NodeId): Promise<RaftNode> => {
    const disk = disks.get(id) ?? new MemoryDisk({ delay: () => new Promise((done) => clock.after(2, done)) });
    const machine = new CountingMachine();
    const membership = id === 1 ? { voters: [1], learners: [] } : NOBODY;
    const ports = { clock, storage: disk.open(), transport: network.transport(id), machine, random, log: SILENT };
    const fail = (error: Error) => {
      throw error;
    };
    const node = new RaftNode({ id, membership, ...overrides }, { ...ports, onFatal: fail });
    disks.set(id, disk);
    machines.set(id, machine);
    nodes.set(id, node);
    await node.start();
    return node;
  };
  for (let id = 1; id <= size; id++) await boot(id);
  await clock.advance(500);
  const node = (id: NodeId): RaftNode => {
    const found = nodes.get(id);
    if (found === undefined) throw new Error(`no node ${id}`);
    return found;
  };
  const settled = async <T>(promise: Promise<T>, withinMs = 1000): Promise<T | Error> => {
    const outcome = promise.catch((error: Error) => error);
    await clock.advance(withinMs);
    return await outcome;
  };
  const change = (by: NodeId, voters: NodeId[], learners: NodeId[] = []) =>
    settled(node(by).changeMembership({ voters, learners }, { timeoutMs: 900 }));
  const count = (id: NodeId) => machines.get(id)?.count;
  return { clock, cut, boot, node, settled, change, count, disks };
}

const reasonOf = (error: unknown) => (error instanceof DroppedError ? error.reason : error);

test("one node grows to three: newcomers learn who takes part, catch up as learners, then vote", async () => {
  const { node, settled, change, count } = await world(3);
  await settled(node(1).propose(Uint8Array.of(1)));
  expect(reasonOf(await change(1, [1, 2]))).toBe("learner-lags");
  expect(await change(1, [1], [2, 3])).toBeUndefined();
  expect([count(2), count(3)]).toEqual([1, 1]);
  expect(await change(1, [1, 2, 3])).toBeUndefined();
  for (const id of [1, 2, 3]) expect(node(id).status().membership).toEqual({ voters: [1, 2, 3], learners: [] });
});

test("a joint change is done when its second half is applied, also here", async () => {
  const { node, change } = await world(3);
  await change(1, [1], [2, 3]);
  const seen: Membership[] = [];
  node(2).onMembership(({ membership }) => seen.push(membership));
  expect(await change(1, [2, 3])).toBeUndefined();
  expect(seen).toEqual([
    { voters: [2, 3], learners: [], outgoing: [1] },
    { voters: [2, 3], learners: [] },
  ]);
});

test("a removed leader hands over without an election timeout, and stays away", async () => {
  const { node, change, settled, clock } = await world(3);
  await change(1, [1], [2, 3]);
  await change(1, [1, 2, 3]);
  const { term } = node(1);
  const changed = node(1).changeMembership({ voters: [2, 3], learners: [] });
  expect(await settled(changed, 100)).toBeUndefined();
  const heir = [2, 3].find((id) => node(id).role === "leader") ?? 0;
  expect(heir).toBeGreaterThan(0);
  expect(node(1).role).toBe("follower");
  expect(await settled(node(1).propose(Uint8Array.of(1)))).toBeInstanceOf(NotLeaderError);
  await clock.advance(20_000);
  expect(node(heir).role).toBe("leader");
  expect(node(heir).term).toBe(term + 1);
  expect(await settled(node(heir).propose(Uint8Array.of(1)))).toBe(1);
});

test("a removed node that was away disturbs nobody when it is back", async () => {
  const { node, change, clock, cut } = await world(3);
  await change(1, [1], [2, 3]);
  await change(1, [1, 2, 3]);
  cut.add(3);
  await change(1, [1, 2]);
  await clock.advance(10_000);
  cut.delete(3);
  const { term } = node(1);
  await clock.advance(20_000);
  expect([node(1).role, node(1).term]).toEqual(["leader", term]);
});

test("membership outlives a restart of all, from the log and from a snapshot", async () => {
  for (const withSnapshot of [false, true]) {
    const { node, change, settled, boot, clock } = await world(3);
    await change(1, [1], [2, 3]);
    await change(1, [1, 2, 3]);
    if (withSnapshot) for (const id of [1, 2, 3]) await settled(node(id).snapshotNow());
    for (const id of [1, 2, 3]) await settled(node(id).stop());
    const booted = [boot(1), boot(2), boot(3)];
    await clock.advance(4000);
    await Promise.all(booted);
    const leader = [1, 2, 3].find((id) => node(id).role === "leader") ?? 0;
    expect(leader).toBeGreaterThan(0);
    expect(node(leader).status().membership).toEqual({ voters: [1, 2, 3], learners: [] });
  }
});

test("a newcomer takes no snapshot before it knows who takes part", async () => {
  const { node, settled } = await world(2);
  expect(await settled(node(2).snapshotNow())).toBeUndefined();
  expect(node(2).status().snapshotIndex).toBe(0);
});

test("refusals say why; a change without a quorum ends at its deadline with an unknown fate", async () => {
  const { node, change, cut, settled } = await world(3);
  expect(await change(1, [1])).toBeUndefined();
  expect(reasonOf(await change(1, []))).toBe("invalid-membership");
  expect(await change(2, [1, 2])).toBeInstanceOf(NotLeaderError);
  await change(1, [1], [2, 3]);
  await change(1, [1, 2]);
  cut.add(2);
  expect(await change(1, [1])).toBeUndefined();
  await change(1, [1], [3]);
  cut.add(3);
  const wanted = node(1).changeMembership({ voters: [1, 3], learners: [] }, { timeoutMs: 300 });
  const stuck = wanted.catch((error: Error) => error);
  expect(reasonOf(await change(1, [1]))).toBe("change-in-flight");
  expect(await settled(stuck)).toBeInstanceOf(UnknownFateError);
  const controller = new AbortController();
  controller.abort();
  const aborted = node(1).changeMembership({ voters: [1], learners: [] }, { signal: controller.signal });
  expect(reasonOf(await settled(aborted))).toBe("aborted");
  await settled(node(1).stop());
  expect(reasonOf(await settled(node(1).changeMembership({ voters: [1], learners: [] })))).toBe("stopped");
});
