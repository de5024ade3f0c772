/**
 * Kv: the one door to the replicated store, with etcd v3's key model.
 *
 * Idea. Registry, engine and agent are written against this port alone, so that the same code runs over a store in
 * memory, over raft, or over a real etcd. The words are etcd's (https://etcd.io/docs/v3.4/learning/api/).
 *
 * Invariants.
 * - One revision counter for the whole store; each transaction that writes raises it by one.
 * - A watch delivers every change at or after its start revision, in order, without gaps, or ends with `compacted`.
 * - A call that fails with `unknown-fate` may have happened or may yet happen. Nothing here repeats a write by itself.
 *
 * Not here. How a call reaches the leader (replica/), how revisions are kept (mvcc).
 *
 * @module
 */

export type Revision = number;
export type LeaseId = number;
/** Keys and values are bytes; `encodeText` and `decodeText` of lib are the usual way in and out. */
export type Bytes = Uint8Array;

export interface KeyValue {
  readonly key: Bytes;
  readonly value: Bytes;
  readonly createRevision: Revision;
  readonly modRevision: Revision;
  /** 1 at creation, one more with each change; a delete resets it. */
  readonly version: number;
  /** 0: no lease. */
  readonly lease: LeaseId;
}

/** [key, end). `end` absent: this key alone. END_OF_KEYS: everything from key on. prefixEnd(key) for a prefix. */
export interface KeyRange {
  readonly key: Bytes;
  readonly end?: Bytes;
}
/** etcd's "\0": no upper bound. */
export const END_OF_KEYS: Bytes = new Uint8Array([0]);

export type SortTarget = "key" | "version" | "create" | "mod" | "value";

export interface RangeRequest extends KeyRange {
  /** 0 or absent: now. */
  readonly revision?: Revision;
  readonly limit?: number;
  readonly sort?: { readonly target: SortTarget; readonly descending?: boolean };
  readonly keysOnly?: boolean;
  readonly countOnly?: boolean;
  readonly minModRevision?: Revision;
  readonly maxModRevision?: Revision;
  readonly minCreateRevision?: Revision;
  readonly maxCreateRevision?: Revision;
}
export interface RangeResponse {
  /** The store's revision when this was read. */
  readonly revision: Revision;
  readonly kvs: readonly KeyValue[];
  readonly more: boolean;
  /** How many keys the range holds, whatever the limit; see {@link ReadOptions.uncounted}. */
  readonly count: number;
}

export type Compare = KeyRange & { readonly result: "=" | "!=" | "<" | ">" } & (
    | { readonly target: "value"; readonly value: Bytes }
    | { readonly target: "version" | "create" | "mod" | "lease"; readonly value: number }
  );

export type Op =
  | ({ readonly op: "range" } & RangeRequest)
  | {
      readonly op: "put";
      readonly key: Bytes;
      readonly value: Bytes;
      readonly lease?: LeaseId;
      readonly prevKv?: boolean;
      readonly ignoreValue?: boolean;
      readonly ignoreLease?: boolean;
    }
  | ({ readonly op: "delete"; readonly prevKv?: boolean } & KeyRange)
  | ({ readonly op: "txn" } & TxnRequest);

export interface TxnRequest {
  /** All must hold for `success`; none: holds. */
  readonly compare: readonly Compare[];
  readonly success: readonly Op[];
  readonly failure: readonly Op[];
}
export type OpResult =
  | ({ readonly op: "range" } & RangeResponse)
  | { readonly op: "put"; readonly prev?: KeyValue }
  | { readonly op: "delete"; readonly deleted: number; readonly prevKvs: readonly KeyValue[] }
  | ({ readonly op: "txn" } & TxnResponse);
export interface TxnResponse {
  readonly revision: Revision;
  readonly succeeded: boolean;
  readonly results: readonly OpResult[];
}

export interface Lease {
  readonly id: LeaseId;
  readonly ttlMs: number;
}
export interface LeaseStatus extends Lease {
  /** -1 when the lease is gone. */
  readonly remainingMs: number;
  readonly keys: readonly Bytes[];
}

