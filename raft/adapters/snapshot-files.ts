/**
 * Snapshots as files beside the log's database.
 *
 *     chunk   length u32, crc32 u32 (of the data, seeded with the chunk's number), data
 *
 * Idea. A snapshot can be hundreds of megabytes: as a file it is written and synced by the runtime's file threads while
 * the event loop turns, and it is dropped by unlink in no time. A file means nothing until the database names it.
 *
 * Invariants.
 * - When the database names a file, its bytes and its directory entry are synced.
 * - A reader holds the file open: unlinking it under the reader takes nothing away.
 *
 * @module
 */
import { type FileHandle, open, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { CorruptLogError, DiskFullError } from "../driver/ports.ts";
import { DiskFailedError } from "./log-errors.ts";

const CHUNK_HEADER_BYTES = 8;
/** Far above any chunk that is written; keeps a damaged length from being allocated. */
const CHUNK_MAX_BYTES = 64 * 1024 * 1024;
/** Synced piece by piece: the log's own syncs, which writes wait for, must not queue behind all of a snapshot at its end. */
const SYNC_EVERY_BYTES = 4 * 1024 * 1024;

export interface FileSize {
  readonly chunks: number;
  readonly bytes: number;
}

export class SnapshotFileWriter {
  readonly name: string;
  readonly #path: string;
  readonly #file: FileHandle;
  #chunks = 0;
  #bytes = 0;
  #unsyncedBytes = 0;
  #open = true;
  #sealed = false;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.name = basename(path);
    this.#file = file;
  }

  static async create(path: string): Promise<SnapshotFileWriter> {
    return new SnapshotFileWriter(path, await roomOrRefusal(() => open(path, "wx", 0o600)));
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (chunk.length > CHUNK_MAX_BYTES) throw new RangeError(`Write a snapshot: a chunk has ${chunk.length} bytes`);
    const record = new Uint8Array(CHUNK_HEADER_BYTES + chunk.length);
    const view = new DataView(record.buffer);
    view.setUint32(0, chunk.length);
    view.setUint32(4, crc32(chunk, this.#chunks));
    record.set(chunk, CHUNK_HEADER_BYTES);
    await roomOrRefusal(() => writeAll(this.#file, record));
    this.#chunks += 1;
    this.#bytes += record.length;
    this.#unsyncedBytes += record.length;
    if (this.#unsyncedBytes < SYNC_EVERY_BYTES) return;
    this.#unsyncedBytes = 0;
    await roomOrRefusal(() => this.#file.datasync());
  }

  /** On disk, with its name. Once it failed the file is worth nothing: a second sync need not see what the first one lost. */
  async seal(): Promise<FileSize> {
    const size = { chunks: this.#chunks, bytes: this.#bytes };
    if (this.#sealed) return size;
    await roomOrRefusal(() => this.#file.sync());
    await this.#close();
    await roomOrRefusal(() => syncDirectory(dirname(this.#path)));
    this.#sealed = true;
    return size;
  }

  async discard(): Promise<void> {
    await this.#close();
    await removeFile(this.#path);
  }

  async #close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#file.close();
  }
}

/** Chunks of a file that is held open until the iteration ends or return() is called. There is one iterator only. */
export class SnapshotFileReader implements AsyncIterableIterator<Uint8Array> {
  readonly #file: FileHandle;
  readonly #name: string;
  readonly #size: FileSize;
  #chunk = 0;
  #at = 0;
  #open = true;

  private constructor(file: FileHandle, name: string, size: FileSize) {
    this.#file = file;
    this.#name = name;
    this.#size = size;
  }

  static async open(directory: string, name: string, size: FileSize): Promise<SnapshotFileReader> {
    let file: FileHandle;
    try {
      file = await open(join(directory, name), "r");
    } catch (error) {
      if (codeOf(error) === "ENOENT") throw new CorruptLogError(`Read the snapshot "${name}": the file is missing`);
      throw error;
    }
    const { size: found } = await file.stat();
    if (found === size.bytes) return new SnapshotFileReader(file, name, size);
    await file.close();
    throw new CorruptLogError(`Read the snapshot "${name}": it has ${found} bytes, but ${size.bytes} were written`);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    if (!this.#open || this.#chunk === this.#size.chunks) return this.return();
    try {
      return { done: false, value: await this.#nextChunk() };
    } catch (error) {
      // Whoever iterates does not call return() after an error.
      await this.return();
      throw error;
    }
  }

  async #nextChunk(): Promise<Uint8Array> {
    const header = await this.#read(CHUNK_HEADER_BYTES);
    const view = new DataView(header.buffer);
    const length = view.getUint32(0);
    if (length > CHUNK_MAX_BYTES) throw this.#corrupt();
    const value = await this.#read(length);
    if (view.getUint32(4) !== crc32(value, this.#chunk)) throw this.#corrupt();
    this.#chunk += 1;
    return value;
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    if (this.#open) {
      this.#open = false;
      await this.#file.close();
    }
    return { done: true, value: undefined };
  }

  async #read(length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await this.#file.read(bytes, done, length - done, this.#at);
      if (bytesRead === 0) throw this.#corrupt();
      done += bytesRead;
      this.#at += bytesRead;
    }
    return bytes;
  }

  #corrupt(): CorruptLogError {
    return new CorruptLogError(`Read the snapshot "${this.#name}": chunk ${this.#chunk} is damaged`);
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** In a thread of its own: the kernel frees hundreds of megabytes before it answers. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error instanceof Error ? new DiskFailedError("Remove a snapshot", error) : error;
  }
}

export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done);
    done += bytesWritten;
  }
}

async function roomOrRefusal<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOSPC" || code === "EDQUOT") {
      throw new DiskFullError("Write a snapshot: no space left on the device");
    }
    throw error instanceof Error && code !== "" ? new DiskFailedError("Write a snapshot", error) : error;
  }
}
