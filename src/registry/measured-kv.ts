/**
 * The registry's metrics: a Kv that counts and times what goes through it.
 *
 * Idea. Whatever registry, engine, agent and API ask for ends in one call of the store, so that is where it is counted, under
 * fleet's names and its words for operations: get (one key), get_all (a range), set (a write), and lease for what fleet did with
 * keys that expire. fleet labelled its counters `type` and its durations `ops`; the counters have both here, so that a dashboard
 * written for either goes on.
 *
 * Invariants.
 * - Nothing is changed, delayed or repeated.
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import type { Counter, Histogram, Metrics } from "../lib/metrics.ts";
import {
  type CallOptions,
  type Kv,
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

type Operation = "get" | "get_all" | "set" | "lease";

/** Seconds: from a read in memory to a write that waits for a new leader. */
const DURATION_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class MeasuredKv implements Kv {
  readonly #kv: Kv;
  readonly #clock: Clock;
  readonly #count: Counter;
  readonly #failed: Counter;
  readonly #duration: Histogram;

  constructor(kv: Kv, metrics: Metrics, clock: Clock) {
    this.#kv = kv;
    this.#clock = clock;
    const labels = ["type", "ops"];
    this.#count = metrics.counter({
      name: "fleet_registry_operation_count_total",
      help: "Counter of registry operations.",
      labels,
    });
    this.#failed = metrics.counter({
      name: "fleet_registry_operation_failed_count_total",
      help: "Counter of failed registry operations.",
      labels,
    });
    this.#duration = metrics.histogram(
      {
        name: "fleet_registry_operation_duration_second",
        help: "Histogram of time (in seconds) each registry operation takes.",
        labels: ["ops"],
      },
      DURATION_BUCKETS,
    );
  }

  range(request: RangeRequest, options?: ReadOptions): Promise<RangeResponse> {
    return this.#measure(request.end === undefined ? "get" : "get_all", this.#kv.range(request, options));
  }
  txn(request: TxnRequest, options?: ReadOptions): Promise<TxnResponse> {
    return this.#measure(txnWrites(request) ? "set" : "get", this.#kv.txn(request, options));
  }
  leaseGrant(request: { readonly ttlMs: number; readonly id?: LeaseId }, options?: CallOptions): Promise<Lease> {
    return this.#measure("lease", this.#kv.leaseGrant(request, options));
  }
  leaseRevoke(id: LeaseId, options?: CallOptions): Promise<void> {
    return this.#measure("lease", this.#kv.leaseRevoke(id, options));
  }
  leaseKeepAlive(id: LeaseId, options?: CallOptions): Promise<Lease> {
    return this.#measure("lease", this.#kv.leaseKeepAlive(id, options));
  }
  leaseStatus(id: LeaseId, options?: CallOptions): Promise<LeaseStatus> {
    return this.#measure("lease", this.#kv.leaseStatus(id, options));
  }
  leases(options?: ReadOptions): Promise<readonly LeaseId[]> {
    return this.#measure("lease", this.#kv.leases(options));
  }
  compact(revision: Revision, options?: CallOptions): Promise<void> {
    return this.#measure("set", this.#kv.compact(revision, options));
  }
  watch(request: WatchRequest): Watch {
    return this.#kv.watch(request);
  }

  async #measure<T>(operation: Operation, work: Promise<T>): Promise<T> {
    const beginMs = this.#clock.now();
    const labels = { type: operation, ops: operation };
    try {
      const result = await work;
      this.#count.add(labels);
      this.#duration.observe((this.#clock.now() - beginMs) / 1000, { ops: operation });
      return result;
    } catch (error) {
      this.#failed.add(labels);
      throw error;
    }
  }
}
