/**
 * The replicated store's member in this daemon: disk, raft, transport, calls, Kv, put together and taken apart in order.
 *
 * Idea. Everything below the Kv port is made here, so that the rest of the daemon sees one Kv and a word on who leads.
 *
 * Invariants.
 * - The peer port opens only when raft has its disk: nobody is answered from a half-read log.
 * - Closing goes the other way round: no new input, then raft, then the disk.
 *
 * @module
 */
import { join } from "node:path";
import { DamagedLogError, type LogStorage, NO_NODE, RaftNode, type Transport } from "#raft";
import { openSqliteLog, TcpTransport } from "#raft/adapters";
import type { CallHandler } from "../lib/calls.ts";
import { type ClusterLevel, FIRST_LEVEL } from "../lib/format.ts";
import type { Log } from "../lib/log.ts";
import type { Metrics } from "../lib/metrics.ts";
import { CallsClient } from "../platform/calls-client.ts";
import { CallsServer } from "../platform/calls-server.ts";
import { systemClock } from "../platform/clock.ts";
import { dialPeer, PeerListener } from "../platform/peer-listener.ts";
import { randomFloat } from "../platform/random.ts";
import type { EngineTerm } from "../registry/index.ts";
import { type ClusterMembers, ReplicaKv, replicaHandlers, StoreMachine } from "../replica/index.ts";
import { measureReplica } from "./metrics.ts";
import type { PeerPlace } from "./place.ts";
import { takeRaftOffice } from "./raft-office.ts";
import { StartError, whileStarting } from "./start-error.ts";
import type { Candidate, DaemonStore } from "./store.ts";

export interface StoreMemberOptions {
  readonly dataDir: string;
  readonly clusterId: string;
  /** null: a cluster of one. */
  readonly members: ClusterMembers | null;
  /** Where the other members reach this one; null in a cluster of one. */
  readonly peer: PeerPlace | null;
  readonly log: Log;
  readonly onFatal: (error: Error) => void;
}

/** The only node of a cluster of one. */
const SOLE_NODE = 1;

/** A cluster of one sends nothing to nobody. */
const NO_TRANSPORT: Transport = {
  start: () => Promise.resolve(),
  send() {},
  sendSnapshot: (to) => Promise.reject(new Error(`Sending a snapshot to node ${to} failed: this is a cluster of one`)),
  stop: () => Promise.resolve(),
};

export class StoreMember implements DaemonStore {
  readonly raft: RaftNode;
  readonly kv: ReplicaKv;
  readonly calls: CallsClient;
  /** What raft applies to; to be read, never written. */
  readonly machine = new StoreMachine();
  readonly #options: StoreMemberOptions;
  readonly #storage: LogStorage;
  readonly #transport: TcpTransport | null;
  #listener: PeerListener | null = null;
  #clusterLevel: () => ClusterLevel = () => ({ level: FIRST_LEVEL, because: "this daemon, which has not started yet" });

  private constructor(options: StoreMemberOptions, storage: LogStorage) {
    this.#options = options;
    this.#storage = storage;
    const { clusterId, log } = options;
    const self = options.members?.selfId ?? SOLE_NODE;
    const members = options.members?.members ?? new Map<number, string>();
    this.#transport =
      options.members === null
        ? null
        : new TcpTransport({
            self,
            clusterId,
            peers: othersOf(members, self),
            dial: dialPeer,
            clock: systemClock,
            log,
          });
    const { machine } = this;
    this.raft = new RaftNode(
      { id: self, membership: { voters: options.members === null ? [SOLE_NODE] : [...members.keys()], learners: [] } },
      {
        clock: systemClock,
        storage,
        transport: this.#transport ?? NO_TRANSPORT,
        machine,
        random: randomFloat,
        log,
        onFatal: options.onFatal,
      },
    );
    this.calls = new CallsClient({ clusterId, dial: dialPeer });
    this.kv = new ReplicaKv({
      raft: this.raft,
      machine,
      calls: this.calls,
      members,
      clock: systemClock,
      log,
      clusterLevel: () => this.#clusterLevel(),
      onHopeless: options.onFatal,
    });
  }

