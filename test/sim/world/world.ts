/**
 * A whole cluster's life in one seed: production's raft, store, replica, registry, engine and agent on a virtual clock, network, disks
 * and systemd, with clients, operators, faults, and checkers outside.
 *
 * Idea. 20 s of faults, then calm: the cluster has 16 s to elect, to catch up, to put its units right and to answer for everything it
 * said. One synchronous call; the same seed gives the same trace, whose hash stands for the whole run.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import type { Membership, NodeId, RaftNodeConfig } from "#raft";
import type { MachineProbe } from "../../../src/engine/index.ts";
import type { ReplicaConfig } from "../../../src/replica/index.ts";
import { RaftNetwork } from "../../fakes/raft-network.ts";
import { machineId } from "../../fakes/registry-world.ts";
import type { Life } from "../life.ts";
import { SeededRandom } from "../random.ts";
import { Violation } from "../violation.ts";
import { VirtualTime } from "../virtual-time.ts";
import { SimulatedCalls } from "./calls.ts";
import { Clients } from "./clients.ts";
import { Faults } from "./faults.ts";
import { Host } from "./host.ts";
import { Observer } from "./observer.ts";
import { Operators } from "./operators.ts";
import { settle } from "./settle.ts";
import { Holders, Watchers } from "./watchers.ts";
import { drawWeather, type FaultKind, type Weather } from "./weather.ts";

const FAULTS_MS = 20_000;
/** What is forgotten shows: a lease (5 s), an election, a machine that is dead (lease, probes, grace). */
const CALM_MS = 12_000;
const QUIET_MS = 4_000;
const CHECK_EVERY_MS = 1_000;
const NOBODY: Membership = { voters: [], learners: [] };
export const SEED_MS = FAULTS_MS + CALM_MS + QUIET_MS;

export interface WorldResult {
  readonly seed: number;
  readonly size: number;
  /** Of everything that was sent, applied, answered and decided, with its moment. */
  readonly traceHash: number;
  readonly violation: Error | null;
  /** Which kinds this seed turned on, and how often each struck. */
  readonly drawn: ReadonlySet<FaultKind>;
  readonly faults: ReadonlyMap<FaultKind, number>;
  readonly counts: Readonly<Record<string, number>>;
}

export type OnLine = (atMs: number, line: string) => void;

export interface WorldOptions {
  /** Sees each line of the trace. */
  readonly onLine?: OnLine | undefined;
  readonly without?: ReadonlySet<FaultKind>;
  /** Only what production itself raises an alarm about counts, not what the checkers outside see. */
  readonly isBlind?: boolean;
}

export function simulateWorld(seed: number, options: WorldOptions = {}): WorldResult {
  return new World(seed, options).run();
}

/** Whether production notices by itself that its members have parted. */
export function simulateBlindly(seed: number): WorldResult {
  return new World(seed, { isBlind: true }).run();
}

export class World {
  readonly time = new VirtualTime();
  readonly hosts: Host[] = [];
  readonly observer: Observer;
  readonly #seed: number;
  readonly #weather: Weather;
  readonly #faults: Faults;
  readonly #clients: Clients;
  readonly watchers: Watchers;
  readonly holders: Holders;
  readonly #operators: Operators;
  readonly #network: RaftNetwork;
  readonly #onLine: OnLine | undefined;
  readonly #isBlind: boolean;
  #hash = 0;
  #messages = 0;
  #violation: Error | null = null;

