/** A member whose disk was damaged, on a virtual clock: what it does, what it says in its log, and when it must stop. */
import { expect, test } from "bun:test";
import { collectingLoader } from "../../test/fakes/collecting-loader.ts";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { MemoryDisk } from "../../test/fakes/memory-disk.ts";
import { RaftNetwork } from "../../test/fakes/raft-network.ts";
import {
  type Entry,
  type NodeId,
  RaftNode,
  type RaftNodeConfig,
  type StateLoader,
  type StateMachine,
} from "../index.ts";

class CountMachine implements StateMachine {
  count = 0;
  apply(_entry: Entry): number {
    this.count += 1;
    return this.count;
  }
  snapshot(): AsyncIterable<Uint8Array> {
    const bytes = new Uint8Array([this.count]);
    return (async function* () {
      yield bytes;
    })();
  }
  load(): StateLoader {
    return collectingLoader(([count]) => {
      this.count = count ?? 0;
    });
  }
}

function cluster(size: number, overrides: Partial<RaftNodeConfig> = {}) {
  const clock = new ManualClock();
  const network = new RaftNetwork({ clock });
  const voters = Array.from({ length: size }, (_, i) => i + 1);
  const disks = new Map(voters.map((id) => [id, new MemoryDisk()]));
  const machines = new Map<NodeId, CountMachine>();
  const nodes = new Map<NodeId, RaftNode>();
  const said: string[] = [];
  const fatal: string[] = [];
  let seed = 11;
  const random = () => {
    seed = (seed * 48271) % 2147483647;
    return seed / 2147483647;
  };
  const diskOf = (id: NodeId) => disks.get(id) ?? new MemoryDisk();
  const start = async (id: NodeId) => {
    const say = (message: string) => said.push(`${id}: ${message}`);
    const machine = new CountMachine();
    const node = new RaftNode(
      { id, membership: { voters, learners: [] }, ...overrides },
      {
        clock,
        storage: diskOf(id).open(),
        transport: network.transport(id),
        machine,
        random,
        log: { debug() {}, info() {}, notice: say, warning: say, error: say },
        onFatal: (error) => fatal.push(`${id}: ${error.message}`),
      },
    );
    machines.set(id, machine);
    nodes.set(id, node);
    await node.start();
    return node;
  };
  const stop = async (id: NodeId) => {
    network.kill(id);
    await nodes.get(id)?.stop();
    nodes.delete(id);
  };
  const leader = async () => {
    for (let i = 0; i < 200; i++) {
      const found = [...nodes.values()].find((node) => node.role === "leader");
      if (found !== undefined) return found;
      await clock.advance(50);
    }
    throw new Error("nobody leads");
  };
  const propose = async (count: number) => {
    const node = await leader();
    for (let i = 0; i < count; i++) {
      const done = node.propose(new Uint8Array(10));
      await clock.advance(50);
      await done;
    }
  };
  const replaceDisk = (id: NodeId) => disks.set(id, new MemoryDisk());
  return { replaceDisk, clock, voters, start, stop, leader, propose, diskOf, nodes, machines, said, fatal };
}

test("a damaged follower says what it found and what it does, gets everything from the leader, and says when it is whole", async () => {
  const world = cluster(3);
  for (const id of world.voters) await world.start(id);
  await world.propose(20);
  const victim = world.voters.find((id) => world.nodes.get(id)?.role !== "leader") ?? 0;
  await world.stop(victim);
  world.diskOf(victim).corrupt(0.5);
  const node = await world.start(victim);
  expect(node.status().recovering).toBe(true);
  expect(world.said.slice(-3)).toEqual([
    `${victim}: The disk gave back something else than was written to it`,
    `${victim}: Set the damaged files aside; what is missing comes from the leader`,
    expect.stringContaining("recovers from damage to its disk: it votes for nobody"),
  ]);
  await world.clock.advance(500);
  expect(world.said.at(-1)).toBe(
    `${victim}: This member is whole again: it has everything from the leader, votes and counts`,
  );
  expect(node.status().recovering).toBe(false);
  expect(world.machines.get(victim)?.count).toBe(20);
  expect(world.diskOf(victim).hardState.recovery).toBeUndefined();
});