export interface WatchRequest extends KeyRange {
  /** First revision to deliver; absent: what comes after now. */
  readonly startRevision?: Revision;
  readonly prevKv?: boolean;
  readonly noPut?: boolean;
  readonly noDelete?: boolean;
}
export interface WatchEvent {
  readonly type: "put" | "delete";
  /** For a delete: key and modRevision only. */
  readonly kv: KeyValue;
  readonly prevKv?: KeyValue;
}
/** All events of one revision are in one batch; a batch without events is a progress notice. */
export interface WatchBatch {
  /** Every event up to here has been delivered. */
  readonly revision: Revision;
  readonly events: readonly WatchEvent[];
}
/**
 * A running watch: iterate it once. Ends quietly after close(); throws KvError `compacted` (with `compactRevision`) when
 * its history is gone, `unavailable` when its source is: range again and watch from there.
 */
export interface Watch extends AsyncIterable<WatchBatch> {
  /** Resolves once the watch is placed: changes after that are delivered. */
  readonly ready: Promise<Revision>;
  /** Asks for a progress notice that reflects everything up to the store's present revision. */
  requestProgress(): void;
  close(): void;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Give up after this long; a write that was sent by then has an unknown fate. Each implementation has a default. */
  readonly timeoutMs?: number;
}
export interface ReadOptions extends CallOptions {
  /** Read this member's own state, which may be old, without asking anyone. Default: linearizable (thesis 6.4). */
  readonly serializable?: boolean;
  /** Of a range with a limit: `count` may be less than what the range holds. For whoever reads page after page, and would have all that
   *  is left walked through for each. A store that counts in any case may ignore it. */
  readonly uncounted?: boolean;
}

export interface Kv {
  range(request: RangeRequest, options?: ReadOptions): Promise<RangeResponse>;
  /** A transaction without writes is a read and obeys `serializable`. */
  txn(request: TxnRequest, options?: ReadOptions): Promise<TxnResponse>;
  /** `id` 0 or absent: the store chooses. */
  leaseGrant(request: { readonly ttlMs: number; readonly id?: LeaseId }, options?: CallOptions): Promise<Lease>;
  leaseRevoke(id: LeaseId, options?: CallOptions): Promise<void>;
  /** Gives the lease its full time again. */
  leaseKeepAlive(id: LeaseId, options?: CallOptions): Promise<Lease>;
  leaseStatus(id: LeaseId, options?: CallOptions): Promise<LeaseStatus>;
  leases(options?: ReadOptions): Promise<readonly LeaseId[]>;
  watch(request: WatchRequest): Watch;
  compact(revision: Revision, options?: CallOptions): Promise<void>;
}

export type KvErrorCode =
  /** The revision asked for was compacted away; `compactRevision` says what is left. */
  | "compacted"
  | "future-revision"
  | "lease-not-found"
  | "lease-exists"
  | "lease-ttl-invalid"
  /** A transaction puts a key twice. */
  | "duplicate-key"
  | "key-empty"
  /** ignoreValue or ignoreLease on a key that does not exist. */
  | "key-not-found"
  /** ignoreValue with a value, ignoreLease with a lease, and the like. */
  | "invalid-request"
  /** More than MAX_TXN_OPS operations. */
  | "too-many-operations"
  | "request-too-large"
  /** Disk full on the leader: nothing was done. */
  | "no-space"
  /** No leader, no quorum, too busy: nothing was done, trying again is safe. */
  | "unavailable"
  /** The write may or may not have happened: look before you repeat it. */
  | "unknown-fate"
  /** The caller's signal. For a write, the same doubt as unknown-fate. */
  | "cancelled"
  | "closed";

/** etcd's limits (etcd server flags --max-txn-ops and --max-request-bytes). */
export const MAX_TXN_OPS = 128;
export const MAX_REQUEST_BYTES = 1_572_864;

export class KvError extends Error {
  readonly code: KvErrorCode;
  readonly compactRevision: Revision | undefined;
  constructor(code: KvErrorCode, message: string, compactRevision?: Revision) {
    super(message);
    this.name = "KvError";
    this.code = code;
    this.compactRevision = compactRevision;
  }
}

/** A transaction that cannot write, whichever branch is taken, is a read. */
export function txnWrites(request: TxnRequest): boolean {
  const writes = (op: Op): boolean => op.op === "put" || op.op === "delete" || (op.op === "txn" && txnWrites(op));
  return request.success.some(writes) || request.failure.some(writes);
}

/** The smallest key above every key with this prefix; END_OF_KEYS when there is none. */
export function prefixEnd(prefix: Bytes): Bytes {
  for (let i = prefix.length - 1; i >= 0; i--) {
    const byte = prefix[i] as number;
    if (byte < 0xff) {
      const end = prefix.slice(0, i + 1);
      end[i] = byte + 1;
      return end;
    }
  }
  return END_OF_KEYS;
}