  constructor(seed: number, { onLine, without = new Set(), isBlind = false }: WorldOptions = {}) {
    this.#seed = seed;
    this.#isBlind = isBlind;
    this.#onLine = onLine;
    const random = new SeededRandom(seed);
    const { time, hosts } = this;
    const note = (line: string) => this.#note(line);
    const fail = (error: Error) => this.#fail(error);
    this.#weather = drawWeather(random, without);
    this.observer = new Observer({ time, skew: this.#weather.skew, note, fail });
    this.#network = this.#makeNetwork();
    this.#faults = new Faults({
      random: random.fork(),
      time,
      weather: this.#weather,
      hosts,
      reset: (id, delayMs) => this.#network.reset(id, delayMs),
      hurry: () => this.#operators.hurry(),
      note,
    });
    const common = { time, hosts, note, fail, observer: this.observer };
    this.#clients = new Clients({ ...common, random: random.fork() });
    this.watchers = new Watchers({ ...common, random: random.fork() });
    this.holders = new Holders({ ...common, random: random.fork() });
    this.#operators = new Operators({ ...common, random: random.fork() });
    this.#makeHosts(random);
  }

  run(): WorldResult {
    const actors = [this.#clients, this.watchers, this.holders, this.#operators, this.#faults];
    for (const host of this.hosts) host.start();
    for (const actor of actors) actor.begin();
    this.#runTo(FAULTS_MS);
    this.#faults.end();
    this.#operators.end();
    this.#runTo(FAULTS_MS + CALM_MS / 2);
    const before = this.#clients.counts.done;
    this.holders.end();
    this.#runTo(FAULTS_MS + CALM_MS);
    this.#guard(() => {
      if (this.#clients.counts.done <= before) throw new Violation("liveness", "nothing is done in calm times");
    });
    this.#clients.end();
    this.#runTo(SEED_MS);
    this.#guard(() => this.#clients.check());
    this.#guard(() => settle(this));
    const { elections, restores, orders, truth, leases, fences, configurations } = this.observer;
    return {
      seed: this.#seed,
      size: this.hosts.length,
      traceHash: this.#hash,
      violation: this.#violation,
      drawn: this.#weather.on,
      faults: this.#faults.counts,
      counts: {
        ...this.#clients.counts,
        revisions: truth.revision,
        messages: this.#messages,
        elections,
        restores,
        orders,
        configurations,
        expired: leases.expired,
        fencedStarts: fences.starts,
        compactedWatches: this.watchers.compactions,
        unitOrders: this.#operators.counts.done,
      },
    };
  }

  #makeNetwork(): RaftNetwork {
    return new RaftNetwork({
      clock: this.time,
      plan: (from, to) => this.#faults.plan(from, to),
      deliver: (to, run) => this.hosts.find((host) => host.id === to)?.arrive(run),
      onSend: (message, bytes) => {
        this.#messages += 1;
        this.#hash = mixed(this.#hash, bytes);
        if (this.#onLine !== undefined) this.#note(`send ${JSON.stringify(message)}`);
        this.observer.sent(message);
      },
    });
  }

