/**
 * Runs a transaction: choose the path, check it, then write.
 *
 * Idea. Everything that can refuse a transaction is found before its first write (compare.ts, checkSteps), so there is
 * nothing to roll back. Its operations see each other's effects, in order, at the revision that it is about to make.
 *
 * Invariants.
 * - A KvError leaves this file only before the first write.
 * - All changes of a transaction carry one revision: one above the store's, taken only when there are any.
 *
 * @module
 */
import { type Change, deletion, toKeyValue } from "./change.ts";
import { choosePath, type Path, type Step } from "./compare.ts";
import { toKey, toSpan } from "./key.ts";
import type { KeyIndex } from "./key-index.ts";
import { KvError, type OpResult, type Revision, type TxnRequest, type TxnResponse } from "./kv.ts";
import type { LeaseTable } from "./lease-table.ts";
import { checkRevision, evaluateRange, type Readable } from "./range.ts";

type Put = Extract<Step, { readonly op: "put" }>;
type Delete = Extract<Step, { readonly op: "delete" }>;

/** What a transaction reads and writes; the store sees to revision and history. */
export interface Tables extends Readable {
  readonly index: KeyIndex;
  readonly leases: LeaseTable;
}

export interface Outcome {
  readonly response: TxnResponse;
  readonly changes: readonly Change[];
}

/** The request has passed checkTxn. */
export function runTxn(request: TxnRequest, tables: Tables): Outcome {
  const path = choosePath(request, tables);
  checkSteps(path.steps, tables);
  const writer = new Writer(tables);
  const response = runPath(path, writer);
  return { response, changes: writer.changes };
}

/** Deletes these keys at one revision. */
export function deleteKeys(keys: readonly string[], tables: Tables): readonly Change[] {
  const writer = new Writer(tables);
  for (const key of keys) writer.deleteKey(key);
  return writer.changes;
}

function checkSteps(steps: readonly Step[], tables: Tables): void {
  for (const step of steps) {
    if (step.op === "txn") checkSteps(step.steps, tables);
    else if (step.op === "put") checkPut(step, tables);
    else if (step.op === "range" && (step.revision ?? 0) > 0) checkRevision(step.revision ?? 0, tables);
  }
}

function checkPut(put: Put, { index, leases }: Tables): void {
  if ((put.ignoreValue || put.ignoreLease) && index.latest(toKey(put.key)) === undefined) {
    throw new KvError("key-not-found", `Put failed: key ${JSON.stringify(toKey(put.key))} does not exist`);
  }
  const lease = put.lease ?? 0;
  if (lease !== 0 && leases.get(lease) === undefined) throw leaseNotFound("Put", lease);
}

export function leaseNotFound(action: string, id: number): KvError {
  return new KvError("lease-not-found", `${action} failed: lease ${id} does not exist`);
}

function runPath(path: Path, writer: Writer): TxnResponse {
  const results = path.steps.map((step) => runStep(step, writer));
  return { revision: writer.revision, succeeded: path.succeeded, results };
}

function runStep(step: Step, writer: Writer): OpResult {
  switch (step.op) {
    case "txn":
      return { op: "txn", ...runPath(step, writer) };
    case "range":
      return { op: "range", ...evaluateRange(step, writer.readable()) };
    case "put":
      return writer.put(step);
    case "delete":
      return writer.delete(step);
  }
}

class Writer {
  readonly changes: Change[] = [];
  readonly #tables: Tables;
  readonly #next: Revision;

  constructor(tables: Tables) {
    this.#tables = tables;
    this.#next = tables.revision + 1;
  }

  get revision(): Revision {
    return this.changes.length > 0 ? this.#next : this.#next - 1;
  }

  readable(): Readable {
    const { index, compactRevision } = this.#tables;
    return { index, compactRevision, revision: this.revision };
  }

  put(put: Put): OpResult {
    const key = toKey(put.key);
    const before = this.#tables.index.latest(key);
    const lease = put.ignoreLease ? (before?.lease ?? 0) : (put.lease ?? 0);
    // A copy: the request's bytes are its sender's, or a slice of a much larger frame.
    const value = put.ignoreValue && before !== undefined ? before.value : put.value.slice();
    const createRevision = before?.createRevision ?? this.#next;
    this.#add({ key, revision: this.#next, value, createRevision, version: (before?.version ?? 0) + 1, lease });
    this.#tables.leases.move(key, before?.lease ?? 0, lease);
    return put.prevKv && before !== undefined ? { op: "put", prev: toKeyValue(before) } : { op: "put" };
  }

  delete(request: Delete): OpResult {
    // Collected first: the index must not change under a scan.
    const found = [...this.#tables.index.scan(toSpan(request), this.#next)];
    for (const { key } of found) this.deleteKey(key);
    const prevKvs = request.prevKv ? found.map((version) => toKeyValue(version)) : [];
    return { op: "delete", deleted: found.length, prevKvs };
  }

  deleteKey(key: string): void {
    const before = this.#tables.index.latest(key);
    if (before === undefined) return;
    this.#add(deletion(key, this.#next));
    this.#tables.leases.move(key, before.lease, 0);
  }

  #add(change: Change): void {
    this.#tables.index.add(change);
    this.changes.push(change);
  }
}
