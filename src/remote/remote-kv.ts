/**
 * RemoteKv: the Kv port over etcd's gRPC (v3, etcd 3.4 and later).
 *
 *   range, txn, lease … ─▶ encode ─▶ session (caller.ts, servers.ts) ─▶ call ─▶ decode
 *   watch ─▶ a stream of its own on the same connection (remote-watch.ts)
 *
 * What differs from our own store, and cannot be helped:
 * - Leases have whole seconds (rounded up), and etcd raises short ones to one and a half of its election timeouts.
 * - What etcd's users may not do ends with `unavailable` and etcd's words: it is the operator's to mend.
 *
 * Not here. Which calls are repeated, and which never (caller.ts).
 *
 * @module
 */
import { KV, Lease as LeaseService } from "../etcd-proto/etcd_pb.ts";
import type { Clock } from "../lib/clock.ts";
import {
  type CallOptions,
  type KeyRange,
  type Kv,
  KvError,
  type Lease,
  type LeaseId,
  type LeaseStatus,
  type RangeRequest,
  type RangeResponse,
  type ReadOptions,
  type Revision,
  type TxnRequest,
  type TxnResponse,
  txnWrites,
  type Watch,
  type WatchRequest,
} from "../store/kv.ts";
import { Caller } from "./caller.ts";
import { Decoder, toNumber } from "./decode.ts";
import { probeOf, rangeMessage, txnMessage } from "./encode.ts";
import { LeaseIds, randomLeaseId } from "./lease-ids.ts";
import { Login } from "./login.ts";
import type { RemoteKvOptions, ServerAddress } from "./options.ts";
import { RemoteWatch, type WatchHost } from "./remote-watch.ts";
import { Servers } from "./servers.ts";
import { formatClusterId } from "./session.ts";

/** How it stands with the servers; for readiness, status and metrics. */
export interface RemoteState {
  readonly connected: boolean;
  /** The server in use, or null. */
  readonly server: string | null;
  /** Of the server in use. */
  readonly version: string | null;
  /** Why there is no connection, in words; null when there is one. */
  readonly reason: string | null;
}

const SECOND_MS = 1_000;

export class RemoteKv implements Kv {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #servers: Servers;
  readonly #caller: Caller;
  readonly #watchHost: WatchHost;
  readonly #leaseIds = new LeaseIds();
  readonly #decoder = new Decoder(this.#leaseIds);
  readonly #watches = new Set<RemoteWatch>();
  readonly #listeners = new Set<() => void>();

  /** @param addresses The options' servers, checked (options.ts). Begins to look for one at once. */
  constructor(options: RemoteKvOptions, addresses: readonly ServerAddress[]) {
    const { clock, log, username, password = "" } = options;
    const timeoutMs = options.requestTimeoutMs;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    const login = new Login(username === undefined ? undefined : { username, password }, log);
    const onChange = () => {
      for (const listener of this.#listeners) listener();
    };
    const servers = new Servers({ addresses, tls: options.tls ?? {}, login, clock, log, onChange });
    const caller = new Caller({ servers, login, clock, timeoutMs });
    this.#servers = servers;
    this.#caller = caller;
    this.#watchHost = {
      clock,
      decoder: this.#decoder,
      timeoutMs,
      acquire: (patience) => servers.acquire(patience),
      metadata: () => caller.metadata(),
      distrust: (session, reason) => servers.distrust(session, reason),
      renewToken: async (session, refused) => {
        if (login.isNeeded) await login.ensure(session.connection, refused);
        return login.isNeeded;
      },
      release: (watch) => void this.#watches.delete(watch),
    };
    servers.start();
  }

  get state(): RemoteState {
    const { session, reason } = this.#servers;
    if (session === null) return { connected: false, server: null, version: null, reason };
    return { connected: true, server: session.connection.url, version: session.version, reason: null };
  }
  /** Called with each change of `state`; returns what ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** etcd's id of the cluster, as hex: the same from each of its servers, for all its life. */
  async clusterId(options: CallOptions = {}): Promise<string> {
    const call = { action: "Cluster id", writes: false };
    return this.#caller.run(call, options, async ({ clusterId }) => formatClusterId(clusterId));
  }

