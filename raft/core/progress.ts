/**
 * What a leader knows about one follower, and how fast it may send to it.
 *
 * Idea. Three modes. `probe`: the leader does not know where the logs agree (or lost contact) and sends one append, then waits
 * for the reply or for the next sign of life. `replicate`: it knows, and streams appends ahead of the replies, inside a window of
 * messages and bytes. `snapshot`: the entries that the follower needs are gone, a snapshot is on its way, nothing else is sent.
 *
 *     probe --accepted--> replicate --rejected, unreachable--> probe --entries compacted--> snapshot --sent--> probe
 *
 * Invariants.
 * - `match` < `next`; `match` never shrinks while this leader leads, unless the follower's disk is damaged.
 * - In `replicate` at most one message is sent beyond the window: whatever fits before it is full.
 *
 * Not here. Choosing what to send (replication.ts).
 *
 * @module
 */
import { assert } from "../assert.ts";
import type { LogIndex } from "../types.ts";

export type ProgressMode = "probe" | "replicate" | "snapshot";

interface Flight {
  readonly lastIndex: LogIndex;
  readonly bytes: number;
}

export class Progress {
  mode: ProgressMode = "probe";
  /** Last index known to be equal to the leader's, on the follower's disk. */
  match: LogIndex = 0;
  /** First index of the next append. */
  next: LogIndex;
  /** Commit index that the last append told; an append without entries is due when it falls behind. */
  sentCommit: LogIndex = 0;
  /** Heard from since the last check-quorum. */
  recentlyActive = false;
  /** Heard from in the period before the last check-quorum. */
  #wasActive = false;
  /** Ask for a sign of agreement even when there is nothing new: an append may have been lost. */
  nudged = false;
  /** In `snapshot`: the index that it stands for. */
  pendingSnapshot: LogIndex = 0;
  /** Of the damage that the follower recovers from (recovery.ts); 0: it is sound. */
  recovery = 0;
  /** It was told that its recovery is over: its next ordinary reply says that it knows. */
  toldRecovered = false;
  #barrier: LogIndex = 0;
  #lastRecovery = 0;
  #awaitsProbeReply = false;
  #flights: Flight[] = [];
  #flightBytes = 0;
  readonly #maxMessages: number;
  readonly #maxBytes: number;

  constructor(next: LogIndex, limits: { readonly maxMessages: number; readonly maxBytes: number }) {
    this.next = next;
    this.#maxMessages = limits.maxMessages;
    this.#maxBytes = limits.maxBytes;
  }

  get flights(): number {
    return this.#flights.length;
  }

  get paused(): boolean {
    if (this.mode === "probe") return this.#awaitsProbeReply;
    if (this.mode === "snapshot") return true;
    return this.#flights.length >= this.#maxMessages || this.#flightBytes >= this.#maxBytes;
  }

  get isRecovering(): boolean {
    return this.recovery !== 0;
  }

  /** What of `match` counts in a quorum. */
  get pledged(): LogIndex {
    return this.isRecovering ? 0 : this.match;
  }

  /** Whether it was heard lately and counts. */
  get hasVoice(): boolean {
    return this.recentlyActive && !this.isRecovering;
  }

  /** Heard from for an election timeout or two. */
  get isAlive(): boolean {
    return this.recentlyActive || this.#wasActive;
  }

  /** The last index that it has, or will have with the snapshot that is on its way. */
  get neededBehind(): LogIndex {
    if (this.mode === "snapshot") return Math.max(this.match, this.pendingSnapshot);
    return this.mode === "probe" ? this.next - 1 : this.match;
  }

  /** Whether this number is of a later damage than any that was heard of: a late message must not make it fall anew. */
  isNews(recovery: number): boolean {
    return recovery > this.#lastRecovery;
  }

  /** Its disk was damaged: whatever it had is in doubt. @param barrier The entry that it must have before it counts again. */
  fell(recovery: number, barrier: LogIndex): void {
    this.#enter("probe");
    this.recovery = recovery;
    this.#lastRecovery = recovery;
    this.toldRecovered = false;
    this.#barrier = barrier;
    this.match = 0;
    this.next = barrier;
  }

