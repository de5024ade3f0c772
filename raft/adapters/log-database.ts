/**
 * The log's tables: what is kept, and that what comes back is what was written.
 *
 *     meta        format, cluster, node, check; while it recovers from damage: recovery      who this log belongs to
 *     state       term, vote, commit, last index and term, crc     one row, written with each batch
 *     entry       index, term, kind, data, crc
 *     snapshot    file, chunks, bytes, meta, crc                   one row: the file that counts
 *
 * Idea. SQLite's write-ahead log makes a batch atomic and durable; it does not notice bits that flip in its pages. So
 * each row has a checksum, rows must follow each other, and the state row remembers where the log ends.
 *
 * Invariants.
 * - Every method is one transaction, or only reads.
 *
 * Not here. Snapshots' bytes (snapshot-files.ts), when and in what order (sqlite-log.ts).
 *
 * @module
 */
import { constants, Database, SQLiteError, type Statement } from "bun:sqlite";
import { chmodSync, closeSync, openSync } from "node:fs";
import { crc32 } from "node:zlib";
import { ByteReader, ByteWriter, CodecError } from "../driver/bytes.ts";
import { entryKindNumber, entryKindOf, readSnapshotMeta, writeSnapshotMeta } from "../driver/codec.ts";
import { CorruptLogError, DiskFullError } from "../driver/ports.ts";
import type { Entry, HardState, LogIndex, SnapshotMeta, Term } from "../types.ts";
import { DiskFailedError, LogInUseError } from "./log-errors.ts";
import { checkMeta, type LogIdentity, writeMeta } from "./log-meta.ts";
import type { FileSize } from "./snapshot-files.ts";

/** A daemon that is just ending may still hold the lock for a moment. */
const LOCK_WAIT_MS = 500;
/** Where the write-ahead file is cut back to after a large transaction. */
const WAL_KEEP_BYTES = 16 * 1024 * 1024;

const SCHEMA = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), term INTEGER NOT NULL, vote INTEGER NOT NULL,
    commit_index INTEGER NOT NULL, last_index INTEGER NOT NULL, last_term INTEGER NOT NULL, crc INTEGER NOT NULL);
  CREATE TABLE entry (log_index INTEGER PRIMARY KEY, term INTEGER NOT NULL, kind INTEGER NOT NULL,
    data BLOB NOT NULL, crc INTEGER NOT NULL);
  CREATE TABLE snapshot (one INTEGER PRIMARY KEY CHECK (one = 1), file TEXT NOT NULL, chunks INTEGER NOT NULL,
    bytes INTEGER NOT NULL, meta BLOB NOT NULL, crc INTEGER NOT NULL);
