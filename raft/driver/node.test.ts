/** RaftNode on a virtual clock, an in-memory network and disk: one duty or rule of the driver per test. */
import { expect, test } from "bun:test";
import { bytes, cluster, outcome, three } from "../../test/fakes/raft-nodes.ts";
import { DroppedError, LostError, NotLeaderError, UnknownFateError } from "../index.ts";

test("a single voter elects itself at once and answers with apply's result", async () => {
  const world = cluster(1);
  const node = await world.boot(1);
  await world.clock.advance(100);
  const proposed = node.propose<string>(bytes("a"));
  await world.clock.advance(100);
  expect(await proposed).toEndWith(":a");
  const read = node.readIndex();
  await world.clock.advance(100);
  expect(await read).toBe(node.applied);
});

test("three nodes replicate, a follower refuses and names the leader", async () => {
  const { clock, leader, first, items, voters } = await three();
  const proposed = leader.propose(bytes("x"));
  await clock.advance(200);
  await proposed;
  const refused = await outcome(first.propose(bytes("y")));
  expect(refused).toBeInstanceOf(NotLeaderError);
  expect((refused as NotLeaderError).leader).toBe(leader.id);
  await clock.advance(300);
  for (const id of voters) expect(items(id)).toEqual(["x"]);
});

test("a restarted node replays its log, and a clean stop remembers what was committed", async () => {
  const world = cluster(1);
  const node = await world.boot(1);
  await world.clock.advance(100);
  const all = ["a", "b", "c"].map((item) => node.propose(bytes(item)));
  await world.clock.advance(100);
  await Promise.all(all);
  const stopped = node.stop();
  await world.clock.advance(100);
  await stopped;
  await world.boot(1);
  expect(world.items(1)).toEqual(["a", "b", "c"]);
});

test("thesis 6.4: readers on a follower share a round and see what was acknowledged before", async () => {
  const { clock, leader, first, items } = await three();
  const proposed = leader.propose(bytes("x"));
  await clock.advance(50);
  await proposed;
  const reads = Promise.all([first.readIndex(), first.readIndex()]);
  await clock.advance(100);
  const [one, other] = await reads;
  expect(one).toBe(other);
  expect(items(first.id)).toEqual(["x"]);
});

test("a deposed leader's proposal waits for its fate and is told that it was lost", async () => {
  const { clock, leader, first, second, block, items } = await three();
  block((from, to) => from === leader.id || to === leader.id);
  const stranded = outcome(leader.propose(bytes("lost"), { timeoutMs: 60_000 }));
  await clock.advance(4000);
  const next = [first, second].find((node) => node.role === "leader");
  const won = next?.propose(bytes("won"));
  await clock.advance(100);
  await won;
  block(() => false);
  await clock.advance(2000);
  expect(await stranded).toBeInstanceOf(LostError);
  expect(items(leader.id)).toEqual(["won"]);
});

test("a proposal without quorum ends at its deadline with an unknown fate, one that is aborted before it with none", async () => {
  const { clock, leader, block } = await three();
  block(() => true);
  const late = outcome(leader.propose(bytes("x"), { timeoutMs: 300 }));
  const refused = await outcome(leader.propose(bytes("x"), { signal: AbortSignal.abort() }));
  await clock.advance(400);
  expect(await late).toBeInstanceOf(UnknownFateError);
  expect(refused).toBeInstanceOf(DroppedError);
  const read = outcome(leader.readIndex({ timeoutMs: 300 }));
  await clock.advance(400);
  expect(await read).toMatchObject({ code: "dropped", reason: "deadline" });
});

test("stop() settles every pending call", async () => {
  const { clock, leader, block } = await three();
  block(() => true);
  const proposal = outcome(leader.propose(bytes("x")));
  const read = outcome(leader.readIndex());
  const stopped = leader.stop();
  await clock.advance(100);
  await stopped;
  expect(await proposal).toMatchObject({ code: "unknown-fate" });
  expect(await read).toMatchObject({ code: "dropped", reason: "stopped" });
  expect(await outcome(leader.propose(bytes("y")))).toMatchObject({ code: "dropped", reason: "stopped" });
});

test("a leader with a full disk hands over to a member that has room, and loses nothing", async () => {
  const { clock, leader, nodes, disk, fatal, items } = await three();
  disk(leader.id).full = true;
  const first = outcome(leader.propose(bytes("x"), { timeoutMs: 60_000 }));
  await clock.advance(500);
  const heir = nodes.find((node) => node.role === "leader");
  expect(heir).not.toBe(leader);
  const second = heir?.propose(bytes("y"));
  await clock.advance(100);
  await second;
  disk(leader.id).full = false;
  await clock.advance(500);
  expect(await first).toEndWith(":x");
  expect(items(leader.id)).toEqual(["x", "y"]);
  expect(fatal).toEqual([]);
});

