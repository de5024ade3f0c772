/**
 * What went wrong, in the port's words: the one table from gRPC's status and etcd's message to KvErrorCode.
 *
 * Idea. etcd tells its errors apart by message only, and the messages are the same from 3.4 on. An answer that is in the table
 * is a refusal: nothing was done. For any other failure of a write it counts whether it can have been acted on.
 *
 * @module
 */
import { KvError, type KvErrorCode } from "../store/kv.ts";
import { type GrpcError, Status } from "./grpc/status.ts";

/** Answers that etcd gives before it proposes anything, or instead of applying it. */
const REFUSALS: Readonly<Record<string, KvErrorCode>> = {
  "etcdserver: mvcc: required revision has been compacted": "compacted",
  "etcdserver: mvcc: required revision is a future revision": "future-revision",
  "etcdserver: requested lease not found": "lease-not-found",
  "etcdserver: lease already exists": "lease-exists",
  "etcdserver: too large lease TTL": "lease-ttl-invalid",
  "etcdserver: duplicate key given in txn request": "duplicate-key",
  "etcdserver: key is not provided": "key-empty",
  "etcdserver: key not found": "key-not-found",
  "etcdserver: value is provided": "invalid-request",
  "etcdserver: lease is provided": "invalid-request",
  "etcdserver: invalid range end": "invalid-request",
  "etcdserver: invalid sort option": "invalid-request",
  "etcdserver: too many operations in txn request": "too-many-operations",
  "etcdserver: request is too large": "request-too-large",
  "etcdserver: mvcc: database space exceeded": "no-space",
  "etcdserver: no leader": "unavailable",
  "etcdserver: not capable": "unavailable",
  "etcdserver: too many requests": "unavailable",
  "etcdserver: unhealthy cluster": "unavailable",
  "etcdserver: corrupt cluster": "unavailable",
  "etcdserver: rpc not supported for learner": "unavailable",
  "etcdserver: permission denied": "unavailable",
  "etcdserver: user name is empty": "unavailable",
  "etcdserver: user name not found": "unavailable",
  "etcdserver: invalid auth token": "unavailable",
  "etcdserver: revision of auth store is old": "unavailable",
};
/** gRPC's own limit on what a server takes, which lies above etcd's. */
const TOO_LARGE_FOR_GRPC = /received message larger than max|message size|message too large/;
/** Statuses that mean "not like this", whoever sends them: the request was looked at and turned down. */
const TURNED_DOWN: ReadonlySet<number> = new Set([
  Status.permissionDenied,
  Status.unauthenticated,
  Status.unimplemented,
  Status.failedPrecondition,
]);

const NO_LEADER = "etcdserver: no leader";
/** A read that asked a leader which then was none; the next one is known already. */
const LEADER_CHANGED = "etcdserver: leader changed";
/** What a read hears that waited for a leader which is gone; for a write it means nothing so certain. */
const TIMED_OUT = "etcdserver: request timed out";
/** Go's words for it, which etcd sends without gRPC's status where the time ends inside of it. */
const DEADLINE_EXCEEDED = "context deadline exceeded";

/** The member says that it cannot do what needs a leader: another may. It did not look at the request, so that goes for a write, too. */
export function isLeaderless({ fate, message }: GrpcError): boolean {
  return fate === "answered" && message === NO_LEADER;
}

/** The time that the call was given is over, by our clock or by the server's, which is told of it and now and then comes first. */
export function isOverdue({ status, fate, message }: GrpcError): boolean {
  return status === Status.deadlineExceeded || (fate === "answered" && message === DEADLINE_EXCEEDED);
}

/** Whether a read may get its answer when it is asked again, here or elsewhere. */
export function isPassing(error: GrpcError): boolean {
  if (isOverdue(error)) return true;
  if (error.fate === "answered") return isLeaderless(error) || [LEADER_CHANGED, TIMED_OUT].includes(error.message);
  return error.fate === "not-sent" || error.status === Status.unavailable;
}

export function codeOf(error: GrpcError, writes: boolean): KvErrorCode {
  if (error.fate === "not-sent") return "unavailable";
  if (error.fate === "answered") {
    const refusal = REFUSALS[error.message];
    if (refusal !== undefined) return refusal;
    if (TOO_LARGE_FOR_GRPC.test(error.message)) return "request-too-large";
    if (TURNED_DOWN.has(error.status)) return "unavailable";
    if (error.status === Status.invalidArgument || error.status === Status.outOfRange) return "invalid-request";
  }
  if (writes) return "unknown-fate";
  return error.status === Status.resourceExhausted ? "request-too-large" : "unavailable";
}

/**
 * What `unknown-fate` means for the caller is not said here: the edges have words for each code.
 *
 * @param action What was tried: "Range", "Transaction".
 */
export function toKvError(action: string, error: GrpcError, writes: boolean): KvError {
  const code = codeOf(error, writes);
  const message = error.message.replace(/^etcdserver: /, "etcd says: ");
  return new KvError(code, `${action} failed: ${message}`);
}

export function closedError(action: string): KvError {
  return new KvError("closed", `${action} failed: the store is closed`);
}

export function cancelledError(action: string): KvError {
  return new KvError("cancelled", `${action} failed: it was cancelled`);
}