  /** Opens the disk; nothing runs yet. */
  static async open(options: StoreMemberOptions): Promise<StoreMember> {
    const storage = await openSqliteLog({
      path: join(options.dataDir, "raft.db"),
      clusterId: options.clusterId,
      nodeId: options.members?.selfId ?? SOLE_NODE,
    });
    return new StoreMember(options, storage);
  }

  get voters(): readonly string[] {
    return [...(this.#options.members?.members.values() ?? [])];
  }

  /** @param handlers Other rooms' methods on the peer port. */
  async start(handlers: ReadonlyMap<string, CallHandler>, clusterLevel: () => ClusterLevel): Promise<void> {
    const { peer, clusterId, log } = this.#options;
    this.#clusterLevel = clusterLevel;
    await this.#startRaft();
    const transport = this.#transport;
    if (peer === null || transport === null) return;
    const server = new CallsServer({ clusterId, handlers: new Map([...replicaHandlers(this.kv), ...handlers]), log });
    const listener = new PeerListener({
      address: peer.listen,
      raft: (socket, head) => transport.accept(socket, head),
      calls: (socket, head) => server.accept(socket, head),
      log,
    });
    await whileStarting(
      `Listening for peers on ${peer.listen}`,
      "check public_ip and listen_peer, and whether another daemon has the port",
      () => listener.listen(),
    );
    this.#listener = listener;
    log.info("Listening for peers", { address: peer.listen, cluster: clusterId });
  }

  async #startRaft(): Promise<void> {
    const { dataDir } = this.#options;
    try {
      await this.raft.start();
    } catch (error) {
      if (!(error instanceof DamagedLogError)) throw error;
      const why = `${error.message}. Units that run go on running`;
      throw new StartError(`Starting with the data directory "${dataDir}" failed: ${why}`, { cause: error });
    }
  }

  get lastTickAt(): number {
    return this.raft.turning.lastTickAt;
  }

  /** Raft's leader is the engine, unless it knows that it decides by wrong data. */
  get mayLead(): boolean {
    return this.raft.role === "leader" && this.kv.health.trust.reason === null;
  }

  onMayLead(listener: () => void): void {
    this.raft.onChange(listener);
    this.kv.health.trust.onChange(listener);
  }

  /** Whoever had the key is refused from then on; raft says when it is another's turn. */
  takeOffice(candidate: Candidate): Promise<EngineTerm> {
    return takeRaftOffice(candidate);
  }

  mayBeLedBy(address: string): boolean {
    if (this.raft.leader === 0) return false;
    const { members } = this.#options;
    return members === null || members.members.get(this.raft.leader) === address;
  }

  get trouble(): string | null {
    const { reason } = this.kv.health.trust;
    if (reason !== null) return `This member's data is wrong and is being rebuilt from another one: ${reason}`;
    if (this.raft.leader !== 0) return null;
    return "No quorum: the cluster has no leader, too few of initial_cluster's members are reachable";
  }

  get alarms(): readonly string[] {
    const { alarm } = this.kv.health.check;
    return alarm === null ? [] : [alarm];
  }

  measure(metrics: Metrics): void {
    measureReplica(metrics, this, this.#options.members?.members ?? new Map());
  }

  /** Hands raft's leadership to another member, when this one has it: the others need not wait for an election timeout. */
  async handOver(): Promise<void> {
    if (this.raft.role !== "leader") return;
    const { log, members } = this.#options;
    const beginMs = systemClock.now();
    const heir = await this.raft.handOver();
    if (heir === NO_NODE) return;
    const tookMs = Math.round(systemClock.now() - beginMs);
    log.notice("Handed the store's leadership over", { to: members?.members.get(heir) ?? "", tookMs });
  }

  async stop(): Promise<void> {
    this.calls.close();
    this.kv.close();
    await this.raft.stop();
    await this.#listener?.close();
    await this.#storage.close();
  }
}

function othersOf(members: ReadonlyMap<number, string>, self: number): ReadonlyMap<number, string> {
  return new Map([...members].filter(([id]) => id !== self));
}