`;

/** The state row. */
export interface LogState {
  readonly hardState: HardState;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
}

export interface NamedSnapshot {
  readonly meta: SnapshotMeta;
  readonly file: string;
  readonly size: FileSize;
}

export interface LogDatabaseOptions {
  readonly path: string;
  readonly identity: LogIdentity;
  /** Where there is nothing, a new log begins; otherwise that is damage: SQLite reads a write-ahead file of which it believes nothing as none. */
  readonly mayBeNew: boolean;
  readonly maxPages?: number | undefined;
}

export class LogDatabase {
  readonly #database: Database;
  readonly #insert: Statement;
  readonly #truncate: Statement;
  readonly #saveState: Statement;
  readonly #identity: LogIdentity;
  #recovery: number | undefined;

  /** @throws CorruptLogError when what names the log is damaged, or is no database. */
  constructor({ path, identity, mayBeNew, maxPages }: LogDatabaseOptions) {
    this.#database = openDatabase(path);
    try {
      this.#identity = identity;
      this.#recovery = translated(() => {
        this.#createIfNew(mayBeNew);
        return checkMeta(this.#database, path, identity);
      });
      // Not before: a log that cannot be read keeps all of its write-ahead file.
      translated(() => this.#database.run(`PRAGMA journal_size_limit = ${WAL_KEEP_BYTES}`));
    } catch (error) {
      this.#closeUnfolded();
      throw error;
    }
    if (maxPages !== undefined) this.#database.run(`PRAGMA max_page_count = ${maxPages}`);
    this.#insert = this.#database.query("INSERT INTO entry VALUES (?, ?, ?, ?, ?)");
    this.#truncate = this.#database.query("DELETE FROM entry WHERE log_index >= ?");
    this.#saveState = this.#database.query("INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?, ?, ?)");
  }

  /** The number of a recovery under way, as the database has it. */
  get recovery(): number | undefined {
    return this.#recovery;
  }

  readState(): LogState | null {
    const row = this.#read("SELECT term, vote, commit_index, last_index, last_term, crc FROM state")[0];
    if (row === undefined) return null;
    const [term, vote, commit, lastIndex, lastTerm, crc] = row.map(Number);
    const hardState = { term: term ?? 0, vote: vote ?? 0, commit: commit ?? 0 };
    const state = { hardState, lastIndex: lastIndex ?? 0, lastTerm: lastTerm ?? 0 };
    if (crc !== stateCrc(state)) throw new CorruptLogError("Read the raft log: the checksum of its state is wrong");
    const recovery = this.#recovery;
    return recovery === undefined ? state : { ...state, hardState: { ...hardState, recovery } };
  }

  readSnapshot(): NamedSnapshot | null {
    const row = this.#read("SELECT file, chunks, bytes, meta, crc FROM snapshot")[0];
    if (row === undefined) return null;
    const [file, chunks, bytes, meta, crc] = row;
    const size = { chunks: Number(chunks), bytes: Number(bytes) };
    if (!(meta instanceof Uint8Array) || crc !== snapshotCrc(String(file), size, meta)) {
      throw new CorruptLogError("Read the raft log: the checksum of its snapshot's name is wrong");
    }
    return { file: String(file), size, meta: readSnapshotMeta(new ByteReader(meta)) };
  }

  /** Entries from `from` to the end, each verified and each the next of the one before. */
  readEntries(from: LogIndex): Entry[] {
    const entries: Entry[] = [];
    this.readEntriesInto(entries, from);
    return entries;
  }

  /** The same; when it throws, `entries` holds those before the damage. */
  readEntriesInto(entries: Entry[], from: LogIndex): void {
    const rows = this.#read(
      `SELECT log_index, term, kind, data, crc FROM entry WHERE log_index >= ${from} ORDER BY log_index`,
    );
    for (const row of rows) entries.push(verified(row, from + entries.length));
  }

  /** Verifies some entries behind `after`. @returns the index of the last of them, or null when there was none. */
  verifyEntries(after: LogIndex, count: number): LogIndex | null {
    const rows = this.#read(
      `SELECT log_index, term, kind, data, crc FROM entry WHERE log_index > ${after} ORDER BY log_index LIMIT ${count}`,
    );
    const first = Number(rows[0]?.[0] ?? 0);
    rows.forEach((row, i) => {
      verified(row, first + i);
    });
    return rows.length === 0 ? null : first + rows.length - 1;
  }

  /** Replaces everything from the first entry on. */
  append(state: LogState, entries: readonly Entry[], previousLast: LogIndex): void {
    this.#transaction(() => {
      const first = entries[0];
      if (first !== undefined && first.index <= previousLast) this.#truncate.run(first.index);
      for (const { index, term, kind, data } of entries) {
        const number = entryKindNumber(kind);
        this.#insert.run(index, term, number, data, entryCrc(index, term, number, data));
      }
      this.#writeState(state);
    });
    this.#recovery = state.hardState.recovery;
  }

  /** @param replacing Also drops the whole log, for a snapshot that came from the leader. */
  nameSnapshot(snapshot: NamedSnapshot, replacing: LogState | null): void {
    const writer = new ByteWriter();
    writeSnapshotMeta(writer, snapshot.meta);
    const meta = writer.finish();
    const { file, size } = snapshot;
    this.#transaction(() => {
      this.#database
        .query("INSERT OR REPLACE INTO snapshot VALUES (1, ?, ?, ?, ?, ?)")
        .run(file, size.chunks, size.bytes, meta, snapshotCrc(file, size, meta));
      if (replacing === null) return;
      this.#database.run("DELETE FROM entry");
      this.#writeState(replacing);
    });
    if (replacing !== null) this.#recovery = replacing.hardState.recovery;
  }

  /** Drops at most `count` of the oldest entries up to `index`. @returns whether there may be more. */
  dropOldest(index: LogIndex, count: number): boolean {
    const first = Number(this.#read("SELECT min(log_index) FROM entry")[0]?.[0] ?? 0);
    if (first === 0 || first > index) return false;
    const upTo = Math.min(index, first + count - 1);
    this.#transaction(() => this.#database.query("DELETE FROM entry WHERE log_index <= ?").run(upTo));
    return upTo < index;
  }

  close(): void {
    this.#database.close();
  }

  /** Leaves the write-ahead file as it is, which a close folds in and removes: behind what SQLite believes of it there may be much that somebody
   *  who has no other copy can still read. */
  closeDamaged(): void {
    this.#database.run("PRAGMA journal_size_limit = -1");
    this.#closeUnfolded();
  }

  #closeUnfolded(): void {
    this.#database.fileControl(constants.SQLITE_FCNTL_PERSIST_WAL, 1);
    this.#database.close();
  }

  #writeState(state: LogState): void {
    const { term, vote, commit, recovery } = state.hardState;
    if (recovery !== this.#recovery) writeMeta(this.#database, this.#identity, recovery);
    this.#saveState.run(term, vote, commit, state.lastIndex, state.lastTerm, stateCrc(state));
  }

  #createIfNew(mayBeNew: boolean): void {
    this.#database.run("BEGIN IMMEDIATE");
    if (this.#database.query("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").get() === null) {
      if (!mayBeNew)
        throw new CorruptLogError("Read the raft log: what was written last is missing: nothing is left of it");
      this.#database.run(SCHEMA);
      writeMeta(this.#database, this.#identity, undefined);
    }
    this.#database.run("COMMIT");
  }

  #read(sql: string): unknown[][] {
    return translated(() => this.#database.query(sql).values());
  }

  #transaction(act: () => void): void {
    translated(() => {
      this.#database.run("BEGIN IMMEDIATE");
      try {
        act();
        this.#database.run("COMMIT");
      } catch (error) {
        // SQLite may have rolled back by itself, as it does when the disk is full.
        if (this.#database.inTransaction) this.#database.run("ROLLBACK");
        throw error;
      }
    });
  }
}

function openDatabase(path: string): Database {
  // Made here and not by SQLite, so that nobody else can read it from its first moment; the companions copy its mode.
  closeSync(openSync(path, "a", 0o600));
  chmodSync(path, 0o600);
  const database = new Database(path, { readwrite: true, create: true });
  try {
    return translated(() => {
      database.run(`PRAGMA busy_timeout = ${LOCK_WAIT_MS}`);
      // Exclusive: the lock is taken by the first access and held until close.
      database.run("PRAGMA locking_mode = EXCLUSIVE");
      database.run("PRAGMA journal_mode = WAL");
      database.run("PRAGMA synchronous = FULL");
      return database;
    });
  } catch (error) {
    database.close();
    if (error instanceof SQLiteError && error.code?.startsWith("SQLITE_BUSY")) throw new LogInUseError(path);
    throw error;
  }
}
/**
 * What SQLite says when its file is not what it wrote. The statements here are right and their tables were made here: where SQLite
 * does not understand them, or finds a row where there was none, the file has changed.
 */
const DAMAGE = [
  "SQLITE_CORRUPT",
  "SQLITE_NOTADB",
  "SQLITE_FORMAT",
  "SQLITE_SCHEMA",
  "SQLITE_ERROR",
  "SQLITE_CONSTRAINT",
  "SQLITE_MISMATCH",
  "SQLITE_IOERR_SHORT_READ",
];

/** What SQLite calls it when the system refused to open, read, write or sync. */
const DISK_FAILURE = /^SQLITE_(IOERR|CANTOPEN|READONLY|PERM)/;

/** SQLite's and the codec's errors in the words of the LogStorage port. */
function translated<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof CodecError) throw new CorruptLogError(`Read the raft log: ${error.message}`);
    if (!(error instanceof SQLiteError)) throw error;
    const code = error.code ?? "";
    if (code === "SQLITE_FULL") throw new DiskFullError("Write to the raft log: the disk, or the log's quota, is full");
    if (DAMAGE.some((prefix) => code.startsWith(prefix))) {
      throw new CorruptLogError(`Read the raft log: its file is damaged (${error.message})`);
    }
    throw DISK_FAILURE.test(code) ? new DiskFailedError("Use the raft log", error) : error;
  }
}

/** @throws CorruptLogError unless the row is the entry that is due, as it was written. */
function verified([index, term, kind, data, crc]: readonly unknown[], expected: LogIndex): Entry {
  if (index !== expected) throw new CorruptLogError(`Read the raft log: entry ${expected} is missing`);
  if (!(data instanceof Uint8Array) || crc !== entryCrc(expected, Number(term), Number(kind), data)) {
    throw new CorruptLogError(`Read the raft log: the checksum of entry ${expected} is wrong`);
  }
  return { index: expected, term: Number(term), kind: entryKindOf(Number(kind)), data };
}

function entryCrc(index: LogIndex, term: Term, kind: number, data: Uint8Array): number {
  return crc32(data, crc32(`${index} ${term} ${kind}`));
}

function stateCrc({ hardState, lastIndex, lastTerm }: LogState): number {
  return crc32(`${hardState.term} ${hardState.vote} ${hardState.commit} ${lastIndex} ${lastTerm}`);
}

function snapshotCrc(file: string, size: FileSize, meta: Uint8Array): number {
  return crc32(meta, crc32(`${file} ${size.chunks} ${size.bytes}`));
}
