/**
 * etcd's messages as the port's answers.
 *
 * Invariants.
 * - Keys and values are copies: what a caller keeps does not keep alive the whole answer that it came in.
 * - A figure that no JavaScript number can hold is an error, never rounded; lease ids have their own way (lease-ids.ts).
 *
 * @module
 */
import type * as pb from "../etcd-proto/etcd_pb.ts";
import type { KeyValue, OpResult, RangeResponse, Revision, TxnResponse, WatchEvent } from "../store/kv.ts";
import { GrpcError, Status } from "./grpc/status.ts";
import type { LeaseIds } from "./lease-ids.ts";

const DELETED = 1;

export function toNumber(value: bigint): number {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new GrpcError(Status.internal, `the answer has a figure beyond what can be counted: ${value}`, "no-answer");
}

export function revisionOf({ header }: { readonly header?: pb.ResponseHeader | undefined }): Revision {
  return toNumber(header?.revision ?? 0n);
}

export class Decoder {
  readonly #leaseIds: LeaseIds;

  constructor(leaseIds: LeaseIds) {
    this.#leaseIds = leaseIds;
  }

  keyValue(kv: pb.KeyValue): KeyValue {
    return {
      key: kv.key.slice(),
      value: kv.value.slice(),
      createRevision: toNumber(kv.createRevision),
      modRevision: toNumber(kv.modRevision),
      version: toNumber(kv.version),
      lease: this.#leaseIds.fromWire(kv.lease),
    };
  }

  range(response: pb.RangeResponse, revision = revisionOf(response)): RangeResponse {
    return {
      revision,
      kvs: response.kvs.map((kv) => this.keyValue(kv)),
      more: response.more,
      count: toNumber(response.count),
    };
  }

  /** Only the outermost transaction, and ranges, name a revision: the rest have its. */
  txn(response: pb.TxnResponse, revision = revisionOf(response)): TxnResponse {
    return {
      revision,
      succeeded: response.succeeded,
      results: response.responses.map((one) => this.#result(one, revision)),
    };
  }

  event({ type, kv, prevKv }: pb.Event): WatchEvent {
    if (kv === undefined) throw new GrpcError(Status.internal, "an event names no key", "no-answer");
    return {
      type: type === DELETED ? "delete" : "put",
      kv: this.keyValue(kv),
      ...(prevKv === undefined ? {} : { prevKv: this.keyValue(prevKv) }),
    };
  }

  #result({ response }: pb.ResponseOp, revision: Revision): OpResult {
    switch (response.case) {
      case "responseRange":
        return { op: "range", ...this.range(response.value, revisionOf(response.value) || revision) };
      case "responsePut":
        return { op: "put", ...(response.value.prevKv && { prev: this.keyValue(response.value.prevKv) }) };
      case "responseDeleteRange":
        return {
          op: "delete",
          deleted: toNumber(response.value.deleted),
          prevKvs: response.value.prevKvs.map((kv) => this.keyValue(kv)),
        };
      case "responseTxn":
        return { op: "txn", ...this.txn(response.value, revision) };
      case undefined:
        throw new GrpcError(Status.internal, "a part of the answer is of no known kind", "no-answer");
    }
  }
}
