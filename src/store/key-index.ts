/**
 * Key index: for each key its changes, oldest first, in key order.
 *
 * Example. put a (2), put a (3), delete a (5), put a (7):
 *   "a" -> [2 v1] [3 v2] [5 gone] [7 v1]     at 4: v2     at 5: nothing     at 7: v1
 * A deletion ends a generation, and the version counts from 1 again after it.
 *
 * Invariants.
 * - The list of a key is never empty; its revisions never fall (one transaction may change a key twice by way of nested
 *   transactions: the last one counts).
 * - Up to the compaction floor a key keeps its newest change alone, and not even that when it is a deletion below it.
 *
 * Not here. Which revision is current, what was compacted (history.ts).
 *
 * @module
 */
import { BTree } from "../lib/ordered-map.ts";
import { type Change, isVersion, type Version } from "./change.ts";
import { compareKeys, type Key, type KeySpan, spanHolds } from "./key.ts";
import type { Revision } from "./kv.ts";

export class KeyIndex {
  readonly #keys = new BTree<Key, Change[]>(undefined, compareKeys);

  /** Keys that are there, and deleted ones that can still be read about. */
  get size(): number {
    return this.#keys.size;
  }

  /** The key's present value, if it has one. */
  latest(key: Key): Version | undefined {
    const change = this.#keys.get(key)?.at(-1);
    return change !== undefined && isVersion(change) ? change : undefined;
  }

  at(key: Key, revision: Revision): Version | undefined {
    const changes = this.#keys.get(key);
    return changes === undefined ? undefined : liveAt(changes, revision);
  }

  /** Changes of one key from a revision on. */
  since(key: Key, revision: Revision): readonly Change[] {
    const changes = this.#keys.get(key);
    return changes === undefined ? [] : changes.slice(countUpTo(changes, revision - 1));
  }

  /** Live keys of the span as they were at `revision`, in key order. The index must not change meanwhile. */
  *scan(span: KeySpan, revision: Revision): Generator<Version> {
    if (span.single) {
      const version = this.at(span.from, revision);
      if (version !== undefined) yield version;
      return;
    }
    for (const [key, changes] of this.#keys.entries(span.from, [])) {
      if (!spanHolds(span, key as Key)) return;
      const version = liveAt(changes as Change[], revision);
      if (version !== undefined) yield version;
    }
  }

  /** Every key behind this one with its changes, in key order; null: from the first. The index must not change meanwhile. */
  *after(key: Key | null): Generator<readonly [Key, readonly Change[]]> {
    const entries = key === null ? this.#keys.entries() : this.#keys.entries(`${key}\0`);
    for (const entry of entries) yield entry;
  }

  add(change: Change): void {
    const changes = this.#keys.get(change.key);
    if (changes === undefined) this.#keys.set(change.key, [change]);
    else changes.push(change);
  }

  /** Forgets what nobody can read at `floor` or later; see the invariant. Returns the dropped changes. */
  compact(key: Key, floor: Revision): readonly Change[] {
    const changes = this.#keys.get(key);
    if (changes === undefined) return [];
    let dropCount = countUpTo(changes, floor) - 1;
    const newest = changes[dropCount];
    if (newest === undefined) return [];
    // Whole revisions stay together: a watch that starts at the floor gets all of it.
    while (dropCount > 0 && changes[dropCount - 1]?.revision === floor) dropCount--;
    if (newest.value === null && newest.revision < floor) dropCount++;
    if (dropCount === changes.length) this.#keys.delete(key);
    return changes.splice(0, dropCount);
  }
}

/** How many of the changes are at or below the revision. */
function countUpTo(changes: readonly Change[], revision: Revision): number {
  const last = changes.at(-1);
  if (last !== undefined && last.revision <= revision) return changes.length;
  let low = 0;
  let high = changes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((changes[middle] as Change).revision <= revision) low = middle + 1;
    else high = middle;
  }
  return low;
}

function liveAt(changes: readonly Change[], revision: Revision): Version | undefined {
  const change = changes[countUpTo(changes, revision) - 1];
  return change !== undefined && isVersion(change) ? change : undefined;
}
