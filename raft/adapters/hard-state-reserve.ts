/**
 * Room for the hard state on a full disk.
 *
 *     slot    crc32 u32, term f64, vote f64, commit f64      at 0 and at 4096, written in turns
 *
 * Problem. A node whose disk is full must still remember its vote, as often as there are elections; the database cannot even
 * rewrite one row without growing its write-ahead file.
 * Idea. A small file whose blocks were allocated while there was room is overwritten in place. Two slots in turns: a torn
 * write leaves the other one. Terms and votes only move forward, so the further of two hard states is the newer one.
 *
 * Invariants.
 * - What save() returned from is synced, and so is the file's name.
 *
 * @module
 */
import { closeSync, constants, fdatasyncSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { DiskFullError } from "../driver/ports.ts";
import type { HardState } from "../types.ts";
import { codeOf } from "./snapshot-files.ts";

/** A disk's block each, so that a torn write cannot touch both. */
const SLOT_BYTES = 4096;
const RECORD_BYTES = 28;

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
      return;
    }
    try {
      writeFully(this.#file, new Uint8Array(2 * SLOT_BYTES), 0);
      fsyncSync(this.#file);
      syncDirectory(dirname(path));
    } catch (error) {
      closeSync(this.#file);
      throw codeOf(error) === "ENOSPC" ? noRoom() : error;
    }
  }

  /** The newest hard state that was saved here, if any. */
  load(): HardState | null {
    const [first, second] = [this.#read(0), this.#read(1)];
    if (first === null || second === null) return first ?? second;
    return newerOf(first, second);
  }

  save({ term, vote, commit }: HardState): void {
    const record = new DataView(new ArrayBuffer(RECORD_BYTES));
    record.setFloat64(4, term);
    record.setFloat64(12, vote);
    record.setFloat64(20, commit);
    record.setUint32(0, crc32(new Uint8Array(record.buffer, 4)));
    try {
      writeFully(this.#file, new Uint8Array(record.buffer), this.#slot * SLOT_BYTES);
      fdatasyncSync(this.#file);
    } catch (error) {
      throw codeOf(error) === "ENOSPC" ? noRoom() : error;
    }
    this.#slot = 1 - this.#slot;
  }

  close(): void {
    closeSync(this.#file);
  }

  #read(slot: number): HardState | null {
    const bytes = new Uint8Array(RECORD_BYTES);
    if (readSync(this.#file, bytes, 0, RECORD_BYTES, slot * SLOT_BYTES) < RECORD_BYTES) return null;
    const record = new DataView(bytes.buffer);
    const term = record.getFloat64(4);
    if (term === 0 || record.getUint32(0) !== crc32(bytes.subarray(4))) return null;
    return { term, vote: record.getFloat64(12), commit: record.getFloat64(20) };
  }
}

/** A term never goes back, a vote is cast once in a term, a commit index only grows. */
export function newerOf(one: HardState, other: HardState): HardState {
  if (one.term !== other.term) return one.term > other.term ? one : other;
  if (one.vote !== other.vote) return one.vote === 0 ? other : one;
  return one.commit >= other.commit ? one : other;
}

function writeFully(file: number, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(file, bytes, done, bytes.length - done, at + done);
  }
}

function syncDirectory(path: string): void {
  const directory = openSync(path, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function noRoom(): DiskFullError {
  return new DiskFullError("Write the raft log's hard state: no space left on the device, not even in its reserve");
}
