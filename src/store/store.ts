/**
 * Store: etcd v3's key model as a synchronous state machine.
 *
 * Problem. Every replica must reach the same state from the same log, whatever it is fed.
 * Idea. Commands go in one at a time; each is checked whole, then done whole. Reads, watches, snapshots and hashes look
 * at the result. No clock, no chance, no promise: what a replica does depends on its commands alone.
 *
 *   apply(command) ─▶ txn ─▶ key index (key -> its changes) ─▶ history (revision -> its changes) ─▶ watch hub
 *
 * Invariants.
 * - apply() is total: a refusal is a result, and it changed nothing.
 * - The revision rises by one with each command that changes keys (each lease, when one command revokes several).
 * - compactRevision <= revision; everything from compactRevision on can be read and watched.
 *
 * Not here. Who may send commands, and in which order (replica/); when a lease is over (the leader's lease clock).
 *
 * @module
 */
import { createHash } from "node:crypto";
import { BinaryWriter } from "../lib/binary.ts";
import type { Change } from "./change.ts";
import { type Command, type CommandResult, refused } from "./command.ts";
import { type Digest, Tally } from "./digest.ts";
import { History } from "./history.ts";
import { requireKey, toBytes } from "./key.ts";
import { KeyIndex } from "./key-index.ts";
import {
  type Bytes,
  KvError,
  type Lease,
  type LeaseId,
  type RangeRequest,
  type RangeResponse,
  type ReadOptions,
  type Revision,
  type TxnRequest,
  type TxnResponse,
  txnWrites,
  type Watch,
  type WatchRequest,
} from "./kv.ts";
import { LeaseTable } from "./lease-table.ts";
import { compactedError, evaluateRange } from "./range.ts";
import { Scrub } from "./scrub.ts";
import { type ReadSnapshot, snapshotSlices, writeChange } from "./snapshot.ts";
import { deleteKeys, leaseNotFound, runTxn } from "./txn.ts";
import { checkTxn } from "./txn-check.ts";
import { WatchHub } from "./watch-hub.ts";

/** Comparable between replicas with the same compactRevision. */
export interface StoreHash {
  readonly revision: Revision;
  readonly compactRevision: Revision;
  readonly digest: string;
}

export type LeaseChange =
  | { readonly kind: "granted"; readonly lease: Lease }
  | { readonly kind: "revoked"; readonly id: LeaseId }
  /** The store was restored: look at all of them. */
  | { readonly kind: "reset" };

export class Store {
  #revision: Revision = 1;
  #compactRevision: Revision = 0;
  #changesAboveFloor = 0;
  #index = new KeyIndex();
  #history = new History();
  #leases = new LeaseTable();
  #tally = new Tally();
  #scrub: Scrub | null = null;
  readonly #leaseListeners = new Set<(change: LeaseChange) => void>();
  readonly #hub = new WatchHub(this);

  get revision(): Revision {
    return this.#revision;
  }
  get compactRevision(): Revision {
    return this.#compactRevision;
  }
  /** Changes of the revisions above compactRevision. */
  get changesAboveFloor(): number {
    return this.#changesAboveFloor;
  }
  get index(): KeyIndex {
    return this.#index;
  }
  get history(): History {
    return this.#history;
  }
  get leases(): LeaseTable {
    return this.#leases;
  }

  apply(command: Command): CommandResult {
    try {
      return this.#apply(command);
    } catch (error) {
      if (error instanceof KvError) return refused(error);
      throw error;
    }
  }

  /** @throws KvError key-empty, future-revision, compacted. */
  range(request: RangeRequest, { uncounted }: Pick<ReadOptions, "uncounted"> = {}): RangeResponse {
    requireKey(request.key, "Range");
    return evaluateRange(request, this, uncounted);
  }

  /** A transaction that cannot write; see txnWrites(). */
  read(request: TxnRequest): TxnResponse {
    if (txnWrites(request)) throw new Error("Assertion failed: a transaction with writes was given as a read");
    checkTxn(request);
    return runTxn(request, this).response;
  }

