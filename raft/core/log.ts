/**
 * The log in memory: what lies between the last compaction and the newest entry, with three marks in it.
 *
 *     offset      applied    stable?  commit            last
 *       |            |          |       |                 |
 *       v            v          v       v                 v
 *     [gone] o o o o o o o o o o o o o o o o o o o o o o o o
 *
 * `commit` and `stable` are independent: entries may commit on the others' disks before this disk has them.
 *
 * Invariants.
 * - offset <= applied <= commit <= last, and offset <= stable <= last; while a received snapshot waits for its Ready, applied
 *   may still be below offset.
 * - Nothing at or below `commit` is ever replaced.
 * - An index and a term name one entry for ever (log matching, thesis 3.5).
 *
 * Not here. The disk (the caller's), deciding what is committed (leader.ts).
 *
 * @module
 */
import { assert } from "../assert.ts";
import type { Configuration, Entry, LogIndex, Membership, SnapshotMeta, Term } from "../types.ts";
import { Configurations } from "./configurations.ts";

export class RaftLog {
  #entries: Entry[] = [];
  /** Index and term right before the first entry held. */
  #offset: LogIndex = 0;
  #offsetTerm: Term = 0;
  #entryBytes = 0;
  #unstableBytes = 0;
  #stable: LogIndex;
  #commit: LogIndex;
  #applied: LogIndex;
  #snapshot: SnapshotMeta | null;
  #pendingSnapshot: SnapshotMeta | null = null;
  #pendingHandedOut = false;
  readonly #configurations: Configurations;

  /** @param bootstrap In force where neither snapshot nor entries name a membership. */
  constructor(snapshot: SnapshotMeta | null, entries: readonly Entry[], commit: LogIndex, bootstrap: Membership) {
    this.#snapshot = snapshot;
    this.#configurations = new Configurations(snapshot ?? { index: 0, membership: bootstrap });
    this.#offset = snapshot?.index ?? 0;
    this.#offsetTerm = snapshot?.term ?? 0;
    this.#push(entries.filter((entry) => entry.index > this.#offset));
    this.#stable = this.lastIndex;
    this.#unstableBytes = 0;
    this.#applied = this.#offset;
    // The commit index on disk is only a hint; when the entries below it never got there, neither did our word for them.
    this.#commit = Math.min(Math.max(commit, this.#offset), this.lastIndex);
  }

  get firstIndex(): LogIndex {
    return this.#offset + 1;
  }
  get lastIndex(): LogIndex {
    return this.#offset + this.#entries.length;
  }
  get lastTerm(): Term {
    return this.#entries.at(-1)?.term ?? this.#offsetTerm;
  }
  get entryBytes(): number {
    return this.#entryBytes;
  }
  /** Bytes of data in the entries that are not on disk yet. */
  get unstableBytes(): number {
    return this.#unstableBytes;
  }
  get stable(): LogIndex {
    return this.#stable;
  }
  get commit(): LogIndex {
    return this.#commit;
  }
  get applied(): LogIndex {
    return this.#applied;
  }
  /** The newest snapshot that this node can give away. */
  get snapshot(): SnapshotMeta | null {
    return this.#snapshot;
  }
  /** A received snapshot that the caller has not installed yet. */
  get pendingSnapshot(): SnapshotMeta | null {
    return this.#pendingSnapshot;
  }

  /** Membership in force: the newest in the log. */
  get configuration(): Configuration {
    return this.#configurations.latest;
  }
  /** Those of which one is the newest that is committed. More than one, since what this node knows of the commit index may be old:
   *  it is a hint, and a crash can take it back. */
  get possiblyCommittedConfigurations(): readonly Configuration[] {
    return this.#configurations.from(this.#commit);
  }

  /** Whether appends have to wait: a Ready never carries a snapshot together with entries behind it. */
  get awaitsHandOut(): boolean {
    return this.#pendingSnapshot !== null && !this.#pendingHandedOut;
  }

