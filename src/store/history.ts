/**
 * History: for each revision the changes made by it, from the compaction floor to now.
 *
 * Idea. Revisions only grow, so a tree by revision is the log that watches replay, that snapshots write down and that
 * the key index can be rebuilt from. Its copy-on-write clone pins a revision for free.
 *
 * Invariants.
 * - Above the floor every change of every revision is here. At the floor, too. Below it only what is still readable at
 *   the floor: the newest live version of each key.
 * - Lists are never changed in place: a clone may hold them.
 *
 * @module
 */
import { BTree } from "../lib/ordered-map.ts";
import type { Change } from "./change.ts";
import type { Key } from "./key.ts";
import type { Revision } from "./kv.ts";

export type RevisionTree = BTree<Revision, readonly Change[]>;

export class History {
  readonly #revisions: RevisionTree;

  constructor(revisions: RevisionTree = new BTree(undefined, (a: Revision, b: Revision) => a - b)) {
    this.#revisions = revisions;
  }

  append(revision: Revision, changes: readonly Change[]): void {
    this.#revisions.set(revision, changes);
  }

  /** Revision by revision, oldest first. Must be used up before the history changes. */
  since(revision: Revision): IterableIterator<[Revision, readonly Change[]]> {
    return this.#revisions.entries(revision);
  }

  /** How many changes the revisions from `from` up to `upTo` made. */
  countBetween(from: Revision, upTo: Revision): number {
    let count = 0;
    this.#revisions.forRange(from, upTo, true, (_revision, changes) => {
      count += changes.length;
    });
    return count;
  }

  /** The last revision with at most `count` changes from behind `revision` up to it; one revision at least, however much it holds. */
  cutAfter(revision: Revision, count: number): Revision {
    let left = count;
    let cut = revision;
    for (const [next, changes] of this.since(revision + 1)) {
      left -= changes.length;
      if (left < 0 && cut > revision) break;
      cut = next;
    }
    return cut;
  }

  /** The present state, undisturbed by what comes later. */
  pin(): History {
    return new History(this.#revisions.clone());
  }

  /** Keys that changed in [from, upTo]: from the last floor on, only these can have something to forget. */
  keysChanged(from: Revision, upTo: Revision): Set<Key> {
    const keys = new Set<Key>();
    this.#revisions.forRange(from, upTo, true, (_revision, changes) => {
      for (const change of changes) keys.add(change.key);
    });
    return keys;
  }

  drop(dropped: readonly Change[]): void {
    const byRevision = new Map<Revision, Set<Change>>();
    for (const change of dropped) {
      const gone = byRevision.get(change.revision);
      if (gone === undefined) byRevision.set(change.revision, new Set([change]));
      else gone.add(change);
    }
    for (const [revision, gone] of byRevision) {
      const kept = (this.#revisions.get(revision) ?? []).filter((change) => !gone.has(change));
      if (kept.length === 0) this.#revisions.delete(revision);
      else this.#revisions.set(revision, kept);
    }
  }
}
