/**
 * The few comparisons and operations that the registry's transactions are made of.
 *
 * @module
 */
import type { Bytes, Compare, KeyRange, LeaseId, Op, Revision, TxnRequest } from "../store/kv.ts";

/** etcd's limit for one transaction (--max-txn-ops); counted here over the whole tree of a nested one. */
export const MAX_TXN_OPERATIONS = 128;

/** A part of a transaction that stands or falls on its own. */
export interface Guarded {
  readonly compare: readonly Compare[];
  readonly success: readonly Op[];
  /** What is done instead when a comparison fails; absent: nothing. */
  readonly failure?: readonly Op[];
}

export function put(key: Bytes, value: Bytes, lease?: LeaseId): Op {
  return lease === undefined ? { op: "put", key, value } : { op: "put", key, value, lease };
}
export function remove(range: KeyRange): Op {
  return { op: "delete", ...range };
}
export function read(range: KeyRange): Op {
  return { op: "range", ...range };
}
export function unchangedSince(key: Bytes, revision: Revision): Compare {
  return { key, target: "mod", result: "=", value: revision };
}
export function exists(key: Bytes): Compare {
  return { key, target: "create", result: ">", value: 0 };
}
export function absent(key: Bytes): Compare {
  return { key, target: "create", result: "=", value: 0 };
}
export function holdsLease(key: Bytes, lease: LeaseId): Compare {
  return { key, target: "lease", result: "=", value: lease };
}
export function guarded(part: Guarded): Op {
  const request: TxnRequest = { compare: part.compare, success: part.success, failure: part.failure ?? [] };
  return { op: "txn", ...request };
}

/** What a guarded part adds to its transaction's size. */
export function sizeOf(part: Guarded): number {
  return 1 + Math.max(part.compare.length, part.success.length, part.failure?.length ?? 0);
}

/** Splits parts, in order, into transactions that keep within the limit beside `reserved` operations of the caller. */
export function packTransactions<T extends Guarded>(parts: readonly T[], reserved: number): T[][] {
  const packed: T[][] = [];
  let room = 0;
  for (const part of parts) {
    const size = sizeOf(part);
    if (size > room) {
      packed.push([]);
      room = MAX_TXN_OPERATIONS - reserved;
    }
    packed.at(-1)?.push(part);
    room -= size;
  }
  return packed;
}