  /** Term at `index`, or null when the log does not hold it (any more, or yet). */
  termAt(index: LogIndex): Term | null {
    if (index === this.#offset) return this.#offsetTerm;
    return this.#entries[index - this.#offset - 1]?.term ?? null;
  }

  matches(index: LogIndex, term: Term): boolean {
    return this.termAt(index) === term;
  }

  /** Whether a log that ends so is at least as good as this one (thesis 3.6.1). */
  isUpToDate(lastIndex: LogIndex, lastTerm: Term): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /** Entries from `from` to `to`, both included, cut after `maxBytes` of data; the first one always comes. */
  slice(from: LogIndex, to: LogIndex, maxBytes: number): readonly Entry[] {
    assert(from >= this.firstIndex && to <= this.lastIndex, `log holds ${from}-${to}`);
    let bytes = 0;
    let last = from - 1;
    while (last < to) {
      bytes += this.#entries[last - this.#offset]?.data.length ?? 0;
      if (bytes > maxBytes && last >= from) break;
      last++;
    }
    return this.#range(from, last);
  }

  bytesBetween(from: LogIndex, to: LogIndex): number {
    let bytes = 0;
    for (const entry of this.#range(from, to)) bytes += entry.data.length;
    return bytes;
  }

  /** A leader's own new entry. */
  appendOwn(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1, `entry ${entry.index} follows ${this.lastIndex}`);
    this.#push([entry]);
  }

  /**
   * A leader's append, on a follower (thesis figure 3.1, AppendEntries 2-4).
   *
   * @param prevIndex Not below the commit index.
   * @returns whether the logs agree at `prevIndex`; if not, nothing changed.
   */
  append(prevIndex: LogIndex, prevTerm: Term, entries: readonly Entry[]): boolean {
    if (!this.matches(prevIndex, prevTerm)) return false;
    const firstNew = entries.findIndex((entry) => !this.matches(entry.index, entry.term));
    const conflict = entries[firstNew];
    if (conflict === undefined) return true;
    assert(conflict.index > this.#commit, `replaced entry ${conflict.index} is not committed, up to ${this.#commit}`);
    this.#truncateFrom(conflict.index);
    this.#push(entries.slice(firstNew));
    return true;
  }

  /**
   * The last index at or below `index` whose term is at most `term`: everything between cannot agree with a log that has
   * `term` at `index`, so a whole term is skipped in one round (thesis 3.5). Term 0 when it is not held here any more.
   */
  lastAtOrBelowTerm(index: LogIndex, term: Term): { readonly index: LogIndex; readonly term: Term } {
    let at = Math.min(index, this.lastIndex);
    for (; at > this.#offset; at--) {
      const found = this.termAt(at);
      if (found !== null && found <= term) return { index: at, term: found };
    }
    return { index: at, term: this.termAt(at) ?? 0 };
  }

  /** @returns whether the commit index moved. */
  commitTo(index: LogIndex): boolean {
    if (index <= this.#commit) return false;
    assert(index <= this.lastIndex, `commit ${index} is in the log, which ends at ${this.lastIndex}`);
    this.#commit = index;
    return true;
  }

  /** Entries that the caller has to write. */
  unstable(): readonly Entry[] {
    return this.#range(this.#stable + 1, this.lastIndex);
  }

  /** The caller wrote entries up to here; they count only if they were not replaced meanwhile. */
  stableTo(index: LogIndex, term: Term): void {
    if (index <= this.#stable || !this.matches(index, term)) return;
    this.#unstableBytes -= this.bytesBetween(this.#stable + 1, index);
    this.#stable = index;
  }

  /** Committed entries that the caller has to apply; none while a snapshot waits. */
  unapplied(maxBytes: number): readonly Entry[] {
    if (this.#pendingSnapshot !== null || this.#applied >= this.#commit) return [];
    return this.slice(this.#applied + 1, this.#commit, maxBytes);
  }

  appliedTo(index: LogIndex): void {
    assert(index <= this.#commit, `applied ${index} is committed, up to ${this.#commit}`);
    this.#applied = Math.max(this.#applied, index);
  }

  /** A received snapshot takes the place of the whole log. */
  restore(snapshot: SnapshotMeta): void {
    assert(snapshot.index > this.#commit, `snapshot ${snapshot.index} is ahead of commit ${this.#commit}`);
    this.#entries = [];
    this.#entryBytes = 0;
    this.#unstableBytes = 0;
    this.#offset = snapshot.index;
    this.#offsetTerm = snapshot.term;
    this.#configurations.restored(snapshot);
    this.#stable = snapshot.index;
    this.#commit = snapshot.index;
    this.#snapshot = snapshot;
    this.#pendingSnapshot = snapshot;
    this.#pendingHandedOut = false;
  }

  /** @returns the received snapshot that the caller was not told about yet. */
  handOutSnapshot(): SnapshotMeta | null {
    if (!this.awaitsHandOut) return null;
    this.#pendingHandedOut = true;
    return this.#pendingSnapshot;
  }

  /** The caller installed this snapshot. A newer one may have arrived meanwhile: then that one still waits. */
  snapshotInstalled(snapshot: SnapshotMeta): void {
    if (this.#pendingSnapshot === snapshot) this.#pendingSnapshot = null;
    this.appliedTo(snapshot.index);
  }

  /** A local snapshot is on disk: forget entries up to `index`. Late news about an older snapshot changes nothing. */
  compact(index: LogIndex, snapshot: SnapshotMeta): void {
    if (this.#snapshot !== null && snapshot.index < this.#snapshot.index) return;
    assert(snapshot.index <= this.#applied, `snapshot ${snapshot.index} is applied, up to ${this.#applied}`);
    assert(index <= snapshot.index, `compaction ${index} is below its snapshot ${snapshot.index}`);
    this.#snapshot = snapshot;
    const term = this.termAt(index);
    if (index <= this.#offset || term === null) return;
    assert(index <= this.#stable, `compacted ${index} is on disk, up to ${this.#stable}`);
    this.#entryBytes -= this.bytesBetween(this.firstIndex, index);
    this.#entries = this.#entries.slice(index - this.#offset);
    this.#offset = index;
    this.#offsetTerm = term;
    this.#configurations.compactedTo(index);
  }

  #range(from: LogIndex, to: LogIndex): readonly Entry[] {
    return this.#entries.slice(from - this.#offset - 1, to - this.#offset);
  }

  #push(entries: readonly Entry[]): void {
    for (const entry of entries) {
      assert(entry.index === this.lastIndex + 1, `entry ${entry.index} follows ${this.lastIndex}`);
      assert(entry.term >= this.lastTerm, `term ${entry.term} of entry ${entry.index} is not below ${this.lastTerm}`);
      this.#entries.push(entry);
      this.#configurations.appended(entry);
      this.#entryBytes += entry.data.length;
      this.#unstableBytes += entry.data.length;
    }
  }

  #truncateFrom(index: LogIndex): void {
    if (index > this.lastIndex) return;
    this.#entryBytes -= this.bytesBetween(index, this.lastIndex);
    this.#unstableBytes -= this.bytesBetween(Math.max(index, this.#stable + 1), this.lastIndex);
    this.#entries.length = index - this.#offset - 1;
    this.#configurations.truncatedFrom(index);
    this.#stable = Math.min(this.#stable, index - 1);
  }
}
