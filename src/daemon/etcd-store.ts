/**
 * Somebody's etcd as the store of this daemon: a client of it, the engine's election, and a peer port if one was asked for.
 *
 * Problem. The etcd may be away when the daemon starts, and for as long as it likes afterwards; nothing here may wait for it.
 * Idea. Everything opens at once. What needs the etcd's name, calls between daemons, begins when it has told it: the cluster is
 * the etcd's id and the key prefix, so that two fleets on one etcd do not answer each other.
 *
 * Invariants.
 * - No port is opened unless the configuration names it; a connection that comes before the cluster is known is closed.
 * - The etcd is its operator's: nothing is compacted, defragmented or changed in it but the keys below the prefix.
 *
 * Not here. gRPC, and a word in the log on whether a server is reached (remote/), which is loaded only where an etcd is the store;
 * the election (registry/election.ts).
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { FltConfig } from "../config/table.ts";
import { CallError, type CallHandler, type CallOptions, type Calls } from "../lib/calls.ts";
import type { Clock } from "../lib/clock.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import type { Metrics } from "../lib/metrics.ts";
import { pause } from "../lib/wait.ts";
import { CallsClient } from "../platform/calls-client.ts";
import { CallsServer } from "../platform/calls-server.ts";
import { systemClock } from "../platform/clock.ts";
import { dialPeer, PeerListener } from "../platform/peer-listener.ts";
import { type EngineTerm, winElection } from "../registry/index.ts";
import { type Kv, KvError } from "../store/kv.ts";
import { readEtcdTls } from "./etcd-access.ts";
import type { PeerPlace } from "./place.ts";
import { whileStarting } from "./start-error.ts";
import type { Candidate, DaemonStore } from "./store.ts";

/** What this file needs of remote/'s client. */
export interface EtcdClient extends Kv {
  /** `reason`: why no server is reached; null when one is. */
  readonly state: { readonly connected: boolean; readonly reason: string | null };
  /** Of the etcd, in hex; rejects with KvError while none of its servers answers. */
  clusterId(): Promise<string>;
  close(): Promise<void>;
}

export interface EtcdStoreOptions {
  readonly client: EtcdClient;
  readonly servers: readonly string[];
  readonly keyPrefix: string;
  /** Where other machines reach this one; null: nowhere. */
  readonly peer: PeerPlace | null;
  readonly clock: Clock;
  readonly log: Log;
}

/** Between two tries to hear the etcd's name. */
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 1_000;

/** Fails only on what the configuration says; an etcd that is away is waited for later. */
export async function openEtcdStore(config: FltConfig, peer: PeerPlace | null, log: Log): Promise<EtcdStore> {
  // Certificates beside addresses that know no TLS are harmless, and warned of (config/together.ts).
  const isTls = config.etcdServers.some((server) => server.startsWith("https:"));
  const tls = isTls ? readEtcdTls(config) : {};
  const { etcdServers: servers, etcdUsername: username, etcdPassword: password } = config;
  const { openRemoteKv } = await import("../remote/index.ts");
  const client = await openRemoteKv({
    servers,
    tls,
    ...(username === "" ? {} : { username, password }),
    requestTimeoutMs: config.etcdRequestTimeoutMs,
    clock: systemClock,
    log,
  });
  return new EtcdStore({ client, servers, keyPrefix: config.etcdKeyPrefix, peer, clock: systemClock, log });
}

export class EtcdStore implements DaemonStore {
  /** Nobody but the election decides. */
  readonly mayLead = true;
  readonly #options: EtcdStoreOptions;
  readonly #calls = new LateCalls();
  readonly #stop = new AbortController();
  #server: CallsServer | null = null;
  #listener: PeerListener | null = null;
  #identifying: Promise<void> = Promise.resolve();

  constructor(options: EtcdStoreOptions) {
    this.#options = options;
  }

  get kv(): Kv {
    return this.#options.client;
  }
  get calls(): Calls {
    return this.#calls;
  }
  /** Nothing of the store turns in this process: whoever can ask shows that it lives. */
  get lastTickAt(): number {
    return this.#options.clock.now();
  }
  get trouble(): string | null {
    const { client, servers } = this.#options;
    const { connected, reason } = client.state;
    if (connected) return null;
    return `No server of etcd_servers (${servers.join(", ")}) answers: ${reason ?? "none was reached yet"}`;
  }

