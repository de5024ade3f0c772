/**
 * Raft nodes of production on a virtual clock, with network and disks in memory, for tests of the driver's rules.
 *
 * @module
 */
import { type Entry, type NodeId, RaftNode, type RaftNodeConfig, type StateLoader, type StateMachine } from "#raft";
import { collectingLoader } from "./collecting-loader.ts";
import { ManualClock } from "./manual-clock.ts";
import { MemoryDisk } from "./memory-disk.ts";
import { RaftNetwork } from "./raft-network.ts";

export const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
export const bytes = (value: string) => new TextEncoder().encode(value);

/** Its state is the list of its commands; a snapshot has a chunk for each. */
export class ListMachine implements StateMachine {
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
  /** Snapshots begun to be read, and chunks read of them. */
  loads = 0;
  chunksLoaded = 0;
  load(): StateLoader {
    this.loads++;
    const { write, finish } = collectingLoader((all) => {
      this.items = text(all)
        .split("\n")
        .filter((item) => item !== "");
    });
    const counted = (chunk: Uint8Array) => {
      this.chunksLoaded++;
      write(chunk);
    };
    return { write: counted, finish };
  }
}

/** Some nodes with nothing on their disks, not started yet. */
export function cluster(size: number, overrides: Partial<RaftNodeConfig> = {}) {
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
    machine: (id: NodeId): ListMachine => machines.get(id) ?? new ListMachine(),
    items: (id: NodeId) => machines.get(id)?.items ?? [],
    block: (rule: typeof blocked) => {
      blocked = rule;
    },
  };
}

/** Three that run, one of which leads. */
export async function three(overrides: Partial<RaftNodeConfig> = {}) {
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

/** What a promise came to, thrown or not. */
export const outcome = (promise: Promise<unknown>) =>
  promise.then(
    (value) => value,
    (error: unknown) => error,
  );