  async range(request: RangeRequest, options: ReadOptions = {}): Promise<RangeResponse> {
    const { serializable = false } = options;
    const call = { action: "Range", writes: false, serializable };
    return this.#withFloor(request, options, async () =>
      this.#decoder.range(await this.#caller.ask(call, KV.method.range, rangeMessage(request, serializable), options)),
    );
  }

  async txn(request: TxnRequest, options: ReadOptions = {}): Promise<TxnResponse> {
    const writes = txnWrites(request);
    const serializable = !writes && options.serializable === true;
    const probe = serializable ? undefined : probeOf(request);
    const whole = probe === undefined ? request : { ...request, success: [probe], failure: [probe] };
    const message = txnMessage(whole, serializable, this.#leaseIds);
    const call = { action: "Transaction", writes, serializable };
    return this.#withFloor(firstRange(request), options, async () => {
      const answer = this.#decoder.txn(await this.#caller.ask(call, KV.method.txn, message, options));
      return probe === undefined ? answer : { ...answer, results: [] };
    });
  }

  async leaseGrant(
    { ttlMs, id = 0 }: { readonly ttlMs: number; readonly id?: LeaseId },
    options: CallOptions = {},
  ): Promise<Lease> {
    const call = { action: "Lease grant", writes: true };
    // etcd takes these for its smallest lease.
    if (!(ttlMs > 0)) throw new KvError("lease-ttl-invalid", `Lease grant failed: ${ttlMs} ms is no time to live`);
    const TTL = BigInt(Math.ceil(Math.min(ttlMs / SECOND_MS, Number.MAX_SAFE_INTEGER)));
    for (;;) {
      const ID = BigInt(id || randomLeaseId());
      try {
        const lease = await this.#caller.ask(call, LeaseService.method.leaseGrant, { TTL, ID }, options);
        return { id: this.#leaseIds.fromWire(lease.ID), ttlMs: toNumber(lease.TTL) * SECOND_MS };
      } catch (error) {
        // Chance hit somebody's lease: nothing was done.
        if (id === 0 && error instanceof KvError && error.code === "lease-exists") continue;
        throw error;
      }
    }
  }

  async leaseRevoke(id: LeaseId, options: CallOptions = {}): Promise<void> {
    const action = "Lease revoke";
    const ID = this.#leaseIds.toWire(action, id);
    await this.#caller.ask({ action, writes: true }, LeaseService.method.leaseRevoke, { ID }, options);
  }

  async leaseKeepAlive(id: LeaseId, options: CallOptions = {}): Promise<Lease> {
    const action = "Lease keep-alive";
    const ID = this.#leaseIds.toWire(action, id);
    // Asked twice it does the same: no write in the caller's sense.
    const lease = await this.#caller.ask(
      { action, writes: false },
      LeaseService.method.leaseKeepAlive,
      { ID },
      options,
    );
    if (lease.TTL <= 0n) throw new KvError("lease-not-found", `${action} failed: lease ${id} does not exist`);
    return { id, ttlMs: toNumber(lease.TTL) * SECOND_MS };
  }

  async leaseStatus(id: LeaseId, options: CallOptions = {}): Promise<LeaseStatus> {
    const action = "Lease status";
    const ID = this.#leaseIds.toWire(action, id);
    const { leaseTimeToLive } = LeaseService.method;
    const status = await this.#caller.ask({ action, writes: false }, leaseTimeToLive, { ID, keys: true }, options);
    if (status.TTL < 0n) return { id, ttlMs: 0, remainingMs: -1, keys: [] };
    return {
      id,
      ttlMs: toNumber(status.grantedTTL) * SECOND_MS,
      remainingMs: toNumber(status.TTL) * SECOND_MS,
      keys: status.keys.map((key) => key.slice()),
    };
  }

  async leases(options: ReadOptions = {}): Promise<readonly LeaseId[]> {
    const { serializable = false } = options;
    const call = { action: "Lease list", writes: false, serializable };
    // A member lists what it has applied: a read that it must confirm first brings it up to date.
    if (!serializable) {
      const confirm = rangeMessage({ key: new Uint8Array([0]), countOnly: true }, false);
      await this.#caller.ask(call, KV.method.range, confirm, options);
    }
    const { leases } = await this.#caller.ask(call, LeaseService.method.leaseLeases, {}, options);
    return leases.map(({ ID }) => this.#leaseIds.fromWire(ID));
  }

  watch(request: WatchRequest): Watch {
    const watch = new RemoteWatch(request, this.#watchHost);
    if (this.#caller.isClosed) {
      watch.abandon();
      return watch;
    }
    this.#watches.add(watch);
    void watch.start();
    return watch;
  }

  async compact(revision: Revision, options: CallOptions = {}): Promise<void> {
    const call = { action: "Compaction", writes: true };
    await this.#caller.ask(call, KV.method.compact, { revision: BigInt(revision) }, options);
  }

  /** Ends calls and watches (`closed`) and the connection. */
  async close(): Promise<void> {
    this.#caller.close();
    for (const watch of [...this.#watches]) watch.abandon();
    await this.#servers.close();
  }

  /**
   * etcd does not say what is left when something was compacted away, except to a watch: so one is asked.
   *
   * @param range What the call read; undefined: it read nothing.
   */
  async #withFloor<T>(range: KeyRange | undefined, options: CallOptions, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof KvError) || error.code !== "compacted" || range === undefined) throw error;
      const watch = this.watch({ key: range.key, startRevision: 1 });
      const cancel = () => watch.close();
      const late = this.#clock.after(options.timeoutMs ?? this.#timeoutMs, cancel);
      options.signal?.addEventListener("abort", cancel);
      try {
        for await (const _ of watch) break;
      } catch (found) {
        if (!(found instanceof KvError)) throw found;
        throw new KvError("compacted", error.message, found.compactRevision);
      } finally {
        late.cancel();
        options.signal?.removeEventListener("abort", cancel);
      }
      throw error;
    }
  }
}

/** The first range that a transaction may read. */
function firstRange({ success, failure }: TxnRequest): KeyRange | undefined {
  for (const op of [...success, ...failure]) {
    if (op.op === "range") return op;
    const inner = op.op === "txn" ? firstRange(op) : undefined;
    if (inner !== undefined) return inner;
  }
  return undefined;
}