  lease(id: LeaseId): { readonly lease: Lease; readonly keys: readonly Bytes[] } {
    const lease = this.#leases.get(id);
    if (lease === undefined) throw leaseNotFound("Lease lookup", id);
    return { lease: { id, ttlMs: lease.ttlMs }, keys: this.#leases.keys(id).map(toBytes) };
  }

  watch(request: WatchRequest): Watch {
    return this.#hub.open(request);
  }

  /** How many watches are open. */
  get watchCount(): number {
    return this.#hub.size;
  }

  closeWatches(error: KvError): void {
    this.#hub.closeAll(error);
  }

  /** Calls back when a lease comes or goes, right after the command that did it. */
  onLease(listener: (change: LeaseChange) => void): () => void {
    this.#leaseListeners.add(listener);
    return () => this.#leaseListeners.delete(listener);
  }

  /** Of everything that replicas must agree on after the same commands; see digest.ts. */
  get digest(): Digest {
    return this.#tally.digest({
      revision: this.#revision,
      compactRevision: this.#compactRevision,
      lastChosenLease: this.#leases.lastChosen,
    });
  }

  /** Begins to compare what is held with what was applied; a former one ends there. */
  scrub(): Scrub {
    this.#scrub?.end();
    this.#scrub = new Scrub({ index: this.#index, leases: this.#leases, tally: this.#tally });
    return this.#scrub;
  }

  /**
   * Over every change that can still be read at or below the revision: linear in their number, in one piece, and so no way to compare
   * members that are at work. It owes nothing to the digest, which tests hold it against.
   */
  hash(atRevision: Revision = this.#revision): StoreHash {
    if (atRevision < this.#compactRevision) throw compactedError("Hash", atRevision, this.#compactRevision);
    if (atRevision > this.#revision) {
      throw new KvError("future-revision", `Hash failed: revision ${atRevision} is in the future`);
    }
    const hash = createHash("sha256");
    for (const [revision, changes] of this.#history.since(0)) {
      if (revision > atRevision) break;
      const writer = new BinaryWriter();
      for (const change of changes) writeChange(writer, change);
      hash.update(writer.finish());
    }
    return { revision: atRevision, compactRevision: this.#compactRevision, digest: hash.digest("hex") };
  }

  /**
   * Pins the state of this moment; its bytes are made slice by slice as they are asked for, while apply goes on.
   *
   * @param position Where in its log the caller is; handed back by restore.
   */
  snapshot(position = 0): Iterable<Uint8Array> {
    return snapshotSlices({
      position,
      revision: this.#revision,
      compactRevision: this.#compactRevision,
      lastChosenLease: this.#leases.lastChosen,
      leases: this.#leases.all(),
      history: this.#history.pin(),
    });
  }

  /** Replaces the whole state by one that was read, which is this store's from then on. Returns the position of the snapshot. */
  restore(read: ReadSnapshot): number {
    this.#revision = read.revision;
    this.#compactRevision = read.compactRevision;
    this.#changesAboveFloor = read.changesAboveFloor;
    this.#history = read.history;
    this.#index = read.index;
    this.#leases = read.leases;
    this.#tally = read.tally;
    this.#scrub?.end();
    this.#hub.reset();
    this.#tell({ kind: "reset" });
    return read.position;
  }

  #apply(command: Command): CommandResult {
    switch (command.kind) {
      case "txn": {
        checkTxn(command.request);
        const { response, changes } = runTxn(command.request, this);
        this.#commit(changes);
        return { kind: "txn", response };
      }
      case "lease-grant": {
        const lease = this.#leases.grant(command.id, command.ttlMs);
        this.#tally.addLease(lease);
        this.#tell({ kind: "granted", lease });
        return { kind: "lease-grant", lease, revision: this.#revision };
      }
      case "lease-revoke":
        return {
          kind: "lease-revoke",
          revoked: command.ids.filter((id) => this.#revoke(id)),
          revision: this.#revision,
        };
      case "compact":
        this.#compact(command.revision);
        return { kind: "compact", revision: this.#revision };
    }
  }

  #commit(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    this.#revision++;
    this.#changesAboveFloor += changes.length;
    for (const change of changes) {
      this.#tally.add(change);
      this.#scrub?.committed(change);
    }
    this.#history.append(this.#revision, changes);
    this.#hub.publish(this.#revision, changes);
  }

  #revoke(id: LeaseId): boolean {
    const lease = this.#leases.get(id);
    if (lease === undefined) return false;
    const changes = deleteKeys(this.#leases.keys(id), this);
    this.#leases.revoke(id);
    this.#tally.removeLease(lease);
    this.#commit(changes);
    this.#tell({ kind: "revoked", id });
    return true;
  }

  #compact(revision: Revision): void {
    if (revision > this.#revision) {
      const message = `Compaction failed: revision ${revision} is in the future, the store is at ${this.#revision}`;
      throw new KvError("future-revision", message);
    }
    if (revision <= this.#compactRevision) throw compactedError("Compaction", revision, this.#compactRevision);
    this.#changesAboveFloor -= this.#history.countBetween(this.#compactRevision + 1, revision);
    const dropped: Change[] = [];
    for (const key of this.#history.keysChanged(this.#compactRevision, revision)) {
      dropped.push(...this.#index.compact(key, revision));
    }
    this.#history.drop(dropped);
    for (const change of dropped) {
      this.#tally.remove(change);
      this.#scrub?.dropped(change);
    }
    this.#compactRevision = revision;
  }

  #tell(change: LeaseChange): void {
    for (const listener of this.#leaseListeners) listener(change);
  }
}