test("with every disk full the leader refuses proposals, keeps its office, and recovers", async () => {
  const { clock, leader, voters, disk, fatal } = await three();
  for (const id of voters) disk(id).full = true;
  const first = outcome(leader.propose(bytes("x"), { timeoutMs: 60_000 }));
  await clock.advance(500);
  expect(await outcome(leader.propose(bytes("y")))).toMatchObject({ code: "dropped", reason: "disk-full" });
  await clock.advance(10_000);
  expect(leader.role).toBe("leader");
  for (const id of voters) disk(id).full = false;
  await clock.advance(500);
  expect(await first).toEndWith(":x");
  expect(fatal).toEqual([]);
});

test("a full disk on a follower neither stops it nor the cluster, and it catches up", async () => {
  const { clock, leader, first, disk, fatal, items } = await three();
  disk(first.id).full = true;
  for (let i = 0; i < 5; i++) {
    const proposed = leader.propose(bytes(`${i}`));
    await clock.advance(200);
    await proposed;
  }
  expect(items(first.id)).toEqual([]);
  expect(first.leader).toBe(leader.id);
  disk(first.id).full = false;
  await clock.advance(1000);
  expect(items(first.id)).toEqual(["0", "1", "2", "3", "4"]);
  expect(fatal).toEqual([]);
});

test("leadership is handed over within 100 ms, also under load, and proposals are refused with the reason meanwhile", async () => {
  const { clock, leader, first, items } = await three();
  const before = leader.propose(bytes("before"));
  const moved = leader.transferLeader(first.id);
  const meanwhile = await outcome(leader.propose(bytes("meanwhile")));
  expect((meanwhile as DroppedError).reason).toBe("transferring");
  await clock.advance(100);
  expect(await moved).toBe(true);
  expect(first.role).toBe("leader");
  const after = first.propose(bytes("after"));
  await clock.advance(300);
  await Promise.all([before, after]);
  expect(items(first.id)).toEqual(["before", "after"]);
});

test("a hand-over to a member that is gone ends after an election timeout, and the leader goes on", async () => {
  const { clock, leader, first, block } = await three();
  block((from, to) => from === first.id || to === first.id);
  const moved = leader.transferLeader(first.id);
  await clock.advance(1100);
  expect(await moved).toBe(false);
  const proposed = leader.propose(bytes("x"));
  await clock.advance(200);
  await proposed;
  expect(leader.role).toBe("leader");
});

test("the leadership goes to a member that is there, at once, although another one is asked for first", async () => {
  const { clock, leader, first, second, block } = await three();
  block((from, to) => from === first.id || to === first.id);
  // Until it is known to be silent: two periods of checking the quorum.
  await clock.advance(2200);
  const moved = leader.handOver();
  await clock.advance(100);
  expect(await moved).toBe(second.id);
  expect(second.role).toBe("leader");
  expect(await leader.handOver()).toBe(0);
});

test("when the leader's connections are reset another one leads well before an election timeout", async () => {
  const { clock, leader, nodes, network } = await three();
  network.kill(leader.id);
  network.reset(leader.id, 1);
  await clock.advance(500);
  expect(nodes.filter((node) => node !== leader && node.role === "leader")).toHaveLength(1);
});

test("a broken connection to a leader that lives deposes nobody", async () => {
  const { clock, leader, network } = await three();
  const { term } = leader;
  network.reset(leader.id, 1);
  await clock.advance(3000);
  expect(leader.role).toBe("leader");
  expect(leader.term).toBe(term);
});

test("a disk that fails otherwise is fatal, once, and ends every call", async () => {
  const world = cluster(1);
  const node = await world.boot(1);
  await world.clock.advance(100);
  const disk = world.disk(1);
  disk.write = async () => {
    throw new Error("bad sector");
  };
  const proposal = outcome(node.propose(bytes("x")));
  await world.clock.advance(100);
  expect(await proposal).toMatchObject({ code: "unknown-fate" });
  expect(world.fatal.map((error) => error.message)).toEqual(["bad sector"]);
});

test("onChange tells who leads, and can be ended", async () => {
  const world = cluster(1);
  const node = await world.boot(1);
  const seen: string[] = [];
  const end = node.onChange((state) => seen.push(state.role));
  await world.clock.advance(100);
  expect(seen.at(-1)).toBe("leader");
  end();
});

test("turning says when the clock last came by and since when a batch is in work", async () => {
  const world = cluster(1);
  const node = await world.boot(1);
  await world.clock.advance(1000);
  expect(world.clock.now() - node.turning.lastTickAt).toBeLessThanOrEqual(50);
  expect(node.turning.turnStartedAt).toBeNull();
});
