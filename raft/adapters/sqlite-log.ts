/**
 * LogStorage on disk: a SQLite database for log and hard state, files beside it for snapshots.
 *
 *     raft.db  raft.db-wal  raft.db.snapshot-12  raft.db.reserve      after damage also raft.db.damaged-DATE/
 *
 * Idea. Torn writes and half batches are the work of SQLite's authors: write-ahead log, synchronous FULL, one transaction a
 * batch. A batch waits for the end of the event loop's turn before its commit blocks the thread (p50 0.2 ms): what came
 * in with it joins the next batch, and the leader's packets are on their way meanwhile.
 *
 * Invariants.
 * - One process at a time, one identity for ever, no file readable by others.
 * - When a promise resolves, its data is synced; when it rejects with DiskFullError, nothing of it was written.
 * - Hard state finds room on a full disk, in a file of its own (hard-state-reserve.ts).
 * - Damage is found when something is read: at the start everything, later the snapshot that is sent. A log that lost its end, or all of
 *   it, is damaged, too. What SQLite finds while writing is remembered for the next start (`raft.db.condemned`).
 *
 * @module
 */
import { existsSync, readdirSync, statSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import {
  CorruptLogError,
  DiskFullError,
  type LoadedState,
  type LogBatch,
  type LogStorage,
  type Salvage,
  type SnapshotWriter,
} from "../driver/ports.ts";
import type { HardState, LogIndex, NodeId, SnapshotMeta } from "../types.ts";
import { HardStateReserve, isBehind, type Position, standsElsewhere } from "./hard-state-reserve.ts";
import { LogDatabase, type LogState } from "./log-database.ts";
import type { LogIdentity } from "./log-meta.ts";
import { lastIndexOf, salvage } from "./salvage.ts";
import { condemn, finishReplacing, makingPath, reasonToCondemn, replaceLog, setAsideFile } from "./set-aside.ts";
import { removeFile, SnapshotFileReader, SnapshotFileWriter } from "./snapshot-files.ts";

/** Deleted in one transaction while compacting: about 10 ms. */
const COMPACT_SLICE_ENTRIES = 2000;
/** Read in one go while the log is verified: a millisecond or two. */
const VERIFY_SLICE_ENTRIES = 500;

export interface SqliteLogOptions {
  /** The database's file; its directory must exist. Snapshots and the reserve lie beside it. */
  readonly path: string;
  readonly clusterId: string;
  readonly nodeId: NodeId;
  /** Quota of the database in pages of 4 KiB; beyond it the disk counts as full. Default: none. */
  readonly maxPages?: number;
}

/** @throws IdentityMismatchError, NewerFormatError, LogInUseError, or the system's error. Damage is load()'s to tell. */
export async function openSqliteLog(options: SqliteLogOptions): Promise<LogStorage> {
  finishReplacing(options.path);
  return new SqliteLog(options);
}

/** What is open while the log can be used. */
interface Files {
  readonly database: LogDatabase;
  readonly reserve: HardStateReserve;
}

class SqliteLog implements LogStorage {
  readonly #path: string;
  readonly #identity: LogIdentity;
  readonly #maxPages: number | undefined;
  #files: Files | null = null;
  /** Found when it was opened. */
  #damage: CorruptLogError | null = null;
  #state: LogState = EMPTY_STATE;
  #snapshotIndex: LogIndex = 0;
  #snapshotFile: string | null = null;
  #nextFile = 1;
  #writer: FileSnapshotWriter | null = null;
  #closed = false;

  constructor({ path, clusterId, nodeId, maxPages }: SqliteLogOptions) {
    this.#path = path;
    this.#identity = { clusterId, nodeId };
    this.#maxPages = maxPages;
    try {
      this.#damage = damageWithoutReading(path);
      if (this.#damage === null) this.#open();
    } catch (error) {
      if (!(error instanceof CorruptLogError)) throw error;
      this.#damage = error;
    }
  }

  async load(): Promise<LoadedState> {
    if (this.#damage !== null) throw this.#damage;
    const { database } = this.#mustBeOpen();
    const snapshot = database.readSnapshot();
    if (snapshot !== null) await (await this.#reader(snapshot)).return();
    const base = snapshot?.meta.index ?? 0;
    const entries = database.readEntries(base + 1);
    const lastIndex = entries.at(-1)?.index ?? base;
    if (lastIndex !== Math.max(this.#state.lastIndex, base)) {
      throw new CorruptLogError(
        `Read the raft log: it ends at entry ${lastIndex}, but ${this.#state.lastIndex} was written`,
      );
    }
    return { hardState: this.#state.hardState, snapshot: snapshot?.meta ?? null, entries };
  }

  async recover(): Promise<Salvage> {
    const directory = dirname(this.#path);
    const at = new Date();
    const old = this.#files;
    const found = await salvage(old?.database ?? null, directory, old === null ? null : this.#state.hardState);
    // Numbers rise: a leader heeds none below one that it knows.
    const recovery = Math.max(at.getTime(), (found.hardState.recovery ?? 0) + 1);
    const lastIndex = lastIndexOf(found);
    const lastTerm = found.entries.at(-1)?.term ?? found.snapshot?.meta.term ?? 0;
    const state: LogState = { hardState: { ...found.hardState, recovery }, lastIndex, lastTerm };
    const making = this.#database(makingPath(this.#path));
    try {
      making.append(state, found.entries, 0);
      if (found.snapshot !== null) making.nameSnapshot(found.snapshot, null);
    } finally {
      making.close();
    }
    this.#closeFiles();
    for (const { name } of this.#snapshotFiles()) {
      if (name !== found.snapshot?.file) setAsideFile(this.#path, name, at);
    }
    const setAside = replaceLog(this.#path, at);
    this.#damage = null;
    this.#open();
    return { kept: lastIndex === 0 ? "nothing" : `everything up to entry ${lastIndex}`, setAside };
  }

  async condemn(reason: string): Promise<void> {
    condemn(this.#path, reason);
  }

  async verify(isEnough: () => boolean): Promise<void> {
    for (let last: LogIndex | null = 0; last !== null; ) {
      await endOfTurn();
      if (isEnough() || this.#closed) return;
      last = this.#mustBeOpen().database.verifyEntries(last, VERIFY_SLICE_ENTRIES);
    }
    const snapshot = await this.readSnapshot();
    for await (const _chunk of snapshot?.chunks ?? []) if (isEnough()) return;
  }

  async append(batch: LogBatch): Promise<void> {
    await endOfTurn();
    const { database, reserve } = this.#mustBeOpen();
    const last = batch.entries.at(-1);
    const state: LogState = {
      hardState: batch.hardState ?? this.#state.hardState,
      lastIndex: last?.index ?? this.#state.lastIndex,
      lastTerm: last?.term ?? this.#state.lastTerm,
    };
    try {
      this.#condemningDamage(() => database.append(state, batch.entries, this.#state.lastIndex));
    } catch (error) {
      if (!(error instanceof DiskFullError) || last !== undefined) throw error;
      reserve.save(state.hardState, database.recovery);
    }
    this.#written(state);
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
      const snapshot = this.#mustBeOpen().database.readSnapshot();
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
    } while (this.#condemningDamage(() => this.#mustBeOpen().database.dropOldest(limit, COMPACT_SLICE_ENTRIES)));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#writer?.abort();
    this.#closed = true;
    this.#closeFiles();
  }

  #database(path: string): LogDatabase {
    // The reserve is made once the database is there.
    const mayBeNew = !existsSync(`${path}.reserve`);
    return new LogDatabase({ path, identity: this.#identity, mayBeNew, maxPages: this.#maxPages });
  }

  #open(): void {
    const database = this.#database(this.#path);
    try {
      this.#files = { database, reserve: new HardStateReserve(`${this.#path}.reserve`) };
    } catch (error) {
      database.close();
      throw error;
    }
    // When this throws, what can be read is still worth something to recover().
    this.#findPlace(this.#files);
  }

  #findPlace({ database, reserve }: Files): void {
    const state = database.readState() ?? EMPTY_STATE;
    this.#state = { ...state, hardState: reserve.newest(state.hardState) };
    const noted = reserve.noted();
    const found = positionOf(this.#state);
    if (noted !== null && (isBehind(found, noted) || standsElsewhere(found, noted, state.hardState))) {
      throw lostItsEnd(this.#state, noted);
    }
    const snapshot = database.readSnapshot();
    this.#snapshotIndex = snapshot?.meta.index ?? 0;
    this.#snapshotFile = snapshot?.file ?? null;
    this.#nextFile = this.#removeOrphans();
  }

  #closeFiles(): void {
    this.#files?.reserve.close();
    if (this.#damage === null) this.#files?.database.close();
    else this.#files?.database.closeDamaged();
    this.#files = null;
  }

  /** This is on disk. */
  #written(state: LogState): void {
    this.#state = state;
    this.#files?.reserve.note(positionOf(state));
  }

  /** What SQLite finds damaged while it writes, a start that only reads might not: so it is told. */
  #condemningDamage<T>(write: () => T): T {
    try {
      return write();
    } catch (error) {
      if (error instanceof CorruptLogError) condemn(this.#path, error.message);
      throw error;
    }
  }

  /** Seals the writer's file and makes it the snapshot; with `replacing` in place of the whole log. */
  async #name(writer: FileSnapshotWriter, replacing: LogState | null): Promise<void> {
    this.#mustBeOpen();
    const size = await writer.file.seal();
    await endOfTurn();
    const { database } = this.#mustBeOpen();
    const old = this.#snapshotFile;
    const named = { meta: writer.meta, file: writer.file.name, size };
    try {
      this.#condemningDamage(() => database.nameSnapshot(named, replacing));
    } catch (error) {
      // A commit that the disk failed may be there all the same: the file stays until the next start sees whether it is named.
      if (!(error instanceof DiskFullError)) this.#ended(writer);
      throw error;
    }
    if (replacing !== null) this.#written(replacing);
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
    let last = 0;
    for (const { name, number } of this.#snapshotFiles()) {
      last = Math.max(last, number);
      if (name !== this.#snapshotFile) unlinkSync(join(dirname(this.#path), name));
    }
    return last + 1;
  }

  #snapshotFiles(): readonly { readonly name: string; readonly number: number }[] {
    const prefix = `${basename(this.#path)}.snapshot-`;
    const names = readdirSync(dirname(this.#path)).filter((name) => name.startsWith(prefix));
    return names.map((name) => ({ name, number: Number(name.slice(prefix.length)) || 0 }));
  }

  #mustBeOpen(): Files {
    if (this.#files === null) throw this.#damage ?? new Error(`Use the raft log "${this.#path}": it is closed`);
    return this.#files;
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

function positionOf({ hardState: { term, vote }, lastIndex, lastTerm }: LogState): Position {
  return { term, vote, lastIndex, lastTerm };
}

function lostItsEnd(found: LogState, noted: Position): CorruptLogError {
  return new CorruptLogError(
    `Read the raft log: what was written last is missing: it stands at entry ${found.lastIndex} of term ${found.hardState.term}, ` +
      `but had been at entry ${noted.lastIndex} of term ${noted.term}`,
  );
}

/** A log that is gone, or was condemned; to SQLite an empty file would be a new log. */
function damageWithoutReading(path: string): CorruptLogError | null {
  const condemned = reasonToCondemn(path);
  if (condemned !== null) return new CorruptLogError(condemned);
  const isThere = existsSync(path) && statSync(path).size > 0;
  if (isThere || !existsSync(`${path}.reserve`)) return null;
  return new CorruptLogError(`Read the raft log: "${path}" is ${existsSync(path) ? "empty" : "gone"}`);
}

function endOfTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