test("a member whose disk was replaced hears from its leader what it had confirmed, stops, and is rebuilt at the next start", async () => {
  const world = cluster(3);
  for (const id of world.voters) await world.start(id);
  await world.propose(20);
  const leading = (await world.leader()).id;
  const [victim = 0, other = 0] = world.voters.filter((id) => id !== leading);
  await world.stop(victim);
  world.replaceDisk(victim);
  await world.start(victim);
  await world.clock.advance(500);
  expect(world.fatal).toEqual([
    `${victim}: The disk is not the one that this member wrote to, or an older state of it: the member had confirmed entry 21 to its leader, ` +
      "and the log ends at 0: it has to start again, and is rebuilt from the leader then",
  ]);
  await world.stop(victim);
  const node = await world.start(victim);
  expect(node.status().recovering).toBe(true);
  await world.clock.advance(500);
  expect(world.said.at(-1)).toStartWith(`${victim}: This member is whole again`);
  await world.stop(other);
  await world.propose(1);
  await world.clock.advance(100);
  expect([world.machines.get(victim)?.count, world.fatal.length]).toEqual([21, 1]);
});

test("a recovering member does not help to elect anybody, and the cluster goes on without it as long as a majority is whole", async () => {
  const world = cluster(3);
  for (const id of world.voters) await world.start(id);
  await world.propose(5);
  const leader = (await world.leader()).id;
  const [victim = 0, other = 0] = world.voters.filter((id) => id !== leader);
  await world.stop(victim);
  await world.stop(leader);
  world.diskOf(victim).corrupt();
  await world.start(victim);
  await world.clock.advance(20_000);
  expect([...world.nodes.values()].map((node) => node.role).filter((role) => role === "leader")).toEqual([]);
  expect(world.fatal).toEqual([]);
  await world.start(leader);
  await world.propose(1);
  await world.clock.advance(1000);
  expect(world.machines.get(victim)?.count).toBe(6);
  expect(world.machines.get(other)?.count).toBe(6);
});

test("when a majority is damaged its members stop, each with a word on the others and on what to do", async () => {
  const world = cluster(3);
  for (const id of world.voters) await world.start(id);
  await world.propose(5);
  for (const id of [2, 3]) {
    await world.stop(id);
    world.diskOf(id).corrupt();
  }
  await world.start(2);
  await world.start(3);
  await world.clock.advance(20_000);
  expect(world.fatal.toSorted()).toEqual([
    expect.stringMatching(/^2: .*2 members recover at once \(this one and 3\).*restore the data directories/),
    expect.stringMatching(/^3: .*2 members recover at once \(this one and 2\).*restore the data directories/),
  ]);
  expect(world.nodes.get(1)?.role).not.toBe("leader");
});

test("who has no majority of others to learn from does not start, and changes nothing on its disk", async () => {
  for (const size of [1, 2]) {
    const world = cluster(size);
    for (const id of world.voters) await world.start(id);
    await world.propose(5);
    await world.stop(1);
    world.diskOf(1).corrupt();
    const { entries } = world.diskOf(1);
    await expect(world.start(1)).rejects.toThrow(
      size === 1 ? "restore the data directory from a copy" : "restore the data directories of both",
    );
    expect(world.diskOf(1).entries).toBe(entries);
    for (const id of world.voters) await world.stop(id);
  }
});

test("a damaged snapshot of a follower comes from the leader anew", async () => {
  const world = cluster(3);
  for (const id of world.voters) await world.start(id);
  await world.propose(20);
  for (const node of world.nodes.values()) await node.snapshotNow();
  await world.propose(3);
  const victim = world.voters.find((id) => world.nodes.get(id)?.role !== "leader") ?? 0;
  await world.stop(victim);
  const disk = world.diskOf(victim);
  // Second among its parts, behind the hard state.
  disk.corrupt(1.5 / (2 + disk.entries.length));
  const node = await world.start(victim);
  expect(node.applied).toBe(0);
  await world.clock.advance(5000);
  expect(world.machines.get(victim)?.count).toBe(23);
  expect(node.status().recovering).toBe(false);
});

test("what rots on the disk of a member that runs is found by its check, and written anew, also without others", async () => {
  for (const size of [1, 3]) {
    const world = cluster(size, { diskCheckMs: 60_000 });
    for (const id of world.voters) await world.start(id);
    await world.propose(10);
    const disk = world.diskOf(1);
    await world.clock.advance(120_000);
    expect(disk.snapshot).toBeNull();
    for (const chance of [0.5, 0.9]) {
      disk.corrupt(chance);
      await world.clock.advance(60_000);
      expect(world.said.at(-1)).toContain("1: The disk gave back something else than was written to it: a snapshot");
      expect([disk.snapshot ?? {}, ...disk.entries].every((part) => disk.isSound(part))).toBe(true);
    }
    await world.stop(1);
    await world.start(1);
    expect(world.fatal).toEqual([]);
    expect(world.nodes.get(1)?.status().recovering).toBe(false);
    for (const id of world.voters) await world.stop(id);
  }
});
