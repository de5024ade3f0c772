/**
 * What can be said about a request without looking at the store: done before a proposal, and again when it is applied.
 *
 * - Every key has at least one byte.
 * - At most MAX_TXN_OPS operations (etcd's count: the longest of compare, success, failure; what a level uses is not
 *   there for those nested in it, so nesting is bounded, too).
 * - Two operations that may both run never put the same key, nor put and delete it. The branches of one nested
 *   transaction exclude each other and may touch the same keys.
 *
 * @module
 */
import { type Key, type KeySpan, requireKey, spanHolds, toKey, toSpan } from "./key.ts";
import { KvError, MAX_TXN_OPS, type Op, type TxnRequest } from "./kv.ts";

export function checkTxn(request: TxnRequest): void {
  checkShape(request, MAX_TXN_OPS);
  touches(request.success);
  touches(request.failure);
}

function checkShape(request: TxnRequest, budget: number): void {
  const used = Math.max(request.compare.length, request.success.length, request.failure.length);
  if (used > budget) {
    throw new KvError("too-many-operations", `Transaction failed: more than ${MAX_TXN_OPS} operations`);
  }
  for (const compare of request.compare) requireKey(compare.key, "Compare");
  for (const branch of [request.success, request.failure]) {
    for (const op of branch) checkOp(op, budget - used);
  }
}

function checkOp(op: Op, budget: number): void {
  switch (op.op) {
    case "range":
      return requireKey(op.key, "Range");
    case "delete":
      return requireKey(op.key, "Delete");
    case "txn":
      return checkShape(op, budget);
    case "put":
      requireKey(op.key, "Put");
      if (op.ignoreValue && op.value.length > 0) {
        throw new KvError("invalid-request", "Put failed: ignoreValue was asked for, and a value was given");
      }
      if (op.ignoreLease && (op.lease ?? 0) !== 0) {
        throw new KvError("invalid-request", "Put failed: ignoreLease was asked for, and a lease was given");
      }
  }
}

interface Touched {
  readonly puts: Set<Key>;
  readonly deletes: KeySpan[];
}

/** Keys that a branch may put or delete; throws when two of its operations cannot go together. */
function touches(ops: readonly Op[]): Touched {
  const deletes = ops.flatMap((op) => (op.op === "delete" ? [toSpan(op)] : []));
  const puts = new Set<Key>();
  const claim = (key: Key, alternative?: ReadonlySet<Key>): void => {
    const putTwice = puts.has(key) && !alternative?.has(key);
    if (putTwice || deletes.some((span) => spanHolds(span, key))) {
      throw new KvError("duplicate-key", `Transaction failed: key ${JSON.stringify(key)} is changed twice`);
    }
    puts.add(key);
  };
  for (const op of ops) {
    if (op.op !== "txn") continue;
    const success = touches(op.success);
    const failure = touches(op.failure);
    for (const key of success.puts) claim(key);
    for (const key of failure.puts) claim(key, success.puts);
    deletes.push(...success.deletes, ...failure.deletes);
  }
  for (const op of ops) {
    if (op.op === "put") claim(toKey(op.key));
  }
  return { puts, deletes };
}
