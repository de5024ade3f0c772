/**
 * A raft cluster's life in one seed: production's RaftNode on a virtual clock, network and disk, with faults and checkers.
 *
 * Idea. 20 s of faults, then calm: the cluster has 8 s to elect and to catch up, 1 s to show that it goes on, and 6 s to answer for everything
 * that it was asked.
 * One synchronous call; the same seed gives the same trace, whose hash stands for the whole run.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import type { Membership, NodeId, RaftNodeConfig } from "#raft";
import { RaftNetwork } from "../../fakes/raft-network.ts";
import { SeededRandom } from "../random.ts";
import { VirtualTime } from "../virtual-time.ts";
import { Checkers, Violation } from "./checkers.ts";
import { Clients } from "./clients.ts";
import { drawWeather, Faults } from "./faults.ts";
import { Member } from "./member.ts";
import { Rot } from "./rot.ts";

const FAULTS_MS = 20_000;
const CALM_MS = 10_000;
/** A seed's life. */
export const SEED_MS = FAULTS_MS + CALM_MS * 1.5;
const CHECK_EVERY_MS = 500;
/** In so many seeds the membership changes all the time, and these nodes wait to be taken in. */
const CHANGING_CHANCE = 0.5;
const NEWCOMERS: readonly NodeId[] = [11, 12, 13];
const LEARNERS: readonly (readonly NodeId[])[] = [[], [], [], [9], [8, 9]];
const NOBODY: Membership = { voters: [], learners: [] };

export interface SimulationResult {
  readonly seed: number;
  readonly size: number;
  /** Of everything that was sent, applied, answered and decided, with its moment. */
  readonly traceHash: number;
  readonly violation: Error | null;
  readonly counts: Readonly<Record<string, number>>;
}

export interface SimulationOptions {
  /** Sees each line of the trace. */
  readonly onLine?: (atMs: number, line: string) => void;
  /** Disks lose synced entries in a crash: the simulation has to notice, or it proves nothing. */
  readonly forgetfulDisks?: boolean;
}

export function simulate(seed: number, options: SimulationOptions = {}): SimulationResult {
  const simulation = new Simulation(seed, options);
  return simulation.run();
}

class Simulation {
  readonly #seed: number;
  readonly #time = new VirtualTime();
  readonly #members: Member[] = [];
  readonly #checkers = new Checkers();
  readonly #clients: Clients;
  readonly #faults: Faults;
  readonly #rot: Rot;
  readonly #onLine: SimulationOptions["onLine"];
  readonly #voters: number;
  #hash = 0;
  #messages = 0;
  #elections = 0;
  #restores = 0;
  #changes = 0;
  #damages = 0;
  #violation: Error | null = null;

  constructor(seed: number, options: SimulationOptions) {
    this.#seed = seed;
    this.#onLine = options.onLine;
    const random = new SeededRandom(seed);
    const time = this.#time;
    const members = this.#members;
    const note = (line: string) => this.#note(line);
    const fail = (error: Error) => this.#fail(error);
    const network = new RaftNetwork({
      clock: time,
      plan: (from, to, message) => this.#faults.plan(from, to, message),
      deliver: (to, run) => members.find((member) => member.id === to)?.arrive(run),
      onSend: (message, bytes) => {
        this.#messages += 1;
        this.#hash = crc32(bytes, this.#hash);
        if (this.#onLine !== undefined) note(`send ${JSON.stringify(message)}`);
        this.#guard(() => this.#checkers.sent(message));
      },
    });
    const reset = (id: number, delayMs: number) => network.reset(id, delayMs);
    const weather = drawWeather(random);
    this.#faults = new Faults({ random: random.fork(), time, weather, members, reset, note });
    this.#rot = new Rot({ seed, time, members, note });
    this.#clients = new Clients({ random: random.fork(), time, members, checkers: this.#checkers, note, fail });
    const drawn = drawConfig(random);
    // Old entries are seen to arrive alone only where they do not share a message with new ones.
    const config = weather.isBarren ? { ...drawn, maxAppendBytes: 50 } : drawn;
    this.#voters = config.membership.voters.length;
    const newcomers = random.chance(CHANGING_CHANCE) ? NEWCOMERS : [];
    const founders = [...config.membership.voters, ...config.membership.learners];
    this.#checkers.membership(0, { index: 0, membership: config.membership });
    this.#faults.changing = newcomers.length > 0;
    for (const id of [...founders, ...newcomers]) {
      members.push(
        new Member({
          id,
          config: founders.includes(id) ? config : { ...config, membership: NOBODY },
          clock: time,
          random: random.fork(),
          network,
          checkers: this.#checkers,
          diskDelayMs: () => this.#faults.diskDelayMs(),
          forgetful: options.forgetfulDisks ?? false,
          note,
          fail,
        }),
      );
    }
  }

  run(): SimulationResult {
    for (const member of this.#members) member.start();
    this.#faults.begin();
    this.#rot.begin();
    this.#clients.begin();
    this.#runTo(FAULTS_MS);
    this.#rot.end();
    this.#faults.end();
    this.#runTo(FAULTS_MS + CALM_MS * 0.8);
    const before = this.#clients.counts.done;
    const electionsBefore = this.#elections;
    this.#runTo(FAULTS_MS + CALM_MS * 0.9);
    this.#guard(() => this.#expectProgress(before, electionsBefore));
    this.#clients.end();
    this.#runTo(SEED_MS);
    this.#guard(() => this.#clients.settle(this.#membership()));
    this.#guard(() => this.#expectWhole());
    this.#guard(() => this.#expectOneMembership());
    return {
      seed: this.#seed,
      size: this.#voters,
      traceHash: this.#hash,
      violation: this.#violation,
      counts: {
        ...this.#clients.counts,
        messages: this.#messages,
        leaders: this.#elections,
        restores: this.#restores,
        changes: this.#changes,
        damages: this.#damages,
      },
    };
  }

  #runTo(endMs: number): void {
    while (this.#violation === null && this.#time.now() < endMs) {
      this.#guard(() => this.#time.runUntil(Math.min(endMs, this.#time.now() + CHECK_EVERY_MS)));
      this.#guard(() => {
        for (const member of this.#members) this.#checkers.disk(member.id, member.disk);
      });
    }
  }