  #makeHosts(random: SeededRandom): void {
    const size = random.pick([3, 3, 3, 5]);
    const ids = Array.from({ length: size + this.#weather.newcomers }, (_, at) => at + 1);
    const addresses = new Map(ids.map((id) => [id, `10.0.0.${id}:2380`]));
    const raftConfig = drawRaft(random, ids.slice(0, size));
    const replicaConfig = drawReplica(random);
    const { time, observer, hosts } = this;
    observer.configured(0, { index: 0, membership: raftConfig.membership });
    const at = (address: string) => hosts.find((host) => host.address === address);
    const plan = (from: NodeId, to: NodeId) => this.#faults.plan(from, to);
    for (const id of ids) {
      const chance = random.fork();
      const disk = random.fork();
      const isNewcomer = id > size;
      const host = new Host({
        id,
        isNewcomer,
        time,
        random: () => disk.next(),
        diskDelayMs: () => this.#faults.diskDelayMs(),
        clockRate: () => this.#faults.clockRate(),
        onJump: (ms) => observer.jumped(ms),
        onUnit: (name, active) => observer.unitChanged(id, name, active),
        onPowerOff: () => observer.fences.poweredOff(id),
        daemon: {
          network: this.#network,
          raftConfig: isNewcomer ? { ...raftConfig, membership: NOBODY } : raftConfig,
          replicaConfig,
          addresses,
          random: () => chance.next(),
          calls: (from: NodeId, life: Life) => new SimulatedCalls({ from, life, time, host: at, plan }),
          probe: (from: NodeId, life: Life) => this.#probe(from, life),
          observer,
        },
        kill: (victim) => this.#network.kill(victim),
        note: (line) => this.#note(line),
      });
      hosts.push(host);
    }
  }

  /** A host's kernel answers as long as it has power and the links carry. */
  #probe(from: NodeId, life: Life): MachineProbe {
    const ask = (
      asker: NodeId | undefined,
      host: Host | undefined,
      signal: AbortSignal,
    ): Promise<"alive" | "silent"> => {
      const isHeard =
        host?.isPowered === true &&
        asker !== undefined &&
        (asker === host.id || this.#faults.connected(asker, host.id)) &&
        (asker === from || this.#faults.connected(from, asker));
      return new Promise((resolve) => {
        if (isHeard) this.time.after(1, () => life.arrive(() => resolve("alive")));
        signal.addEventListener("abort", () => resolve("silent"), { once: true });
        if (signal.aborted) resolve("silent");
      });
    };
    const byAddress = (address: string) => this.hosts.find((host) => host.address === address);
    return {
      probe: (address, signal) => ask(from, byAddress(address), signal),
      probeFrom: ({ witness, machineId: id }, signal) => {
        const host = this.hosts.find((one) => machineId(one.id) === id);
        const asker = byAddress(witness);
        return ask(asker?.isRunning === true ? asker.id : undefined, host, signal);
      },
    };
  }

  #runTo(endMs: number): void {
    while (this.#violation === null && this.time.now() < endMs) {
      this.#guard(() => this.time.runUntil(Math.min(endMs, this.time.now() + CHECK_EVERY_MS)));
      this.#guard(() => {
        for (const { id, disk } of this.hosts) this.observer.raft.disk(id, disk);
      });
    }
  }

  #note(line: string): void {
    this.#hash = crc32(`${this.time.now()} ${line}`, this.#hash);
    this.#onLine?.(this.time.now(), line);
  }

  #guard(act: () => void): void {
    if (this.#violation !== null) return;
    try {
      act();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #fail(error: Error): void {
    if (this.#violation !== null) return;
    const isAlarm = error instanceof Violation && error.promise === "alarm";
    if (this.#isBlind && !isAlarm) return;
    this.#violation = error;
    this.time.halt();
    this.#note(`violation ${error.message}`);
  }
}

/** A message stands for itself with its checksum. */
function mixed(hash: number, message: Uint8Array): number {
  let mixed = hash;
  for (let at = 0; at < 6; at++) mixed = (Math.imul(mixed, 31) + (message[at] ?? 0)) >>> 0;
  return mixed;
}

/** Small limits, so that what takes hours in production happens in seconds. */
function drawRaft(random: SeededRandom, voters: readonly NodeId[]): Omit<RaftNodeConfig, "id"> {
  const snapshotLogEntries = random.int(20, 200);
  return {
    membership: { voters, learners: [] },
    tickMs: 100,
    heartbeatMs: 100,
    electionTimeoutMs: 1000,
    electionJitterMs: random.pick([300, 300, 1000]),
    snapshotLogEntries,
    trailingEntries: random.int(0, snapshotLogEntries >> 1),
    maxAppendBytes: random.pick([200, 4000, 1 << 20]),
    maxInflightMessages: random.pick([1, 4, 64]),
    maxInflightBytes: random.pick([1000, 1 << 20]),
    maxUncommittedBytes: random.pick([4000, 1 << 20]),
    maxCommittedBytes: random.pick([500, 1 << 20]),
  };
}

function drawReplica(random: SeededRandom): Partial<ReplicaConfig> {
  return { keepRevisions: random.pick([5, 15, 60, 10_000]) };
}
