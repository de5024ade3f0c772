/**
 * The LogStorage port with failpoints around each call, and a note of what it promised.
 *
 * Idea. `promises.json` beside the log says what the port's callers were told is on disk, and what was under way when nothing more was
 * heard. Whoever opens the log after a kill must find either of the two, exactly: no less, no more (promises.ts).
 *
 * @module
 */
import { openSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import type { HardState, LoadedState, LogBatch, LogStorage, Salvage, SnapshotMeta, SnapshotWriter } from "#raft";
import { openSqliteLog as openPlain, type SqliteLogOptions } from "../../../raft/adapters/index.ts";
import { type LogEnd, PROMISES_FILE, type Promised } from "../promises.ts";
import { pass } from "./failpoint.ts";

export { TcpTransport } from "../../../raft/adapters/index.ts";

/** The record is overwritten in place, so that a reader never finds it empty. */
const RECORD_BYTES = 512;

class PromiseFile {
  readonly #file: number;
  #promised: Promised = { log: { kept: null, pending: null }, snapshot: { kept: 0, pending: null } };

  constructor(path: string) {
    this.#file = openSync(path, "w", 0o600);
  }

  get log(): LogEnd | null {
    return this.#promised.log.kept;
  }

  note(change: Partial<Promised>): void {
    this.#promised = { ...this.#promised, ...change };
    writeSync(this.#file, JSON.stringify(this.#promised).padEnd(RECORD_BYTES), 0);
  }
}

/** Runs a call of the port between two points. */
async function between<T>(name: string, call: () => Promise<T>): Promise<T> {
  pass(`port.${name}`);
  const result = await call();
  pass(`port.${name}-done`);
  return result;
}

export async function openSqliteLog(options: SqliteLogOptions): Promise<LogStorage> {
  const storage = await between("open", () => openPlain(options));
  return new PointedLog(storage, join(dirname(options.path), PROMISES_FILE));
}

class PointedLog implements LogStorage {
  readonly #storage: LogStorage;
  readonly #path: string;
  #promises: PromiseFile | null = null;
  #hardState: HardState = { term: 0, vote: 0, commit: 0 };
  #snapshotKept = 0;

  constructor(storage: LogStorage, path: string) {
    this.#storage = storage;
    this.#path = path;
  }

  async load(): Promise<LoadedState> {
    const loaded = await between("load", () => this.#storage.load());
    const { hardState, snapshot, entries } = loaded;
    const last = entries.at(-1) ?? snapshot;
    this.#hardState = hardState;
    this.#snapshotKept = snapshot?.index ?? 0;
    // Until here the record of the life before stands: a kill in the middle of the start changes nothing that was promised.
    this.#promises = new PromiseFile(this.#path);
    this.#promises.note({
      log: { kept: { hardState, lastIndex: last?.index ?? 0, lastTerm: last?.term ?? 0 }, pending: null },
      snapshot: { kept: this.#snapshotKept, pending: null },
    });
    return loaded;
  }

  async append(batch: LogBatch): Promise<void> {
    const kept = this.#promises?.log ?? null;
    const last = batch.entries.at(-1);
    const hardState = batch.hardState ?? this.#hardState;
    const next: LogEnd = {
      hardState,
      lastIndex: last?.index ?? kept?.lastIndex ?? 0,
      lastTerm: last?.term ?? kept?.lastTerm ?? 0,
    };
    this.#promises?.note({ log: { kept, pending: next } });
    try {
      await between(last === undefined ? "append-state" : "append", () => this.#storage.append(batch));
    } catch (error) {
      // Refused: nothing of it may be there. Anything else ends the process, and either may be there.
      if (isFull(error)) this.#promises?.note({ log: { kept, pending: null } });
      throw error;
    }
    this.#hardState = hardState;
    this.#promises?.note({ log: { kept: next, pending: null } });
  }

  async createSnapshot(meta: SnapshotMeta): Promise<SnapshotWriter> {
    const writer = await between("create-snapshot", () => this.#storage.createSnapshot(meta));
    const finish = writer.finish.bind(writer);
    writer.finish = () => this.#naming(meta, () => between("finish-snapshot", finish));
    return writer;
  }

  recover(): Promise<Salvage> {
    return between("recover", () => this.#storage.recover());
  }

  condemn(reason: string): Promise<void> {
    return this.#storage.condemn(reason);
  }

  verify(isEnough: () => boolean): Promise<void> {
    return this.#storage.verify(isEnough);
  }

  readSnapshot(): ReturnType<LogStorage["readSnapshot"]> {
    return between("read-snapshot", () => this.#storage.readSnapshot());
  }

  async installSnapshot(writer: SnapshotWriter, hardState: HardState): Promise<void> {
    const { meta } = writer;
    const kept = this.#promises?.log ?? null;
    const next: LogEnd = { hardState, lastIndex: meta.index, lastTerm: meta.term };
    this.#promises?.note({ log: { kept, pending: next } });
    await this.#naming(meta, () => between("install", () => this.#storage.installSnapshot(writer, hardState)));
    this.#hardState = hardState;
    this.#promises?.note({ log: { kept: next, pending: null } });
  }

  compact(index: number): Promise<void> {
    return between("compact", () => this.#storage.compact(index));
  }

  close(): Promise<void> {
    return between("close", () => this.#storage.close());
  }

  async #naming(meta: SnapshotMeta, call: () => Promise<void>): Promise<void> {
    const kept = this.#snapshotKept;
    this.#promises?.note({ snapshot: { kept, pending: meta.index } });
    await call();
    this.#snapshotKept = meta.index;
    this.#promises?.note({ snapshot: { kept: meta.index, pending: null } });
  }
}

function isFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "disk-full";
}