  onMayLead(): void {}

  /** The key goes with its holder's lease; who does not reach the etcd does not hear of that. */
  mayBeLedBy(): boolean {
    return this.#options.client.state.connected;
  }

  takeOffice(candidate: Candidate): Promise<EngineTerm> {
    const { clock, log } = this.#options;
    return winElection({ ...candidate, clock, log }, candidate);
  }

  measure(metrics: Metrics): void {
    const { client } = this.#options;
    metrics.read(
      { name: "flt_etcd_connected", help: "1 while one of the servers of the etcd that is the store is reached." },
      "gauge",
      () => (client.state.connected ? 1 : 0),
    );
  }

  readonly voters: readonly string[] = [];
  /** etcd has alarms of its own, for its own operator. */
  readonly alarms: readonly string[] = [];

  /** Commands are etcd's: its members know them all. */
  async start(handlers: ReadonlyMap<string, CallHandler>): Promise<void> {
    await this.#listen();
    this.#identifying = this.#identify(handlers);
  }

  async handOver(): Promise<void> {}

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#calls.close();
    await this.#options.client.close();
    await this.#identifying;
    await this.#listener?.close();
  }

  async #listen(): Promise<void> {
    const { peer, log } = this.#options;
    if (peer === null) return;
    const listener = new PeerListener({
      address: peer.listen,
      raft: (socket) => {
        log.notice("Refused a member of a replicated store: the store of this daemon is an etcd", {
          from: socket.remoteAddress ?? "",
        });
        socket.destroy();
      },
      calls: (socket, head) => {
        if (this.#server === null) socket.destroy();
        else this.#server.accept(socket, head);
      },
      log,
    });
    await whileStarting(
      `Listening for other machines on ${peer.listen}`,
      "check listen_peer and advertise_peer, and whether another program has the port: etcd's own peers use 2380",
      () => listener.listen(),
    );
    this.#listener = listener;
    log.info("Listening for other machines", { address: peer.listen });
  }

  async #identify(handlers: ReadonlyMap<string, CallHandler>): Promise<void> {
    const { client, keyPrefix, clock, log } = this.#options;
    const { signal } = this.#stop;
    let pauseMs = RETRY_MIN_MS;
    while (!signal.aborted) {
      try {
        const etcdId = await client.clusterId();
        const clusterId = clusterOf(etcdId, keyPrefix);
        this.#server = new CallsServer({ clusterId, handlers, log });
        if (!signal.aborted) this.#calls.open(clusterId);
        log.debug("The cluster is known: calls between its daemons begin", { etcd: etcdId, cluster: clusterId });
        return;
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        if (signal.aborted) return;
        log.debug("Cannot ask etcd for its name yet, trying on", { reason: reasonOf(error) });
      }
      await pause(clock, pauseMs, signal);
      pauseMs = Math.min(pauseMs * 2, RETRY_MAX_MS);
    }
  }
}

/** As long as an id derived from initial_cluster, and never the same as one. */
function clusterOf(etcdId: string, keyPrefix: string): string {
  return createHash("sha256").update(`etcd ${etcdId} ${keyPrefix}`).digest("hex").slice(0, 32);
}

/** Calls that go nowhere until the cluster is known. */
class LateCalls implements Calls {
  #client: CallsClient | null = null;

  open(clusterId: string): void {
    this.#client = new CallsClient({ clusterId, dial: dialPeer });
  }
  close(): void {
    this.#client?.close();
  }

  async call(address: string, method: string, body: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    return await this.#opened(address, method).call(address, method, body, options);
  }

  async *stream(address: string, method: string, body: Uint8Array, options?: CallOptions): AsyncGenerator<Uint8Array> {
    yield* this.#opened(address, method).stream(address, method, body, options);
  }

  #opened(address: string, method: string): CallsClient {
    if (this.#client !== null) return this.#client;
    throw new CallError("not-sent", `Calling ${method} on ${address} failed: etcd has not answered yet`);
  }
}
