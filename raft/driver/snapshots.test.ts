/** Snapshots as the driver takes, sends and installs them, on a virtual clock. */
import { expect, test } from "bun:test";
import { bytes, cluster, outcome, three } from "../../test/fakes/raft-nodes.ts";
import { CorruptLogError } from "../index.ts";

test("a follower that missed more than the log holds gets a snapshot", async () => {
  const world = await three({ snapshotLogEntries: 10, trailingEntries: 2 });
  const { clock, leader, first, block, items, disk } = world;
  block((from, to) => from === first.id || to === first.id);
  for (let i = 0; i < 40; i++) {
    const proposed = leader.propose(bytes(`${i}`));
    await clock.advance(30);
    await proposed;
  }
  await clock.advance(500);
  expect(leader.status().firstIndex).toBeGreaterThan(20);
  block(() => false);
  await clock.advance(4000);
  expect(items(first.id)).toEqual(items(leader.id));
  expect(items(first.id)).toHaveLength(40);
  expect(disk(first.id).snapshot).not.toBeNull();
});

/** The first follower is about to install a snapshot, and there is no room left to name it. */
async function roomForBytesAlone() {
  const world = await three({ snapshotLogEntries: 10, trailingEntries: 2 });
  const { clock, leader, first, block, disk } = world;
  block((from, to) => from === first.id || to === first.id);
  for (let i = 0; i < 40; i++) {
    const proposed = leader.propose(bytes(`${i}`));
    await clock.advance(30);
    await proposed;
  }
  disk(first.id).nameless = true;
  block(() => false);
  await clock.advance(1500);
  return world;
}

test("a follower without room for a snapshot's name waits until there is some, and does not end", async () => {
  const { clock, leader, first, items, disk, fatal } = await roomForBytesAlone();
  await clock.advance(4000);
  expect(items(first.id)).toEqual([]);
  disk(first.id).nameless = false;
  await clock.advance(2000);
  expect(items(first.id)).toEqual(items(leader.id));
  expect(fatal).toEqual([]);
});

test("a node that stops while a snapshot waits for room comes back with the log it had, and takes the snapshot then", async () => {
  const { clock, leader, first, items, disk, fatal, boot } = await roomForBytesAlone();
  const before = disk(first.id).entries;
  const stopped = first.stop();
  await clock.advance(10);
  await stopped;
  expect(disk(first.id).entries).toEqual(before);
  expect(disk(first.id).hardState.commit).toBeLessThanOrEqual(before.at(-1)?.index ?? 0);
  disk(first.id).nameless = false;
  await boot(first.id);
  await clock.advance(4000);
  expect(items(first.id)).toEqual(items(leader.id));
  expect(fatal).toEqual([]);
});

test("a disk that fails under a snapshot that comes in ends the node", async () => {
  const { clock, leader, first, block, disk, fatal } = await three({ snapshotLogEntries: 10, trailingEntries: 2 });
  block((from, to) => from === first.id || to === first.id);
  for (let i = 0; i < 40; i++) {
    const proposed = leader.propose(bytes(`${i}`));
    await clock.advance(30);
    await proposed;
  }
  const failure = Object.assign(new Error("EIO: i/o error, write"), { code: "EIO" });
  disk(first.id).failing = failure;
  block(() => false);
  await clock.advance(1500);
  expect(fatal).toEqual([failure]);
});

test("snapshotNow() drops the log, and a restart comes back from the snapshot", async () => {
  const world = cluster(1, { trailingEntries: 0 });
  const node = await world.boot(1);
  await world.clock.advance(100);
  const all = ["a", "b", "c"].map((item) => node.propose(bytes(item)));
  await world.clock.advance(100);
  await Promise.all(all);
  const taken = node.snapshotNow();
  await world.clock.advance(100);
  await taken;
  expect(node.status().firstIndex).toBe(node.applied + 1);
  expect(world.disk(1).entries).toEqual([]);
  const again = await world.boot(1);
  expect(world.items(1)).toEqual(["a", "b", "c"]);
  expect(again.applied).toBe(node.applied);
});

test("snapshotNow() stands for what was applied before the call, also when one was under way", async () => {
  const world = cluster(1, { trailingEntries: 0 });
  const node = await world.boot(1);
  await world.clock.advance(100);
  const write = async (count: number) => {
    const all = Array.from({ length: count }, () => node.propose(bytes("x")));
    await world.clock.advance(10);
    await Promise.all(all);
  };
  await write(20);
  const first = node.snapshotNow();
  await world.clock.advance(10);
  await write(1);
  expect(node.status().snapshotIndex).toBe(0);
  const present = node.applied;
  const second = node.snapshotNow();
  await write(1);
  await world.clock.advance(200);
  await Promise.all([first, second]);
  expect(node.status().snapshotIndex).toBeGreaterThanOrEqual(present);
});

/** One that has taken a snapshot of its state, and whose state is then another one, at the same index. */
async function replacedBehindItsSnapshot() {
  const world = cluster(1, { trailingEntries: 0 });
  const node = await world.boot(1);
  await world.clock.advance(100);
  const all = ["a", "wrong", "c"].map((item) => node.propose(bytes(item)));
  await world.clock.advance(100);
  await Promise.all(all);
  const taken = node.snapshotNow();
  return { ...world, node, taken, replace: () => world.machine(1).items.splice(1, 1, "b") };
}

