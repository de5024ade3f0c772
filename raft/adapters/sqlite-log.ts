/**
 * LogStorage on disk: a SQLite database for log and hard state, files beside it for snapshots.
 *
 *     raft.db  raft.db-wal  raft.db.snapshot-12  raft.db.reserve
 *
 * Idea. Torn writes and half batches are the work of SQLite's authors: write-ahead log, synchronous FULL, one transaction a
 * batch. A batch waits for the end of the event loop's turn before its commit blocks the thread (p50 0.2 ms): what came
 * in with it joins the next batch, and the leader's packets are on their way meanwhile.
 *
 * Invariants.
 * - One process at a time, one identity for ever, no file readable by others.
 * - When a promise resolves, its data is synced; when it rejects with DiskFullError, nothing of it was written.
 * - Hard state finds room on a full disk, in a file of its own (hard-state-reserve.ts).
 *
 * @module
 */
import { readdirSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import {
  CorruptLogError,
  DiskFullError,
  type LoadedState,
  type LogBatch,
  type LogStorage,
  type SnapshotWriter,
} from "../driver/ports.ts";
import type { HardState, LogIndex, NodeId, SnapshotMeta } from "../types.ts";
import { HardStateReserve, newerOf } from "./hard-state-reserve.ts";
import { LogDatabase, type LogState } from "./log-database.ts";
import { removeFile, SnapshotFileReader, SnapshotFileWriter } from "./snapshot-files.ts";

/** Deleted in one transaction while compacting: about 10 ms. */
const COMPACT_SLICE_ENTRIES = 2000;

export interface SqliteLogOptions {
  /** The database's file; its directory must exist. Snapshots and the reserve lie beside it. */
  readonly path: string;
  readonly clusterId: string;
  readonly nodeId: NodeId;
  /** Quota of the database in pages of 4 KiB; beyond it the disk counts as full. Default: none. */
  readonly maxPages?: number;
}

/** @throws IdentityMismatchError, NewerFormatError, LogInUseError, CorruptLogError, or the system's error. */
export async function openSqliteLog(options: SqliteLogOptions): Promise<LogStorage> {
  const { path, clusterId, nodeId, maxPages } = options;
  const database = new LogDatabase(path, { clusterId, nodeId }, maxPages);
  try {
    return new SqliteLog(path, database);
  } catch (error) {
    database.close();
    throw error;
  }
}

class SqliteLog implements LogStorage {
  readonly #path: string;
  readonly #database: LogDatabase;
  readonly #reserve: HardStateReserve;
  #state: LogState;
  #snapshotIndex: LogIndex;
  #snapshotFile: string | null;
  #nextFile: number;
  #writer: FileSnapshotWriter | null = null;
  #closed = false;

  constructor(path: string, database: LogDatabase) {
    this.#path = path;
    this.#database = database;
    const snapshot = database.readSnapshot();
    this.#snapshotIndex = snapshot?.meta.index ?? 0;
    this.#snapshotFile = snapshot?.file ?? null;
    const state = database.readState() ?? EMPTY_STATE;
    this.#reserve = new HardStateReserve(`${path}.reserve`);
    this.#state = { ...state, hardState: newerOf(state.hardState, this.#reserve.load() ?? state.hardState) };
    this.#nextFile = this.#removeOrphans();
  }

  async load(): Promise<LoadedState> {
    const snapshot = this.#database.readSnapshot();
    if (snapshot !== null) await (await this.#reader(snapshot)).return();
    const base = snapshot?.meta.index ?? 0;
    const entries = this.#database.readEntries(base + 1);
    const lastIndex = entries.at(-1)?.index ?? base;
    if (lastIndex !== Math.max(this.#state.lastIndex, base)) {
      throw new CorruptLogError(
        `Read the raft log: it ends at entry ${lastIndex}, but ${this.#state.lastIndex} was written`,
      );
    }
    return { hardState: this.#state.hardState, snapshot: snapshot?.meta ?? null, entries };
  }

  async append(batch: LogBatch): Promise<void> {
    await endOfTurn();
    this.#mustBeOpen();
    const last = batch.entries.at(-1);
    const state: LogState = {
      hardState: batch.hardState ?? this.#state.hardState,
      lastIndex: last?.index ?? this.#state.lastIndex,
      lastTerm: last?.term ?? this.#state.lastTerm,
    };
    try {
      this.#database.append(state, batch.entries, this.#state.lastIndex);
    } catch (error) {
      if (!(error instanceof DiskFullError) || last !== undefined) throw error;
      this.#reserve.save(state.hardState);
    }
    this.#state = state;
  }

  async createSnapshot(meta: SnapshotMeta): Promise<SnapshotWriter> {
    this.#mustBeOpen();
    if (this.#writer !== null) throw new Error("Create a snapshot: another one is being written");
    const file = await SnapshotFileWriter.create(this.#fileName(this.#nextFile++));
    const writer = new FileSnapshotWriter(
      meta,
      file,
      () => this.#name(writer, null),
      () => this.#ended(writer),
    );
    this.#writer = writer;
    return writer;
  }

  async readSnapshot(): Promise<{ readonly meta: SnapshotMeta; readonly chunks: AsyncIterable<Uint8Array> } | null> {
    for (;;) {
      this.#mustBeOpen();
      const snapshot = this.#database.readSnapshot();
      if (snapshot === null) return null;
      try {
        return { meta: snapshot.meta, chunks: await this.#reader(snapshot) };
      } catch (error) {
        // While its file was being opened a newer one may have taken its place: then that one is asked for.
        if (this.#snapshotFile === snapshot.file) throw error;
      }
    }
  }

  async installSnapshot(writer: SnapshotWriter, hardState: HardState): Promise<void> {
    if (!(writer instanceof FileSnapshotWriter)) throw new Error("Install a snapshot: it was not written here");
    await this.#name(writer, { hardState, lastIndex: writer.meta.index, lastTerm: writer.meta.term });
  }

  async compact(index: LogIndex): Promise<void> {
    const limit = Math.min(index, this.#snapshotIndex);
    do {
      await endOfTurn();
      // The rest is dropped after the next start: load() passes over entries below the snapshot.
      if (this.#closed) return;
    } while (this.#database.dropOldest(limit, COMPACT_SLICE_ENTRIES));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#writer?.abort();
    this.#closed = true;
    this.#reserve.close();
    this.#database.close();
  }

  /** Seals the writer's file and makes it the snapshot; with `replacing` in place of the whole log. */
  async #name(writer: FileSnapshotWriter, replacing: LogState | null): Promise<void> {
    this.#mustBeOpen();
    const size = await writer.file.seal();
    await endOfTurn();
    this.#mustBeOpen();
    const old = this.#snapshotFile;
    const named = { meta: writer.meta, file: writer.file.name, size };
    this.#database.nameSnapshot(named, replacing);
    if (replacing !== null) this.#state = replacing;
    this.#snapshotIndex = writer.meta.index;
    this.#snapshotFile = writer.file.name;
    this.#ended(writer);
    if (old !== null) await removeFile(join(dirname(this.#path), old));
  }

  #ended(writer: FileSnapshotWriter): void {
    writer.ended = true;
    if (this.#writer === writer) this.#writer = null;
  }

  #reader(snapshot: {
    readonly file: string;
    readonly size: { readonly chunks: number; readonly bytes: number };
  }): Promise<SnapshotFileReader> {
    return SnapshotFileReader.open(dirname(this.#path), snapshot.file, snapshot.size);
  }

  #fileName(number: number): string {
    return `${this.#path}.snapshot-${number}`;
  }

  /** Files that the database does not name are what a crash left behind. @returns the first free number. */
  #removeOrphans(): number {
    const directory = dirname(this.#path);
    const prefix = `${basename(this.#path)}.snapshot-`;
    let last = 0;
    for (const name of readdirSync(directory)) {
      if (!name.startsWith(prefix)) continue;
      last = Math.max(last, Number(name.slice(prefix.length)) || 0);
      if (name !== this.#snapshotFile) unlinkSync(join(directory, name));
    }
    return last + 1;
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new Error(`Use the raft log "${this.#path}": it is closed`);
  }
}

class FileSnapshotWriter implements SnapshotWriter {
  readonly meta: SnapshotMeta;
  readonly file: SnapshotFileWriter;
  readonly #finish: () => Promise<void>;
  readonly #abandon: () => void;
  ended = false;

  constructor(meta: SnapshotMeta, file: SnapshotFileWriter, finish: () => Promise<void>, abandon: () => void) {
    this.meta = meta;
    this.file = file;
    this.#finish = finish;
    this.#abandon = abandon;
  }

  write(chunk: Uint8Array): Promise<void> {
    return this.file.write(chunk);
  }

  async seal(): Promise<void> {
    await this.file.seal();
  }

  finish(): Promise<void> {
    return this.#finish();
  }

  async abort(): Promise<void> {
    if (this.ended) return;
    this.#abandon();
    await this.file.discard();
  }
}

const EMPTY_STATE: LogState = { hardState: { term: 0, vote: 0, commit: 0 }, lastIndex: 0, lastTerm: 0 };

function endOfTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
