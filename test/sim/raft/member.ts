/**
 * One simulated host: a disk that survives, a process that is started, paused and killed, and the state machine in it.
 *
 * Invariants.
 * - A killed process does nothing any more: its timers, its disk and its transport are dead.
 * - A paused process keeps what reaches it; when it goes on, due timers come first and then what waited in its sockets.
 *
 * @module
 */
import {
  type Entry,
  type Membership,
  type NodeId,
  RaftNode,
  type RaftNodeConfig,
  type SoftState,
  type StateLoader,
  type StateMachine,
} from "#raft";
import { membershipOf } from "../../../raft/core/config-entry.ts";
import type { CoreStatus } from "../../../raft/core/raft-core.ts";
import type { Clock } from "../../../src/lib/clock.ts";
import { collectingLoader } from "../../fakes/collecting-loader.ts";
import { MemoryDisk } from "../../fakes/memory-disk.ts";
import type { RaftNetwork } from "../../fakes/raft-network.ts";
import { Life } from "../life.ts";
import type { SeededRandom } from "../random.ts";
import { type Checkers, Violation } from "./checkers.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
/** Small chunks, so that a snapshot takes several and can be interrupted between them. */
const COMMANDS_PER_CHUNK = 25;
const SILENT = { debug() {}, info() {}, notice() {}, warning() {}, error() {} };

export interface MemberOptions {
  readonly id: NodeId;
  readonly config: Omit<RaftNodeConfig, "id">;
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly network: RaftNetwork;
  readonly checkers: Checkers;
  readonly diskDelayMs: () => number;
  readonly forgetful: boolean;
  readonly note: (line: string) => void;
  readonly fail: (error: Error) => void;
}

/** Holds the list of all commands: its state is its history. */
class ListMachine implements StateMachine {
  commands: string[] = [];
  readonly #id: NodeId;
  readonly #checkers: Checkers;
  readonly #note: (line: string) => void;
  #last = 0;

  constructor(id: NodeId, checkers: Checkers, note: (line: string) => void) {
    this.#id = id;
    this.#checkers = checkers;
    this.#note = note;
  }

  apply(entry: Entry): unknown {
    if (entry.index <= this.#last) throw new Violation(`node ${this.#id} applied ${entry.index} after ${this.#last}`);
    this.#last = entry.index;
    this.#checkers.applied(this.#id, entry);
    this.commands.push(decoder.decode(entry.data));
    return entry.index;
  }

  snapshot(): AsyncIterable<Uint8Array> {
    return chunksOf([...this.commands], this.#last);
  }

  load(): StateLoader {
    return collectingLoader((all) => {
      const [last, ...commands] = decoder.decode(all).split("\n");
      this.#last = Number(last);
      this.commands = commands;
      this.#checkers.state(this.#id, commands);
      this.#note(`restore ${this.#id} to ${last}`);
    });
  }
}

async function* chunksOf(commands: readonly string[], last: number): AsyncGenerator<Uint8Array> {
  yield encoder.encode(`${last}`);
  for (let at = 0; at < commands.length; at += COMMANDS_PER_CHUNK) {
    yield encoder.encode(`\n${commands.slice(at, at + COMMANDS_PER_CHUNK).join("\n")}`);
  }
}

export class Member {
  readonly id: NodeId;
  readonly disk: MemoryDisk;
  node: RaftNode | null = null;
  /** A bit flipped on its disk, and no start has found it yet. */
  isRotten = false;
  #machine: ListMachine | null = null;
  #life: Life | null = null;
  readonly #options: MemberOptions;

  constructor(options: MemberOptions) {
    this.id = options.id;
    this.#options = options;
    this.disk = new MemoryDisk({
      random: () => options.random.next(),
      delay: () => new Promise((resolve) => this.#clockOfLife().after(options.diskDelayMs(), resolve)),
    });
  }

  get up(): boolean {
    return this.node !== null;
  }
  get running(): boolean {
    return this.#life !== null && !this.#life.paused;
  }
  /** Its disk is damaged, or it recovers from that. */
  get isSick(): boolean {
    return this.isRotten || this.disk.hardState.recovery !== undefined;
  }
  /** All that it can believe to be in force: what it was told, and what its snapshot and its log say. */
  get memberships(): readonly Membership[] {
    const { snapshot, entries } = this.disk;
    const logged = entries.filter((entry) => entry.kind === "config").map(membershipOf);
    const known = [
      this.#options.config.membership,
      ...(snapshot === null ? [] : [snapshot.meta.membership]),
      ...logged,
    ];
    const inForce = this.node?.term ? [(this.node.status().core as CoreStatus).membership] : [];
    return [...known, ...inForce].filter(({ voters }) => voters.length > 0);
  }
  get commands(): readonly string[] {
    return this.#machine?.commands ?? [];
  }

  start(): void {
    if (this.#life !== null) return;
    const { id, config, clock, random, network, checkers, note, fail } = this.#options;
    const life = new Life(clock);
    this.#life = life;
    const machine = new ListMachine(id, checkers, note);
    const node = new RaftNode(
      { id, ...config },
      {
        clock: life.clock,
        storage: this.disk.open(),
        transport: network.transport(id),
        machine,
        random: () => random.next(),
        log: SILENT,
        onFatal: fail,
      },
    );
    this.#machine = machine;
    this.node = node;
    note(`start ${id}`);
    node.onChange((state) => this.#changed(state));
    node.onMembership((configuration) => {
      note(`membership ${id} ${JSON.stringify(configuration)}`);
      checkers.membership(id, configuration);
    });
    node.start().then(() => {
      if (this.#life === life) this.isRotten = false;
    }, fail);
  }

  /** kill -9, or the power: nothing is said, nothing more is written. */
  kill(): void {
    if (this.#life === null) return;
    this.#options.note(`kill ${this.id}`);
    this.#life.end();
    this.#life = null;
    this.node = null;
    this.#options.network.kill(this.id);
    this.disk.crash();
    if (this.#options.forgetful) this.disk.forget(this.#options.random.int(0, 5));
  }

  pause(): void {
    if (this.#life !== null) this.#life.paused = true;
  }

  resume(): void {
    this.#life?.resume();
  }

  arrive(run: () => void): void {
    this.#life?.arrive(run);
  }

  #clockOfLife(): Clock {
    return this.#life?.clock ?? this.#options.clock;
  }

  #changed(state: SoftState): void {
    this.#options.note(`${state.role} ${this.id} term ${state.term} leader ${state.leader}`);
    if (state.role !== "leader") return;
    const hadNoRoom = this.disk.full || this.node?.status().diskFull === true;
    this.#options.checkers.elected(this.id, state.term, this.disk, hadNoRoom);
  }
}
