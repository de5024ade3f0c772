/**
 * The port's requests as etcd's messages.
 *
 * Invariants.
 * - A transaction that only compares, and is not to be serializable, carries a read in each branch: etcd answers one without
 *   operations from whatever that member happens to have (it looks for an operation that is a linearizable read). The answer
 *   to this probe is the caller's to drop.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  CompareSchema,
  RangeRequestSchema,
  RequestOpSchema,
  TxnRequestSchema,
  WatchCreateRequestSchema,
} from "../etcd-proto/etcd_pb.ts";
import type { Bytes, Compare, KeyRange, Op, RangeRequest, SortTarget, TxnRequest, WatchRequest } from "../store/kv.ts";
import type { LeaseIds } from "./lease-ids.ts";

const SORT_TARGET: Readonly<Record<SortTarget, number>> = { key: 0, version: 1, create: 2, mod: 3, value: 4 };
const ASCENDING = 1;
const DESCENDING = 2;
const COMPARE_RESULT: Readonly<Record<Compare["result"], number>> = { "=": 0, ">": 1, "<": 2, "!=": 3 };
const COMPARE_TARGET: Readonly<Record<Compare["target"], number>> = {
  version: 0,
  create: 1,
  mod: 2,
  value: 3,
  lease: 4,
};
const NO_PUT = 0;
const NO_DELETE = 1;

type RangeInit = MessageInitShape<typeof RangeRequestSchema>;
type TxnInit = MessageInitShape<typeof TxnRequestSchema>;
type OpInit = MessageInitShape<typeof RequestOpSchema>;

export function rangeMessage(request: RangeRequest, serializable: boolean): RangeInit {
  const { sort } = request;
  const order = sort?.descending ? DESCENDING : ASCENDING;
  return {
    ...keysOf(request),
    revision: BigInt(request.revision ?? 0),
    limit: BigInt(request.limit ?? 0),
    sortOrder: sort === undefined ? 0 : order,
    sortTarget: sort === undefined ? 0 : SORT_TARGET[sort.target],
    serializable,
    keysOnly: request.keysOnly ?? false,
    countOnly: request.countOnly ?? false,
    minModRevision: BigInt(request.minModRevision ?? 0),
    maxModRevision: BigInt(request.maxModRevision ?? 0),
    minCreateRevision: BigInt(request.minCreateRevision ?? 0),
    maxCreateRevision: BigInt(request.maxCreateRevision ?? 0),
  };
}

export function txnMessage(request: TxnRequest, serializable: boolean, leaseIds: LeaseIds): TxnInit {
  const op = (one: Op): OpInit => opMessage(one, serializable, leaseIds);
  return {
    compare: request.compare.map((compare) => compareMessage(compare, leaseIds)),
    success: request.success.map(op),
    failure: request.failure.map(op),
  };
}

/** The read that a transaction of nothing but compares needs; undefined when it needs none. */
export function probeOf(request: TxnRequest): Op | undefined {
  const key = request.compare[0]?.key;
  if (key === undefined || request.success.length > 0 || request.failure.length > 0) return undefined;
  return { op: "range", key, countOnly: true };
}

export function watchMessage(request: WatchRequest): MessageInitShape<typeof WatchCreateRequestSchema> {
  return {
    ...keysOf(request),
    startRevision: BigInt(request.startRevision ?? 0),
    prevKv: request.prevKv ?? false,
    filters: [...(request.noPut ? [NO_PUT] : []), ...(request.noDelete ? [NO_DELETE] : [])],
    fragment: true,
  };
}

function opMessage(op: Op, serializable: boolean, leaseIds: LeaseIds): OpInit {
  switch (op.op) {
    case "range":
      return { request: { case: "requestRange", value: rangeMessage(op, serializable) } };
    case "delete":
      return { request: { case: "requestDeleteRange", value: { ...keysOf(op), prevKv: op.prevKv ?? false } } };
    case "txn":
      return { request: { case: "requestTxn", value: txnMessage(op, serializable, leaseIds) } };
    case "put":
      return {
        request: {
          case: "requestPut",
          value: {
            key: op.key,
            value: op.value,
            lease: leaseIds.toWire("Put", op.lease ?? 0),
            prevKv: op.prevKv ?? false,
            ignoreValue: op.ignoreValue ?? false,
            ignoreLease: op.ignoreLease ?? false,
          },
        },
      };
  }
}

function compareMessage(compare: Compare, leaseIds: LeaseIds): MessageInitShape<typeof CompareSchema> {
  return {
    ...keysOf(compare),
    result: COMPARE_RESULT[compare.result],
    target: COMPARE_TARGET[compare.target],
    targetUnion: targetUnion(compare, leaseIds),
  };
}

function targetUnion(
  compare: Compare,
  leaseIds: LeaseIds,
): NonNullable<MessageInitShape<typeof CompareSchema>["targetUnion"]> {
  switch (compare.target) {
    case "value":
      return { case: "value", value: compare.value };
    case "version":
      return { case: "version", value: BigInt(compare.value) };
    case "create":
      return { case: "createRevision", value: BigInt(compare.value) };
    case "mod":
      return { case: "modRevision", value: BigInt(compare.value) };
    case "lease":
      return { case: "lease", value: leaseIds.toWire("Compare", compare.value) };
  }
}

function keysOf({ key, end }: KeyRange): { key: Bytes; rangeEnd: Bytes } {
  return { key, rangeEnd: end ?? new Uint8Array() };
}
