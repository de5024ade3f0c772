/**
 * What the store is, from outside: the first to apply a log entry tells, and everyone else is held to it.
 *
 * Checks. The same revision, the same changes and, now and then, the same hash after the same entry on every member, whether it came
 * there by the log, after a restart or through a snapshot. And that a watch delivers just these changes: all of them, once, in order.
 *
 * @module
 */
import type { Change } from "../../../src/store/change.ts";
import { type Key, spanHolds, toBytes, toSpan } from "../../../src/store/key.ts";
import type { KeyRange, Revision, WatchBatch } from "../../../src/store/kv.ts";
import type { Store } from "../../../src/store/store.ts";
import { Violation } from "../violation.ts";

/** Hashing goes through all that the store keeps. */
const HASH_EVERY_ENTRIES = 80;

export class Truth {
  readonly #revisionAt = new Map<number, Revision>();
  readonly #hashAt = new Map<number, string>();
  readonly #changes = new Map<Revision, readonly Change[]>();
  /** The same as text. */
  readonly #descriptions = new Map<Revision, string>();
  #lastIndex = 0;
  #revision: Revision = 1;
  #compactRevision: Revision = 0;

  get revision(): Revision {
    return this.#revision;
  }
  get compactRevision(): Revision {
    return this.#compactRevision;
  }

  changesAt(revision: Revision): readonly Change[] {
    return this.#changes.get(revision) ?? [];
  }

  /** @returns the revisions that are news, in order. @param before The store's revision before this entry. */
  applied(who: string, index: number, store: Store, before: Revision): readonly Revision[] {
    const news = index > this.#lastIndex ? this.#learn(index, store) : [];
    if (news.length === 0) this.#compare(who, index, store, before);
    if (index % HASH_EVERY_ENTRIES === 0) this.#compareHash(who, index, store);
    return news;
  }

  /** A member's store came out of a snapshot that stands for the log up to this command. */
  restored(who: string, index: number, store: Store): void {
    const expected = this.#revisionAt.get(index);
    if (index > 0 && expected !== store.revision) {
      throw new Violation(
        "divergence",
        `${who} restored a snapshot of entry ${index} with revision ${store.revision}, it is ${expected}`,
      );
    }
    if (index % HASH_EVERY_ENTRIES === 0) this.#compareHash(who, index, store);
  }

  /** Live keys of the present, as the changes tell. */
  live(): ReadonlyMap<Key, Change> {
    const live = new Map<Key, Change>();
    for (let revision = 2; revision <= this.#revision; revision++) {
      for (const change of this.changesAt(revision)) {
        if (change.value === null) live.delete(change.key);
        else live.set(change.key, change);
      }
    }
    return live;
  }

  #learn(index: number, store: Store): readonly Revision[] {
    const news: Revision[] = [];
    for (const [revision, changes] of store.history.since(this.#revision + 1)) {
      this.#changes.set(revision, [...changes]);
      this.#descriptions.set(revision, describe(changes));
      news.push(revision);
    }
    this.#lastIndex = index;
    this.#revision = store.revision;
    this.#compactRevision = store.compactRevision;
    this.#revisionAt.set(index, store.revision);
    return news;
  }

  #compare(who: string, index: number, store: Store, before: Revision): void {
    const expected = this.#revisionAt.get(index);
    if (expected !== store.revision) {
      throw new Violation(
        "divergence",
        `${who} is at revision ${store.revision} after entry ${index}, not ${expected}`,
      );
    }
    for (const [revision, changes] of store.history.since(before + 1)) {
      if (describe(changes) !== this.#descriptions.get(revision)) {
        throw new Violation("divergence", `${who} holds other changes than others at revision ${revision}`);
      }
    }
  }

  #compareHash(who: string, index: number, store: Store): void {
    const { digest, compactRevision } = store.hash();
    const leases = store.leases.all().map(({ id, ttlMs }) => `${id}:${ttlMs}:${store.leases.keys(id).length}`);
    const found = `${digest} ${compactRevision} ${leases.join(" ")}`;
    const expected = this.#hashAt.get(index);
    if (expected === undefined) this.#hashAt.set(index, found);
    else if (expected !== found) throw new Violation("divergence", `${who} has another state at entry ${index}`);
  }
}

function describe(changes: readonly Change[]): string {
  return changes
    .map(({ key, value, version, createRevision, lease }) => {
      return `${key} ${value === null ? "-" : Buffer.from(value).toString("latin1")} ${version} ${createRevision} ${lease}`;
    })
    .join("\n");
}

/** One watcher's view, batch by batch. */
export class WatchCheck {
  readonly #truth: Truth;
  readonly #span;
  readonly #who: string;
  /** Everything up to here was delivered. */
  reached: Revision;

  constructor(truth: Truth, who: string, range: KeyRange, reached: Revision) {
    this.#truth = truth;
    this.#who = who;
    this.#span = toSpan(range);
    this.reached = reached;
  }

  delivered({ revision, events }: WatchBatch): void {
    if (revision < this.reached || (revision === this.reached && events.length > 0)) {
      throw new Violation("watch", `${this.#who} was brought revision ${revision} after ${this.reached}`);
    }
    // A batch without events only says how far the watch is.
    this.#nothingMissed(events.length > 0 ? revision - 1 : revision);
    if (events.length > 0) {
      const expected = this.#expected(revision);
      const found = events.map(
        ({ type, kv }) => `${type} ${Buffer.from(kv.key)} ${Buffer.from(kv.value)} ${kv.version}`,
      );
      if (expected.join("\n") !== found.join("\n")) {
        throw new Violation("watch", `${this.#who} was brought other events than those of revision ${revision}`);
      }
    }
    this.reached = revision;
  }

  /** Its history is gone: it goes on from a later state, which it has read. */
  compacted(error: { readonly compactRevision: Revision | undefined }): void {
    const floor = error.compactRevision ?? 0;
    if (floor > this.#truth.compactRevision || floor <= this.reached + 1) {
      throw new Violation("watch", `${this.#who} was refused at ${this.reached + 1} as compacted up to ${floor}`);
    }
  }

  /** Liveness: nothing is on its way any more. */
  settled(): void {
    this.#nothingMissed(this.#truth.revision);
  }

  #nothingMissed(upTo: Revision): void {
    for (let revision = this.reached + 1; revision <= upTo; revision++) {
      if (this.#expected(revision).length > 0) {
        throw new Violation("watch", `${this.#who} was never brought revision ${revision}; it has ${this.reached}`);
      }
    }
  }

  #expected(revision: Revision): readonly string[] {
    return this.#truth
      .changesAt(revision)
      .filter(({ key }) => spanHolds(this.#span, key))
      .map(({ key, value, version }) => {
        const type = value === null ? "delete" : "put";
        return `${type} ${Buffer.from(toBytes(key))} ${Buffer.from(value ?? [])} ${version}`;
      });
  }
}
