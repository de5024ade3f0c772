/**
 * The dumb oracle of the store: every version of everything, in arrays, searched from end to end.
 *
 * @module
 */
import type { Command } from "../../src/store/command.ts";
import type { Compare, Op, Revision, TxnRequest } from "../../src/store/kv.ts";

export interface OracleVersion {
  readonly key: string;
  readonly value: string;
  readonly create: Revision;
  readonly mod: Revision;
  readonly version: number;
  readonly lease: number;
}
export interface OracleEvent {
  readonly revision: Revision;
  readonly key: string;
  /** undefined: deleted. */
  readonly after: OracleVersion | undefined;
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

function inRange(key: string, range: { readonly key: Uint8Array; readonly end?: Uint8Array }): boolean {
  const from = text(range.key);
  if (range.end === undefined) return key === from;
  const end = text(range.end);
  return key >= from && (end === "\0" || key < end);
}

export class StoreOracle {
  revision = 1;
  floor = 0;
  readonly events: OracleEvent[] = [];
  leases = new Map<number, number>();
  #lastLease = 0;

  /** Every key as it was right after this revision. */
  stateAt(revision: Revision): OracleVersion[] {
    const state = new Map<string, OracleVersion>();
    for (const event of this.events) {
      if (event.revision > revision) break;
      if (event.after) state.set(event.key, event.after);
      else state.delete(event.key);
    }
    return [...state.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** @returns "ok", or the code of the refusal. */
  apply(command: Command): string {
    switch (command.kind) {
      case "lease-grant": {
        const id = command.id || this.#nextLease();
        if (this.leases.has(id)) return "lease-exists";
        this.leases.set(id, command.ttlMs);
        return "ok";
      }
      case "lease-revoke":
        for (const id of command.ids) this.#revoke(id);
        return "ok";
      case "compact":
        if (command.revision > this.revision) return "future-revision";
        if (command.revision <= this.floor) return "compacted";
        this.floor = command.revision;
        return "ok";
      case "txn":
        return this.#txn(command.request);
    }
  }

  #nextLease(): number {
    do this.#lastLease++;
    while (this.leases.has(this.#lastLease));
    return this.#lastLease;
  }

  #revoke(id: number): void {
    if (!this.leases.delete(id)) return;
    const keys = this.stateAt(this.revision).filter((version) => version.lease === id);
    if (keys.length === 0) return;
    this.revision++;
    for (const { key } of keys) this.events.push({ revision: this.revision, key, after: undefined });
  }

  #txn(request: TxnRequest): string {
    const before = this.stateAt(this.revision);
    const ops = this.#chosen(request, before);
    for (const op of ops) {
      if (op.op !== "put") continue;
      if ((op.ignoreLease || op.ignoreValue) && !before.some(({ key }) => key === text(op.key))) return "key-not-found";
      if (op.lease && !this.leases.has(op.lease)) return "lease-not-found";
    }
    const next = this.revision + 1;
    const count = this.events.length;
    for (const op of ops) this.#write(op, next);
    if (this.events.length > count) this.revision = next;
    return "ok";
  }

  #chosen(request: TxnRequest, before: readonly OracleVersion[]): Op[] {
    const taken = request.compare.every((compare) => compareHolds(compare, before)) ? request.success : request.failure;
    return taken.flatMap((op) => (op.op === "txn" ? this.#chosen(op, before) : [op]));
  }

  #write(op: Op, revision: Revision): void {
    const now = this.stateAt(revision);
    if (op.op === "delete") {
      for (const { key } of now.filter((version) => inRange(version.key, op))) {
        this.events.push({ revision, key, after: undefined });
      }
    }
    if (op.op !== "put") return;
    const key = text(op.key);
    const old = now.find((version) => version.key === key);
    const after = {
      key,
      value: op.ignoreValue && old ? old.value : text(op.value),
      create: old?.create ?? revision,
      mod: revision,
      version: (old?.version ?? 0) + 1,
      lease: op.ignoreLease ? (old?.lease ?? 0) : (op.lease ?? 0),
    };
    this.events.push({ revision, key, after });
  }
}

function compareHolds(compare: Compare, state: readonly OracleVersion[]): boolean {
  const found = state.filter(({ key }) => inRange(key, compare));
  if (found.length === 0) {
    return compare.target !== "value" && ordered(0, compare.result, compare.value);
  }
  return found.every((version) => {
    if (compare.target === "value") return ordered(version.value, compare.result, text(compare.value));
    return ordered(version[compare.target], compare.result, compare.value);
  });
}

function ordered<T>(left: T, result: Compare["result"], right: T): boolean {
  if (result === "=") return left === right;
  if (result === "!=") return left !== right;
  return result === "<" ? left < right : left > right;
}