  /** Whether this number is the one of which it was told that it is over; it may not have heard it, or not have kept it. */
  wasToldOf(recovery: number): boolean {
    return this.toldRecovered && recovery === this.#lastRecovery;
  }

  /** @param commit The leader's: nothing in it counted this follower since it fell. */
  hasRecovered(commit: LogIndex): boolean {
    return this.isRecovering && commit >= this.#barrier && this.match >= this.#barrier;
  }

  recovered(): void {
    this.recovery = 0;
  }

  becomeProbe(): void {
    const fromSnapshot = this.mode === "snapshot" ? this.pendingSnapshot : 0;
    this.#enter("probe");
    this.next = Math.max(this.match, fromSnapshot) + 1;
  }

  becomeReplicate(): void {
    this.#enter("replicate");
    this.next = this.match + 1;
  }

  becomeSnapshot(index: LogIndex): void {
    this.#enter("snapshot");
    this.pendingSnapshot = index;
  }

  /** After a snapshot's transfer: go on behind it, or at the old place; in both cases after the next sign of life. */
  snapshotEnded(ok: boolean): void {
    if (!ok) this.pendingSnapshot = 0;
    this.becomeProbe();
    this.#awaitsProbeReply = true;
  }

  /** An append left: `lastIndex` is that of its last entry, or of its prevIndex when it carries none. */
  sent(lastIndex: LogIndex, entryCount: number, bytes: number): void {
    this.nudged = false;
    if (this.mode === "probe") {
      this.#awaitsProbeReply = true;
      return;
    }
    assert(this.mode === "replicate", "nothing is appended while a snapshot is on its way");
    if (entryCount === 0) return;
    this.next = lastIndex + 1;
    this.#flights.push({ lastIndex, bytes });
    this.#flightBytes += bytes;
  }

  /** The follower has everything up to `index`. @returns whether that is news, or ends a probe. */
  accepted(index: LogIndex): boolean {
    const news = index > this.match || (index === this.match && this.mode === "probe");
    this.match = Math.max(this.match, index);
    this.next = Math.max(this.next, index + 1);
    if (this.mode === "replicate") this.#landed(index);
    return news;
  }

  /** The follower refused an append at `refusedIndex` and could agree at `hint`. @returns whether the refusal is fresh. */
  rejected(refusedIndex: LogIndex, hint: LogIndex): boolean {
    if (this.mode === "replicate") {
      if (refusedIndex <= this.match) return false;
      this.becomeProbe();
      return true;
    }
    if (this.mode === "snapshot" || refusedIndex !== this.next - 1 || refusedIndex <= this.match) return false;
    this.next = Math.max(Math.min(refusedIndex, hint + 1), this.match + 1);
    this.#awaitsProbeReply = false;
    return true;
  }

  /** Any sign of life: a probe may be repeated, and a full window lets one more message through. */
  heard(): void {
    this.recentlyActive = true;
    this.#awaitsProbeReply = false;
  }

  /** A new period of check-quorum begins. */
  periodEnded(): void {
    this.#wasActive = this.recentlyActive;
    this.recentlyActive = false;
  }

  /** Nothing that was heard counts any more. */
  forgetActivity(): void {
    this.recentlyActive = false;
    this.#wasActive = false;
  }

  /** A full window whose replies were lost would never open again: the oldest flight counts as landed. */
  freeOldest(): void {
    const oldest = this.#flights[0];
    if (this.mode === "replicate" && this.paused && oldest !== undefined) this.#landed(oldest.lastIndex);
  }

  #landed(index: LogIndex): void {
    let count = 0;
    for (const flight of this.#flights) {
      if (flight.lastIndex > index) break;
      this.#flightBytes -= flight.bytes;
      count++;
    }
    this.#flights.splice(0, count);
  }

  #enter(mode: ProgressMode): void {
    this.mode = mode;
    this.#awaitsProbeReply = false;
    this.#flights = [];
    this.#flightBytes = 0;
    this.pendingSnapshot = 0;
    this.nudged = false;
  }
}
