/**
 * Scrub: goes through all that the key index holds, a slice at a time, and compares it with what was applied.
 *
 * Problem. The digest is kept with each change, so memory that is damaged later, or a tree that lost a key, leaves it as it was.
 * Idea. Count again, from the structure that reads are served from, key by key. The store goes on meanwhile: a change behind the
 * cursor is counted when it happens, one before it when the cursor comes there. At the end both sums must be the same.
 *
 * Invariants.
 * - A slice ends after SLICE_CHANGES changes or SLICE_BYTES of values, whichever comes first: less than two milliseconds.
 * - A restore voids it: what it counted is gone. So is whatever step() would say after its verdict.
 *
 * Not here. When it runs, and what follows from damage (replica/).
 *
 * @module
 */
import { type Change, isVersion } from "./change.ts";
import { Tally } from "./digest.ts";
import type { Key } from "./key.ts";
import type { KeyIndex } from "./key-index.ts";
import type { LeaseTable } from "./lease-table.ts";

export type ScrubResult = "more" | "sound" | "damaged" | "void";

export interface Scrubbed {
  readonly index: KeyIndex;
  readonly leases: LeaseTable;
  /** Of everything that was applied. */
  readonly tally: Tally;
}

const SLICE_CHANGES = 1_000;
const SLICE_BYTES = 1024 * 1024;

export class Scrub {
  readonly #store: Scrubbed;
  readonly #found = new Tally();
  /** Everything up to this key is counted; null: nothing yet. */
  #cursor: Key | null = null;
  #isVoid = false;
  #hasStrayLease = false;

  constructor(store: Scrubbed) {
    this.#store = store;
  }

  /** Counts the next slice; with "more" it wants to be called again. */
  step(): ScrubResult {
    if (this.#isVoid) return "void";
    if (!this.#slice()) return "more";
    // Whatever is committed from now on is the next one's.
    this.#isVoid = true;
    this.#cursor = null;
    for (const lease of this.#store.leases.all()) this.#found.addLease(lease);
    return this.#hasStrayLease || !this.#found.equals(this.#store.tally) ? "damaged" : "sound";
  }

  committed(change: Change): void {
    if (this.#isBehind(change)) this.#found.add(change);
  }

  dropped(change: Change): void {
    if (this.#isBehind(change)) this.#found.remove(change);
  }

  /** The store has another state, or another scrub. */
  end(): void {
    this.#isVoid = true;
    this.#cursor = null;
  }

  #isBehind({ key }: Change): boolean {
    return this.#cursor !== null && key <= this.#cursor;
  }

  /** @returns true when nothing is left. */
  #slice(): boolean {
    let changeCount = 0;
    let bytes = 0;
    for (const [key, changes] of this.#store.index.after(this.#cursor)) {
      if (changeCount >= SLICE_CHANGES || bytes >= SLICE_BYTES) return false;
      for (const change of changes) {
        this.#found.add(change);
        bytes += change.value?.length ?? 0;
      }
      changeCount += changes.length;
      this.#checkLease(key, changes.at(-1));
      this.#cursor = key;
    }
    return true;
  }

  /** A key that its lease does not know would outlive it. */
  #checkLease(key: Key, newest: Change | undefined): void {
    if (newest === undefined || !isVersion(newest) || newest.lease === 0) return;
    if (!this.#store.leases.holds(newest.lease, key)) this.#hasStrayLease = true;
  }
}
