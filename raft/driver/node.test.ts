/** RaftNode on a virtual clock, an in-memory network and disk: one duty or rule of the driver per test. */
import { expect, test } from "bun:test";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { MemoryDisk } from "../../test/fakes/memory-disk.ts";
import { RaftNetwork } from "../../test/fakes/raft-network.ts";
import {
  DroppedError,
  type Entry,
  LostError,
  type NodeId,
  NotLeaderError,
  RaftNode,
  type RaftNodeConfig,
  type StateMachine,
  UnknownFateError,
} from "../index.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (value: string) => new TextEncoder().encode(value);

class ListMachine implements StateMachine {
  items: string[] = [];
  apply(entry: Entry): unknown {
    this.items.push(text(entry.data));
    return `${entry.index}:${text(entry.data)}`;
  }
  snapshot(): AsyncIterable<Uint8Array> {
    const pinned = [...this.items];
    return (async function* () {
      for (const item of pinned) yield bytes(`${item}\n`);
    })();
  }
  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let all = "";
    for await (const chunk of chunks) all += text(chunk);
    this.items = all.split("\n").filter((item) => item !== "");
  }
}

function cluster(size: number, overrides: Partial<RaftNodeConfig> = {}) {
  const clock = new ManualClock();
  let blocked: (from: NodeId, to: NodeId) => boolean = () => false;
  const network = new RaftNetwork({ clock, plan: (from, to) => (blocked(from, to) ? [] : [1]) });
  const voters = Array.from({ length: size }, (_, i) => i + 1);
  const fatal: Error[] = [];
  let seed = 7;
  const random = () => {
    seed = (seed * 48271) % 2147483647;
    return seed / 2147483647;
  };
  const disks = new Map(
    voters.map((id) => [id, new MemoryDisk({ delay: () => new Promise((r) => clock.after(2, r)) })]),
  );
  const machines = new Map<NodeId, ListMachine>();
  const diskOf = (id: NodeId) => disks.get(id) ?? new MemoryDisk();
  const log = { debug() {}, info() {}, notice() {}, warning() {}, error() {} };
  const boot = async (id: NodeId): Promise<RaftNode> => {
    const machine = new ListMachine();
    machines.set(id, machine);
    const node = new RaftNode(
      { id, membership: { voters, learners: [] }, ...overrides },
      {
        clock,
        storage: diskOf(id).open(),
        transport: network.transport(id),
        machine,
        random,
        log,
        onFatal: (error) => fatal.push(error),
      },
    );
    await node.start();
    return node;
  };
  return {
    clock,
    network,
    voters,
    fatal,
    boot,
    disk: diskOf,
    items: (id: NodeId) => machines.get(id)?.items ?? [],
    block: (rule: typeof blocked) => {
      blocked = rule;
    },
  };
}

async function three(overrides: Partial<RaftNodeConfig> = {}) {
  const world = cluster(3, overrides);
  const nodes = [await world.boot(1), await world.boot(2), await world.boot(3)];
  await world.clock.advance(3000);
  const leader = nodes.find((node) => node.role === "leader");
  if (leader === undefined) throw new Error("nobody leads");
  const followers = nodes.filter((node) => node !== leader);
  const [first, second] = followers;
  if (first === undefined || second === undefined) throw new Error("no followers");
  return { ...world, nodes, leader, followers, first, second };
}

const outcome = (promise: Promise<unknown>) =>
  promise.then(
    (value) => value,
    (error: unknown) => error,
  );

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
