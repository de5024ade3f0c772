/**
 * LocalKv: the Kv port right on a store, without raft: for tests, and as the plainest statement of what Kv means.
 *
 * Idea. Every call is done before it returns; promises are only the port's shape. This one instance is its own leader,
 * so it also holds the lease clock: one timer for the earliest deadline.
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import { DeadlineQueue } from "../lib/deadline-queue.ts";
import { decodeCommand, encodeProposal } from "./codec.ts";
import { type Command, type CommandResult, refusalError } from "./command.ts";
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
  txnWrites,
  type Watch,
  type WatchRequest,
} from "./kv.ts";
import { type LeaseChange, Store } from "./store.ts";
import { leaseNotFound } from "./txn.ts";

export interface LocalKvOptions {
  readonly clock: Clock;
  /** A store to work on; default: a new one. */
  readonly store?: Store;
}

export class LocalKv implements Kv {
  readonly store: Store;
  readonly #clock: Clock;
  readonly #deadlines: DeadlineQueue<LeaseId>;
  readonly #unsubscribe: () => void;
  #closed = false;

  constructor({ clock, store = new Store() }: LocalKvOptions) {
    this.store = store;
    this.#clock = clock;
    this.#deadlines = new DeadlineQueue(clock, (ids) => this.store.apply({ kind: "lease-revoke", ids }));
    this.#unsubscribe = store.onLease((change) => this.#leaseChanged(change));
    this.#leaseChanged({ kind: "reset" });
  }

  async range(request: RangeRequest, options?: ReadOptions): Promise<RangeResponse> {
    this.#check(options);
    return this.store.range(request, options);
  }

  async txn(request: TxnRequest, options?: ReadOptions): Promise<TxnResponse> {
    this.#check(options);
    if (!txnWrites(request)) return this.store.read(request);
    return this.#apply({ kind: "txn", request }, "txn").response;
  }

  async leaseGrant(request: { readonly ttlMs: number; readonly id?: LeaseId }, options?: CallOptions): Promise<Lease> {
    this.#check(options);
    return this.#apply({ kind: "lease-grant", id: request.id ?? 0, ttlMs: request.ttlMs }, "lease-grant").lease;
  }

  async leaseRevoke(id: LeaseId, options?: CallOptions): Promise<void> {
    this.#check(options);
    const { revoked } = this.#apply({ kind: "lease-revoke", ids: [id] }, "lease-revoke");
    if (revoked.length === 0) throw leaseNotFound("Lease revoke", id);
  }

  async leaseKeepAlive(id: LeaseId, options?: CallOptions): Promise<Lease> {
    this.#check(options);
    const { lease } = this.store.lease(id);
    this.#deadlines.set(id, this.#clock.now() + lease.ttlMs);
    return lease;
  }

  async leaseStatus(id: LeaseId, options?: CallOptions): Promise<LeaseStatus> {
    this.#check(options);
    if (this.store.leases.get(id) === undefined) return { id, ttlMs: 0, remainingMs: -1, keys: [] };
    const { lease, keys } = this.store.lease(id);
    const remainingMs = Math.max(0, (this.#deadlines.deadline(id) ?? 0) - this.#clock.now());
    return { ...lease, remainingMs, keys };
  }

  async leases(options?: ReadOptions): Promise<readonly LeaseId[]> {
    this.#check(options);
    return this.store.leases.all().map(({ id }) => id);
  }

  watch(request: WatchRequest): Watch {
    const watch = this.store.watch(request);
    if (this.#closed) this.store.closeWatches(closedError());
    return watch;
  }

  async compact(revision: Revision, options?: CallOptions): Promise<void> {
    this.#check(options);
    this.#apply({ kind: "compact", revision }, "compact");
  }

  /** Stops the lease clock and ends all watches. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unsubscribe();
    this.#deadlines.clear();
    this.store.closeWatches(closedError());
  }

  #apply<K extends CommandResult["kind"]>(command: Command, kind: K): Extract<CommandResult, { readonly kind: K }> {
    // By way of bytes, as in a cluster: the same limits, and nothing shared with the caller.
    const result = this.store.apply(decodeCommand(encodeProposal(command)));
    if (result.kind === "refused") throw refusalError(result);
    if (result.kind !== kind) throw new Error(`Assertion failed: a ${command.kind} was answered by ${result.kind}`);
    return result as Extract<CommandResult, { readonly kind: K }>;
  }

  #check(options: CallOptions | undefined): void {
    if (this.#closed) throw closedError();
    if (options?.signal?.aborted) throw new KvError("cancelled", "Call failed: it was cancelled before it began");
  }

  #leaseChanged(change: LeaseChange): void {
    if (change.kind === "revoked") return this.#deadlines.delete(change.id);
    const granted = change.kind === "granted" ? [change.lease] : this.store.leases.all();
    if (change.kind === "reset") this.#deadlines.clear();
    for (const { id, ttlMs } of granted) this.#deadlines.set(id, this.#clock.now() + ttlMs);
  }
}

function closedError(): KvError {
  return new KvError("closed", "Call failed: the store is closed");
}
