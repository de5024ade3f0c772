/**
 * A handful of RaftCores with disks and a network that do only what the test says.
 *
 * Idea. Every step of a Ready is a call of its own: take it, write it, send, apply, advance. Messages rest in `network`
 * until somebody delivers or drops them. A disk holds what was written; a restart starts from that and nothing else.
 * The state machine is the list of proposals applied, so two nodes can be compared by eye.
 *
 * Not here. Chance (the random test draws it), printing (core-print.ts).
 *
 * @module
 */
import { membershipOf } from "../../raft/core/config-entry.ts";
import type { StartState } from "../../raft/core/raft-core.ts";
import { RaftCore } from "../../raft/core/raft-core.ts";
import type { CoreConfig, Entry, LogIndex, Membership, Message, NodeId, ReadState, Ready } from "../../raft/types.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export const encode = (text: string): Uint8Array => encoder.encode(text);
export const decode = (data: Uint8Array): string => decoder.decode(data);

/** What every test of the core starts from: no chance, one tick a heartbeat, ten an election, generous limits. */
export const CORE_DEFAULTS: Omit<CoreConfig, "id" | "membership"> = {
  electionTicks: 10,
  electionJitterTicks: 0,
  heartbeatTicks: 1,
  maxAppendBytes: 1_000,
  maxInflightMessages: 16,
  maxInflightBytes: 100_000,
  maxUncommittedBytes: 100_000,
  promotionLagEntries: 10,
  maxCommittedBytes: 100_000,
  random: () => 0,
};

export class CoreNode {
  readonly config: CoreConfig;
  core: RaftCore;
  disk: StartState;
  /** The state machine: every proposal applied, in order. */
  applied: string[];
  readStates: ReadState[] = [];
  /** Who takes part, as far as applied. */
  membership: Membership;
  /** Every entry applied in this process life, so that checks can see indexes and terms. */
  history: Entry[] = [];
  readonly #cluster: CoreCluster;

  constructor(cluster: CoreCluster, config: CoreConfig, disk?: StartState) {
    this.#cluster = cluster;
    this.config = config;
    this.disk = disk ?? { hardState: { term: 0, vote: 0, commit: 0 }, snapshot: null, entries: [] };
    this.applied = [...cluster.stateAt(this.disk.snapshot?.index ?? 0)];
    this.membership = this.disk.snapshot?.membership ?? config.membership;
    this.core = new RaftCore(config, this.disk);
  }

  get id(): NodeId {
    return this.config.id;
  }

  /** Duty 1. */
  write(ready: Ready): void {
    let { hardState, snapshot, entries } = this.disk;
    if (ready.snapshot !== null) {
      snapshot = ready.snapshot;
      entries = [];
    }
    const first = ready.entries[0];
    if (first !== undefined) entries = [...entries.filter((entry) => entry.index < first.index), ...ready.entries];
    hardState = ready.hardState ?? hardState;
    this.disk = { hardState, snapshot, entries };
  }

  /** Duty 3. */
  apply(ready: Ready): void {
    if (ready.snapshot !== null) {
      this.applied = [...this.#cluster.stateAt(ready.snapshot.index)];
      this.membership = ready.snapshot.membership;
    }
    for (const entry of ready.committed) {
      if (entry.kind === "normal") this.applied.push(decode(entry.data));
      if (entry.kind === "config") this.membership = membershipOf(entry);
      this.history.push(entry);
      this.#cluster.remember(entry.index, this.applied);
    }
    this.readStates.push(...ready.readStates);
  }

  /** All four duties. */
  work(): Ready | null {
    const ready = this.core.ready();
    if (ready === null) return null;
    this.write(ready);
    this.#cluster.network.push(...ready.messages);
    this.apply(ready);
    this.core.advance();
    return ready;
  }

  /** A local snapshot at the applied index; entries up to `index` are dropped, here and on disk. */
  compact(index: LogIndex = this.core.applied): void {
    const at = this.core.applied;
    const term = this.#cluster.termOf(this, at);
    const snapshot = { index: at, term, membership: this.membership };
    this.core.compact(index, snapshot);
    this.disk = { ...this.disk, snapshot, entries: this.disk.entries.filter((entry) => entry.index > index) };
  }

  /** The disk is damaged, which a start finds: entries up to `kept` are sound, the hard state and the rest are lost. */
  damage(recovery: number, kept: LogIndex): void {
    const entries = this.disk.entries.filter((entry) => entry.index <= kept);
    const term = entries.at(-1)?.term ?? 0;
    this.disk = { hardState: { term, vote: 0, commit: 0, recovery }, snapshot: null, entries };
    this.restart();
  }

  /** The process ends here and now; the disk stays. */
  restart(): void {
    this.readStates = [];
    this.history = [];
    this.applied = [...this.#cluster.stateAt(this.disk.snapshot?.index ?? 0)];
    this.membership = this.disk.snapshot?.membership ?? this.config.membership;
    this.core = new RaftCore(this.config, this.disk);
  }
}

export class CoreCluster {
  readonly nodes = new Map<NodeId, CoreNode>();
  /** Messages under way. */
  network: Message[] = [];
  /** Links that lose everything, as "from->to". */
  readonly cut = new Set<string>();
  /** What the machine held after each index; all nodes agree on it, or a check fails. */
  /** What its nodes were made with, for those who join. */
  readonly options: Partial<CoreConfig>;
  readonly #states = new Map<LogIndex, readonly string[]>([[0, []]]);

  constructor(membership: Membership, options: Partial<CoreConfig> = {}) {
    this.options = options;
    for (const id of [...membership.voters, ...membership.learners]) this.add(id, membership, options);
  }

  add(id: NodeId, membership: Membership, options: Partial<CoreConfig> = {}, disk?: StartState): CoreNode {
    const node = new CoreNode(this, { ...CORE_DEFAULTS, ...options, id, membership }, disk);
    this.nodes.set(id, node);
    return node;
  }

  node(id: NodeId): CoreNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`No node ${id} in this cluster`);
    return node;
  }

