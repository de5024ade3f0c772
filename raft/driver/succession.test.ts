/** How soon there is another leader when the leader's process dies: on slow disks and a network that takes its time, seed by seed. */
import { expect, test } from "bun:test";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { MemoryDisk } from "../../test/fakes/memory-disk.ts";
import { RaftNetwork } from "../../test/fakes/raft-network.ts";
import { RaftNode, type StateMachine } from "../index.ts";

const SEEDS = 30;
const HOP_MAX_MS = 20;
const MACHINE: StateMachine = {
  apply: () => null,
  snapshot: () => (async function* () {})(),
  load: () => ({ write() {}, finish: () => () => {} }),
};
const LOG = { debug() {}, info() {}, notice() {}, warning() {}, error() {} };

type Draw = (random: () => number) => number;

/** @returns after how many milliseconds a successor has committed an entry of its own. */
async function vacancyMs(seed: number, diskMs: Draw): Promise<number> {
  let state = seed * 7_919 + 17;
  const random = () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  const clock = new ManualClock();
  const network = new RaftNetwork({ clock, plan: () => [random() * HOP_MAX_MS] });
  const boot = async (id: number) => {
    const disk = new MemoryDisk({ delay: () => new Promise<void>((resolve) => clock.after(diskMs(random), resolve)) });
    const onFatal = (error: Error) => {
      throw error;
    };
    const node = new RaftNode(
      { id, membership: { voters: [1, 2, 3], learners: [] } },
      { clock, storage: disk.open(), transport: network.transport(id), machine: MACHINE, random, log: LOG, onFatal },
    );
    await node.start();
    return node;
  };
  const nodes = await meanwhile(clock, Promise.all([boot(1), boot(2), boot(3)]));
  const leads = (node: RaftNode) => node.role === "leader";
  while (!nodes.some(leads)) await clock.advance(100);
  const [leader] = nodes.filter(leads) as [RaftNode];
  for (let count = 0; count < 20; count++) {
    leader.propose(new Uint8Array(8)).catch(() => {});
    await clock.advance(25);
  }
  const begin = clock.now();
  network.kill(leader.id);
  // The kernel's word comes after the last of the process.
  network.reset(leader.id, HOP_MAX_MS + 1);
  const hasCommitted = (node: RaftNode) => leads(node) && node.status().commit === node.status().lastIndex;
  while (!nodes.some((node) => node !== leader && hasCommitted(node))) await clock.advance(5);
  const took = clock.now() - begin;
  await meanwhile(clock, Promise.all(nodes.map((node) => node.stop())));
  return took;
}

/** Lets time pass until it is done. */
async function meanwhile<T>(clock: ManualClock, work: Promise<T>): Promise<T> {
  let isDone = false;
  const end = work.finally(() => {
    isDone = true;
  });
  while (!isDone) await clock.advance(10);
  return await end;
}

test.each<[string, number, Draw]>([
  ["quick disks", 250, () => 2],
  ["a disk of 20 ms", 350, () => 20],
  ["disks of up to 100 ms", 700, (random) => random() * 100],
  ["disks that stall for 100 ms now and then", 800, (random) => (random() < 0.3 ? 100 : 5)],
])(
  "%s: a killed leader has a successor within %i ms, without anybody waiting for an election timeout",
  async (_, maxMs, disk) => {
    const all: number[] = [];
    for (let seed = 1; seed <= SEEDS; seed++) all.push(await vacancyMs(seed, disk));
    expect(Math.max(...all)).toBeLessThan(maxMs);
  },
);
