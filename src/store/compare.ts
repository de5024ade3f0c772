/**
 * The compares of a transaction, and which branch each of its levels takes.
 *
 * Idea. All compares, nested ones too, look at the state before the transaction; so the whole path through it is known
 * before anything is written, and what could refuse it is checked along that path first.
 *
 * - Over a range, a compare holds when it holds for every key; a range without keys counts as one absent key.
 * - An absent key has version, revisions and lease 0. Its value equals nothing and differs from nothing.
 *
 * @module
 */
import { type Change, deletion, isVersion } from "./change.ts";
import { toSpan } from "./key.ts";
import type { Compare, Op, TxnRequest } from "./kv.ts";
import type { Readable } from "./range.ts";

/** One step that will be taken. */
export type Step = Exclude<Op, { readonly op: "txn" }> | ({ readonly op: "txn" } & Path);

export interface Path {
  readonly succeeded: boolean;
  readonly steps: readonly Step[];
}

export function choosePath(request: TxnRequest, before: Readable): Path {
  const succeeded = request.compare.every((compare) => holds(compare, before));
  const branch = succeeded ? request.success : request.failure;
  const steps = branch.map((op): Step => (op.op === "txn" ? { op: "txn", ...choosePath(op, before) } : op));
  return { succeeded, steps };
}

function holds(compare: Compare, { index, revision }: Readable): boolean {
  let found = false;
  for (const version of index.scan(toSpan(compare), revision)) {
    found = true;
    if (!matches(compare, version)) return false;
  }
  return found || matches(compare, deletion("", 0));
}

function matches(compare: Compare, change: Change): boolean {
  switch (compare.target) {
    case "value":
      return isVersion(change) && ordered(compare.result, Buffer.compare(change.value, compare.value));
    case "version":
      return ordered(compare.result, change.version - compare.value);
    case "create":
      return ordered(compare.result, change.createRevision - compare.value);
    case "mod":
      return ordered(compare.result, change.revision - compare.value);
    case "lease":
      return ordered(compare.result, change.lease - compare.value);
  }
}

function ordered(result: Compare["result"], difference: number): boolean {
  switch (result) {
    case "=":
      return difference === 0;
    case "!=":
      return difference !== 0;
    case "<":
      return difference < 0;
    case ">":
      return difference > 0;
  }
}