  core(id: NodeId): RaftCore {
    return this.node(id).core;
  }

  /** Every node without a link to and from these ones is on the other side. */
  isolate(side: readonly NodeId[]): void {
    for (const from of this.nodes.keys()) {
      for (const to of this.nodes.keys()) {
        if (side.includes(from) !== side.includes(to)) this.cut.add(`${from}->${to}`);
      }
    }
  }

  heal(): void {
    this.cut.clear();
  }

  /** @returns whether it arrived. A snapshot's bytes arrive with it, and its sender hears of it. */
  deliver(message: Message): boolean {
    const target = this.nodes.get(message.to);
    const arrives = target !== undefined && !this.cut.has(`${message.from}->${message.to}`);
    if (arrives) target.core.step(message);
    if (message.kind === "snapshot") this.nodes.get(message.from)?.core.snapshotSent(message.to, arrives);
    return arrives;
  }

  /** Works and delivers until nothing is left to do. */
  settle(): void {
    for (let round = 0; round < 1_000; round++) {
      let isQuiet = this.network.length === 0;
      for (const message of this.network.splice(0)) this.deliver(message);
      for (const node of this.nodes.values()) if (node.work() !== null) isQuiet = false;
      if (isQuiet) return;
    }
    throw new Error("The cluster does not come to rest");
  }

  tick(count = 1): void {
    for (let i = 0; i < count; i++) {
      for (const node of this.nodes.values()) node.core.tick();
      this.settle();
    }
  }

  elect(id: NodeId): void {
    this.core(id).campaign();
    this.settle();
  }

  propose(id: NodeId, ...texts: readonly string[]): void {
    for (const text of texts) this.core(id).propose(encode(text));
    this.settle();
  }

  leaders(): readonly NodeId[] {
    return [...this.nodes.values()].filter((node) => node.core.role === "leader").map((node) => node.id);
  }

  remember(index: LogIndex, state: readonly string[]): void {
    const known = this.#states.get(index);
    if (known === undefined) this.#states.set(index, [...state]);
    else if (known.at(-1) !== state.at(-1) || known.length !== state.length) {
      throw new Error(`State machines differ at ${index}: ${known.slice(-3)} and ${state.slice(-3)}`);
    }
  }

  stateAt(index: LogIndex): readonly string[] {
    const state = this.#states.get(index);
    if (state === undefined) throw new Error(`No node was ever at ${index}`);
    return state;
  }

  termOf(node: CoreNode, index: LogIndex): number {
    if (node.disk.snapshot?.index === index) return node.disk.snapshot.term;
    const entry = node.disk.entries.find((candidate) => candidate.index === index);
    if (entry === undefined) throw new Error(`Node ${node.id} has no entry ${index}`);
    return entry.term;
  }
}

/** A disk that holds entries of these terms, from index 1: `logOfTerms([1, 1, 4])` is the thesis's way to draw logs. */
export function logOfTerms(terms: readonly number[], term = Math.max(0, ...terms), commit = 0): StartState {
  return {
    hardState: { term, vote: 0, commit },
    snapshot: null,
    entries: terms.map((entryTerm, i) => ({
      index: i + 1,
      term: entryTerm,
      kind: "normal",
      data: encode(`${i + 1}/${entryTerm}`),
    })),
  };
}
