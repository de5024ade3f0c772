/**
 * Room for the hard state on a full disk, and a note of what was committed last.
 *
 *     slot    crc32 u32, term f64, vote f64, commit f64, ended f64      at 0 and at 4096, written in turns; `ended`: a recovery that is over
 *     note    crc32 u32, term f64, vote f64, last index f64, last term f64      at 8192, after every commit, without a sync
 *
 * Problem. A node whose disk is full must still remember its vote, as often as there are elections; the database cannot even
 * rewrite one row without growing its write-ahead file.
 * Idea. A small file whose blocks were allocated while there was room is overwritten in place. Two slots in turns: a torn
 * write leaves the other one. Terms and votes only move forward, so the further of two hard states is the newer one.
 *
 * Problem. A bit that flips in SQLite's write-ahead file ends it there: what was committed behind is gone without a word, as if it
 * had never been acknowledged.
 * Idea. Whatever the note speaks of was on disk before it was written. So a log that is behind its note lost something. The note needs
 * no sync: when the power fails it may be old, and then it only says less.
 *
 * Invariants.
 * - What save() returned from is synced, and so is the file's name.
 * - The note is never ahead of what was committed.
 *
 * @module
 */
import { closeSync, constants, fdatasyncSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { DiskFullError } from "../driver/ports.ts";
import type { HardState } from "../types.ts";
import { DiskFailedError } from "./log-errors.ts";
import { codeOf } from "./snapshot-files.ts";

/** A disk's block each, so that a torn write cannot touch both. */
const SLOT_BYTES = 4096;
const RECORD_BYTES = 36;
/** Without `ended`, as earlier releases wrote it. */
const OLD_RECORD_BYTES = 28;
const NOTE_AT = 2 * SLOT_BYTES;
const NOTE_BYTES = 36;

/** Where a log stood. */
export interface Position {
  readonly term: number;
  readonly vote: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
}

export class HardStateReserve {
  readonly #file: number;
  #slot = 0;

  /** @throws DiskFullError when there is no room for the file itself. */
  constructor(path: string) {
    this.#file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    const newest = this.load();
    if (newest !== null) {
      // The next write must not tear the newest one.
      const first = this.#read(0);
      this.#slot = first !== null && newerOf(first, newest) === first ? 1 : 0;
    }
    const { size } = fstatSync(this.#file);
    if (size >= NOTE_AT + NOTE_BYTES) return;
    try {
      writeFully(this.#file, new Uint8Array(NOTE_AT + NOTE_BYTES - size), size);
      fsyncSync(this.#file);
      syncDirectory(dirname(path));
    } catch (error) {
      // Of an earlier release, it has room for what matters.
      if (isFull(error) && size >= NOTE_AT) return;
      closeSync(this.#file);
      throw refusalOrFailure("hard state", error);
    }
  }

  /** The newer of what the database has and of what was saved here. */
  newest(written: HardState): HardState {
    const saved = this.load();
    if (saved === null) return written;
    const { term, vote, commit } = newerOf(written, saved);
    const { recovery } = written;
    return recovery === undefined || saved.ended === recovery
      ? { term, vote, commit }
      : { term, vote, commit, recovery };
  }

  /** The newest hard state that was saved here, if any. */
  load(): Saved | null {
    const [first, second] = [this.#read(0), this.#read(1)];
    if (first === null || second === null) return first ?? second;
    return newerOf(first, second);
  }

  /** @param recovery What the database has; it is over where the hard state has none. */
  save({ term, vote, commit, recovery: underWay }: HardState, recovery?: number): void {
    const record = new DataView(new ArrayBuffer(RECORD_BYTES));
    record.setFloat64(28, underWay === undefined ? (recovery ?? 0) : 0);
    record.setFloat64(4, term);
    record.setFloat64(12, vote);
    record.setFloat64(20, commit);
    record.setUint32(0, crc32(new Uint8Array(record.buffer, 4)));
    try {
      writeFully(this.#file, new Uint8Array(record.buffer), this.#slot * SLOT_BYTES);
      fdatasyncSync(this.#file);
    } catch (error) {
      throw refusalOrFailure("hard state", error);
    }
    this.#slot = 1 - this.#slot;
  }

  /** This is on disk. A full disk may refuse the note: then it says less. */
  note({ term, vote, lastIndex, lastTerm }: Position): void {
    const record = new DataView(new ArrayBuffer(NOTE_BYTES));
    let at = 4;
    for (const value of [term, vote, lastIndex, lastTerm]) {
      record.setFloat64(at, value);
      at += 8;
    }
    record.setUint32(0, crc32(new Uint8Array(record.buffer, 4)));
    try {
      writeFully(this.#file, new Uint8Array(record.buffer), NOTE_AT);
    } catch (error) {
      if (!isFull(error)) throw refusalOrFailure("note of what was committed last", error);
    }
  }

  noted(): Position | null {
    const bytes = new Uint8Array(NOTE_BYTES);
    if (readSync(this.#file, bytes, 0, NOTE_BYTES, NOTE_AT) < NOTE_BYTES) return null;
    const record = new DataView(bytes.buffer);
    if (record.getUint32(0) !== crc32(bytes.subarray(4))) return null;
    const [term, vote, lastIndex, lastTerm] = [4, 12, 20, 28].map((at) => record.getFloat64(at));
    return { term: term ?? 0, vote: vote ?? 0, lastIndex: lastIndex ?? 0, lastTerm: lastTerm ?? 0 };
  }

  close(): void {
    closeSync(this.#file);
  }

  #read(slot: number): Saved | null {
    const bytes = new Uint8Array(RECORD_BYTES);
    if (readSync(this.#file, bytes, 0, RECORD_BYTES, slot * SLOT_BYTES) < RECORD_BYTES) return null;
    const record = new DataView(bytes.buffer);
    const term = record.getFloat64(4);
    const sum = record.getUint32(0);
    const hasEnded = sum === crc32(bytes.subarray(4));
    if (term === 0 || !(hasEnded || sum === crc32(bytes.subarray(4, OLD_RECORD_BYTES)))) return null;
    const ended = hasEnded ? record.getFloat64(28) : 0;
    return { term, vote: record.getFloat64(12), commit: record.getFloat64(20), ended };
  }
}

interface Saved {
  readonly term: number;
  readonly vote: number;
  readonly commit: number;
  /** A recovery that was over when this was saved, 0 for none. */
  readonly ended: number;
}

/** A term never goes back, a vote is cast once in a term, a commit index only grows. */
function newerOf<T extends HardState>(one: T, other: T): T;
function newerOf(one: HardState, other: HardState): HardState;
function newerOf(one: HardState, other: HardState): HardState {
  if (one.term !== other.term) return one.term > other.term ? one : other;
  if (one.vote !== other.vote) return one.vote === 0 ? other : one;
  return one.commit >= other.commit ? one : other;
}

/**
 * Whether a log that stands at `found` lost something that it had when it stood at `noted`. Terms and votes only move forward, and
 * within a term the entries of its leader are never taken back; while a follower still gets older entries nothing can be said.
 */
export function isBehind(found: Position, noted: Position): boolean {
  if (found.term !== noted.term) return found.term < noted.term;
  if (found.vote === 0 && noted.vote !== 0) return true;
  if (noted.lastTerm !== noted.term) return false;
  return found.lastTerm < noted.lastTerm || found.lastIndex < noted.lastIndex;
}

/**
 * The same where the reserve knows of an election that the database does not: nothing was written to the database since then, so the log
 * is to stand exactly where it was noted with it.
 *
 * @param written What the database has.
 */
export function standsElsewhere(found: Position, noted: Position, written: Pick<HardState, "term" | "vote">): boolean {
  const isOfReserve = written.term !== found.term || written.vote !== found.vote;
  if (!isOfReserve || noted.term !== found.term || noted.vote !== found.vote) return false;
  return noted.lastIndex !== found.lastIndex || noted.lastTerm !== found.lastTerm;
}

function isFull(error: unknown): boolean {
  const code = codeOf(error);
  return code === "ENOSPC" || code === "EDQUOT";
}

function writeFully(file: number, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(file, bytes, done, bytes.length - done, at + done);
  }
}

export function syncDirectory(path: string): void {
  const directory = openSync(path, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function refusalOrFailure(what: string, error: unknown): unknown {
  const action = `Write the raft log's ${what}`;
  if (isFull(error)) return new DiskFullError(`${action}: no space left on the device, not even in its reserve`);
  return error instanceof Error && codeOf(error) !== "" ? new DiskFailedError(action, error) : error;
}
