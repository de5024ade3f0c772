import { expect, test } from "bun:test";
import type { KvErrorCode } from "../store/kv.ts";
import { codeOf, isLeaderless, isPassing, toKvError } from "./errors.ts";
import { type Fate, GrpcError, Status } from "./grpc/status.ts";

function codes(status: number, message: string, fate: Fate): [KvErrorCode, KvErrorCode] {
  const error = new GrpcError(status, message, fate);
  return [codeOf(error, false), codeOf(error, true)];
}

test("etcd's refusals have the port's codes, for reads and writes alike", () => {
  const refusals: readonly (readonly [number, string, KvErrorCode])[] = [
    [Status.outOfRange, "etcdserver: mvcc: required revision has been compacted", "compacted"],
    [Status.outOfRange, "etcdserver: mvcc: required revision is a future revision", "future-revision"],
    [5, "etcdserver: requested lease not found", "lease-not-found"],
    [Status.resourceExhausted, "etcdserver: mvcc: database space exceeded", "no-space"],
    [Status.resourceExhausted, "etcdserver: too many requests", "unavailable"],
    [Status.resourceExhausted, "grpc: received message larger than max (4 vs. 2)", "request-too-large"],
    [Status.unavailable, "etcdserver: no leader", "unavailable"],
    [Status.permissionDenied, "etcdserver: permission denied", "unavailable"],
    [Status.permissionDenied, "a proxy's word", "unavailable"],
    [Status.unimplemented, "unknown service etcdserverpb.KV", "unavailable"],
    [Status.invalidArgument, "etcdserver: something that a later version refuses", "invalid-request"],
  ];
  for (const [status, message, code] of refusals) {
    expect([message, ...codes(status, message, "answered")]).toEqual([message, code, code]);
  }
});

test("what may have been acted on is unknown for a write and unavailable for a read", () => {
  const doubts: readonly (readonly [number, string, Fate])[] = [
    [Status.unavailable, "etcdserver: request timed out", "answered"],
    [Status.unavailable, "etcdserver: request timed out, possibly due to previous leader failure", "answered"],
    [Status.unavailable, "etcdserver: leader changed", "answered"],
    [Status.unavailable, "etcdserver: server stopped", "answered"],
    [Status.unknown, "context deadline exceeded", "answered"],
    [Status.deadlineExceeded, "context deadline exceeded", "answered"],
    [Status.deadlineExceeded, "no answer within 5 ms", "no-answer"],
    [Status.unavailable, "the connection was lost", "no-answer"],
    // The words of a refusal that the server did not say.
    [Status.unavailable, "etcdserver: no leader", "no-answer"],
    [Status.internal, "the answer cannot be read", "no-answer"],
  ];
  for (const [status, message, fate] of doubts) {
    expect([message, ...codes(status, message, fate)]).toEqual([message, "unavailable", "unknown-fate"]);
  }
});

test("what was never sent was not done", () => {
  for (const status of Object.values(Status)) {
    expect(codes(status, "whatever", "not-sent")).toEqual(["unavailable", "unavailable"]);
  }
});

test("an answer that is larger than we take: too large for a read, in doubt for a write", () => {
  expect(codes(Status.resourceExhausted, "the answer has 9 bytes", "no-answer")).toEqual([
    "request-too-large",
    "unknown-fate",
  ]);
});

test("messages name the action, then etcd's words, then what to do", () => {
  const timedOut = new GrpcError(Status.unavailable, "etcdserver: request timed out", "answered");
  expect(toKvError("Transaction", timedOut, true).message).toBe("Transaction failed: etcd says: request timed out");
  expect(toKvError("Range", timedOut, false).message).toBe("Range failed: etcd says: request timed out");
});

test("only the server's own word makes it leaderless; reads outlive that, a change of leader, a lost connection and silence", () => {
  const say = (fate: Fate, message: string, status: number = Status.unavailable) => {
    const error = new GrpcError(status, message, fate);
    return [isLeaderless(error), isPassing(error)];
  };
  expect(say("answered", "etcdserver: no leader")).toEqual([true, true]);
  expect(say("no-answer", "etcdserver: no leader")).toEqual([false, true]);
  expect(say("answered", "etcdserver: leader changed")).toEqual([false, true]);
  expect(say("answered", "etcdserver: server stopped")).toEqual([false, false]);
  expect(say("answered", "etcdserver: request timed out")).toEqual([false, true]);
  expect(say("no-answer", "no answer within 5 ms", Status.deadlineExceeded)).toEqual([false, true]);
  expect(say("answered", "context deadline exceeded", Status.deadlineExceeded)).toEqual([false, true]);
  expect(say("answered", "context deadline exceeded", Status.unknown)).toEqual([false, true]);
  expect(say("no-answer", "the answer cannot be read", Status.internal)).toEqual([false, false]);
  expect(say("not-sent", "whatever", Status.internal)).toEqual([false, true]);
});