  #expectProgress(doneBefore: number, electionsBefore: number): void {
    if (this.#violation !== null) return;
    const leaders = this.#members.filter((member) => member.node?.role === "leader");
    if (leaders.length !== 1) throw new Violation(`liveness: ${leaders.length} nodes lead in calm times`);
    const [leader] = leaders;
    const { membership } = leader?.node?.status() ?? { membership: NOBODY };
    if (membership.outgoing !== undefined)
      throw new Violation("liveness: a joint membership is in force in calm times");
    if (leader !== undefined && !membership.voters.includes(leader.id)) {
      throw new Violation(`membership: node ${leader.id} leads in calm times and is no voter`);
    }
    if (this.#elections > electionsBefore) throw new Violation("disturbance: leaders change in calm times");
    if (this.#clients.counts.done <= doneBefore) throw new Violation("liveness: nothing is acknowledged in calm times");
  }

  #expectWhole(): void {
    const taking = this.#membership();
    const sick = this.#members.find((member) => taking.includes(member.id) && member.isSick);
    if (sick !== undefined) throw new Violation(`liveness: node ${sick.id} still recovers after calm times`);
  }

  /** Those who take part agree on who does. */
  #expectOneMembership(): void {
    const taking = this.#membership();
    const known = this.#members.filter(({ id }) => taking.includes(id)).map(({ node }) => node?.status().membership);
    const texts = new Set(known.map((membership) => JSON.stringify(membership)));
    if (texts.size > 1) throw new Violation(`membership: in the end some know ${[...texts].join(", others ")}`);
  }

  /** In force at the end: what whoever leads has applied. */
  #membership(): readonly NodeId[] {
    const leader = this.#members.find((member) => member.node?.role === "leader");
    const { voters, learners } = leader?.node?.status().membership ?? NOBODY;
    return [...voters, ...learners];
  }

  #note(line: string): void {
    if (line.startsWith("leader ")) this.#elections += 1;
    if (line.startsWith("restore ")) this.#restores += 1;
    if (line.startsWith("membership ")) this.#changes += 1;
    if (line.startsWith("rot ")) this.#damages += 1;
    this.#hash = crc32(`${this.#time.now()} ${line}`, this.#hash);
    this.#onLine?.(this.#time.now(), line);
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
    this.#violation ??= error;
    this.#note(`violation ${error.message}`);
  }
}

/** Small limits, so that what takes hours in production happens in seconds. */
function drawConfig(random: SeededRandom): Omit<RaftNodeConfig, "id"> & Pick<RaftNodeConfig, "membership"> {
  const size = random.chance(0.5) ? 3 : 5;
  const snapshotLogEntries = random.int(10, 120);
  return {
    membership: { voters: Array.from({ length: size }, (_, i) => i + 1), learners: random.pick(LEARNERS) },
    tickMs: 100,
    heartbeatMs: 100,
    electionTimeoutMs: 1000,
    electionJitterMs: random.pick([300, 300, 1000]),
    snapshotLogEntries,
    trailingEntries: random.int(0, snapshotLogEntries >> 1),
    maxAppendBytes: random.pick([50, 400, 1 << 20]),
    maxInflightMessages: random.pick([1, 4, 64]),
    maxInflightBytes: random.pick([200, 1 << 20]),
    maxUncommittedBytes: random.pick([600, 1 << 20]),
    maxCommittedBytes: random.pick([100, 1 << 20]),
    promotionLagEntries: 20,
  };
}
