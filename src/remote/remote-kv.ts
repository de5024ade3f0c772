/**
 * RemoteKv: the Kv port over etcd's gRPC (v3, etcd 3.4 and later).
 *
 * @module
 */
import {
  type CallOptions,
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
  type Watch,
  type WatchRequest,
} from "../store/kv.ts";
import type { RemoteKvOptions, ServerAddress } from "./options.ts";

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

export class RemoteKv implements Kv {
  readonly #servers: readonly ServerAddress[];

  constructor(_options: RemoteKvOptions, servers: readonly ServerAddress[]) {
    this.#servers = servers;
  }

  get state(): RemoteState {
    return { connected: false, server: null, version: null, reason: this.#unavailable("Connect").message };
  }
  /** Called with each change of `state`; returns what ends that. */
  onChange(_listener: () => void): () => void {
    return () => {};
  }
  /** etcd's id of the cluster, as hex: the same from each of its servers, for all its life. */
  clusterId(_options?: CallOptions): Promise<string> {
    return Promise.reject(this.#unavailable("Cluster id"));
  }
  range(_request: RangeRequest, _options?: ReadOptions): Promise<RangeResponse> {
    return Promise.reject(this.#unavailable("Range"));
  }
  txn(_request: TxnRequest, _options?: ReadOptions): Promise<TxnResponse> {
    return Promise.reject(this.#unavailable("Transaction"));
  }
  leaseGrant(_request: { readonly ttlMs: number; readonly id?: LeaseId }, _options?: CallOptions): Promise<Lease> {
    return Promise.reject(this.#unavailable("Lease grant"));
  }
  leaseRevoke(_id: LeaseId, _options?: CallOptions): Promise<void> {
    return Promise.reject(this.#unavailable("Lease revoke"));
  }
  leaseKeepAlive(_id: LeaseId, _options?: CallOptions): Promise<Lease> {
    return Promise.reject(this.#unavailable("Lease keep-alive"));
  }
  leaseStatus(_id: LeaseId, _options?: CallOptions): Promise<LeaseStatus> {
    return Promise.reject(this.#unavailable("Lease status"));
  }
  leases(_options?: ReadOptions): Promise<readonly LeaseId[]> {
    return Promise.reject(this.#unavailable("Lease list"));
  }
  watch(_request: WatchRequest): Watch {
    throw this.#unavailable("Watch");
  }
  compact(_revision: Revision, _options?: CallOptions): Promise<void> {
    return Promise.reject(this.#unavailable("Compaction"));
  }
  /** Ends calls and watches (`closed`) and the connection. */
  async close(): Promise<void> {}

  #unavailable(action: string): KvError {
    return new KvError("unavailable", `${action} failed: no way to ${this.#servers[0]?.url} yet`);
  }
}