test("renewSnapshot() puts another in the place of one of the same index", async () => {
  const { clock, node, taken, replace, boot, items } = await replacedBehindItsSnapshot();
  await clock.advance(100);
  await taken;
  replace();
  const renewed = node.renewSnapshot();
  await clock.advance(100);
  await renewed;
  await boot(1);
  expect(items(1)).toEqual(["a", "b", "c"]);
});

test("renewSnapshot() is not content with one that was begun before", async () => {
  const { clock, node, taken, replace, boot, items } = await replacedBehindItsSnapshot();
  await clock.advance(3);
  replace();
  const renewed = node.renewSnapshot();
  expect(node.status().snapshotIndex).toBe(0);
  await clock.advance(100);
  await Promise.all([taken, renewed]);
  await boot(1);
  expect(items(1)).toEqual(["a", "b", "c"]);
});

test("snapshotNow() says why there is none", async () => {
  const world = cluster(1);
  const node = await world.boot(1);
  await world.clock.advance(100);
  world.disk(1).full = true;
  const onFullDisk = outcome(node.snapshotNow());
  await world.clock.advance(100);
  expect(await onFullDisk).toMatchObject({ reason: "disk-full", message: expect.stringContaining("make room") });
  world.disk(1).full = false;
  const interrupted = outcome(node.snapshotNow());
  await world.clock.advance(1);
  const stopped = node.stop();
  await world.clock.advance(100);
  await stopped;
  expect(await interrupted).toMatchObject({ reason: "stopped" });
});

test("a busy leader brings a laggard up with one snapshot, however many it takes itself meanwhile", async () => {
  const world = await three({ snapshotLogEntries: 10, trailingEntries: 0 });
  const { clock, leader, first, block, items, machine } = world;
  const write = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const proposed = leader.propose(bytes("x"));
      await clock.advance(10);
      await proposed;
    }
  };
  block((from, to) => from === first.id || to === first.id);
  await write(300);
  block(() => false);
  while (machine(first.id).loads === 0) await write(1);
  const begun = leader.status().snapshotIndex;
  await write(200);
  expect(leader.status().snapshotIndex).toBeGreaterThan(begun + 20);
  expect(items(first.id).length).toBeGreaterThan(480);
  expect(machine(first.id).loads).toBe(1);
});

/** The first follower lacks what a snapshot of 40 chunks holds, and has read some of it when the link goes down. */
async function halfASnapshot() {
  const world = await three({ snapshotLogEntries: 1000, trailingEntries: 0 });
  const { clock, leader, first, block, machine } = world;
  block((from, to) => from === first.id || to === first.id);
  for (let i = 0; i < 40; i++) {
    const proposed = leader.propose(bytes(`${i}`));
    await clock.advance(30);
    await proposed;
  }
  const taken = leader.snapshotNow();
  await clock.advance(500);
  await taken;
  block(() => false);
  const half = 15;
  for (let ms = 0; ms < 2000 && machine(first.id).chunksLoaded < half; ms++) await clock.advance(1);
  expect(machine(first.id).chunksLoaded).toBe(half);
  block((from, to) => from === first.id || to === first.id);
  // The sender gives a chunk three seconds.
  await clock.advance(3100);
  return world;
}

test("a broken transfer of a snapshot goes on where it broke, and its state is the old one until it is whole", async () => {
  const { clock, leader, first, block, machine, items } = await halfASnapshot();
  expect(items(first.id)).toEqual([]);
  block(() => false);
  await clock.advance(4000);
  expect(items(first.id)).toEqual(items(leader.id));
  expect(machine(first.id).loads).toBe(1);
  expect(machine(first.id).chunksLoaded).toBe(40);
});

test("a leader whose snapshot is damaged takes another one, also when nothing was written since, and sends that", async () => {
  const { clock, leader, first, block, items, disk, fatal } = await three({ trailingEntries: 0 });
  block((from, to) => from === first.id || to === first.id);
  const proposed = leader.propose(bytes("x"));
  // Long enough to count as gone: for somebody alive the log would be kept.
  await clock.advance(3000);
  await proposed;
  const taken = leader.snapshotNow();
  await clock.advance(500);
  await taken;
  const whole = disk(leader.id).snapshot;
  if (whole === null) throw new Error("no snapshot");
  disk(leader.id).snapshot = {
    meta: whole.meta,
    get chunks(): never {
      throw new CorruptLogError("Read the snapshot: a checksum is wrong");
    },
  };
  block(() => false);
  await clock.advance(4000);
  expect(items(first.id)).toEqual(["x"]);
  expect(leader.status().snapshotIndex).toBe(whole.meta.index);
  expect(fatal).toEqual([]);
});

test("what broke of a snapshot is let go when the leader has another one", async () => {
  const { clock, leader, first, block, machine, items } = await halfASnapshot();
  const proposed = leader.propose(bytes("more"));
  await clock.advance(30);
  await proposed;
  const taken = leader.snapshotNow();
  await clock.advance(500);
  await taken;
  block(() => false);
  await clock.advance(4000);
  expect(items(first.id)).toEqual(items(leader.id));
  expect(machine(first.id).loads).toBe(2);
  expect(machine(first.id).chunksLoaded).toBe(15 + 41);
});

test("what broke of a snapshot is not kept for ever", async () => {
  const { clock, leader, first, block, machine, items } = await halfASnapshot();
  await clock.advance(121_000);
  block(() => false);
  await clock.advance(4000);
  expect(items(first.id)).toEqual(items(leader.id));
  expect(machine(first.id).loads).toBe(2);
});
