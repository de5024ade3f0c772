/**
 * A Kv that passes everything on; subclasses look at what passes.
 *
 * @module
 */
import type {
  CallOptions,
  Kv,
  Lease,
  LeaseId,
  LeaseStatus,
  RangeRequest,
  RangeResponse,
  ReadOptions,
  Revision,
  TxnRequest,
  TxnResponse,
  Watch,
  WatchRequest,
} from "../../../src/store/kv.ts";

export class ForwardingKv implements Kv {
  readonly #kv: Kv;

  constructor(kv: Kv) {
    this.#kv = kv;
  }

  range(request: RangeRequest, options?: ReadOptions): Promise<RangeResponse> {
    return this.#kv.range(request, options);
  }
  txn(request: TxnRequest, options?: ReadOptions): Promise<TxnResponse> {
    return this.#kv.txn(request, options);
  }
  leaseGrant(request: { readonly ttlMs: number; readonly id?: LeaseId }, options?: CallOptions): Promise<Lease> {
    return this.#kv.leaseGrant(request, options);
  }
  leaseRevoke(id: LeaseId, options?: CallOptions): Promise<void> {
    return this.#kv.leaseRevoke(id, options);
  }
  leaseKeepAlive(id: LeaseId, options?: CallOptions): Promise<Lease> {
    return this.#kv.leaseKeepAlive(id, options);
  }
  leaseStatus(id: LeaseId, options?: CallOptions): Promise<LeaseStatus> {
    return this.#kv.leaseStatus(id, options);
  }
  leases(options?: ReadOptions): Promise<readonly LeaseId[]> {
    return this.#kv.leases(options);
  }
  watch(request: WatchRequest): Watch {
    return this.#kv.watch(request);
  }
  compact(revision: Revision, options?: CallOptions): Promise<void> {
    return this.#kv.compact(revision, options);
  }
}
