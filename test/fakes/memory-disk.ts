/**
 * A disk for raft in memory, and the LogStorage on it: survives the node, loses what was not synced, tears, fills up.
 *
 * Idea. The disk outlives its users. `open()` begins a new life of the node; `crash()` ends the present one: what was being
 * written reaches the disk or not, as chance has it, and nobody hears about it any more.
 *
 * Invariants.
 * - A batch is there as a whole or not at all, as a transaction is; what a resolved promise spoke of is there for good.
 *
 * @module
 */
import {
  CorruptLogError,
  DiskFullError,
  type Entry,
  type HardState,
  type LoadedState,
  type LogBatch,
  type LogStorage,
  type SnapshotMeta,
  type SnapshotWriter,
} from "#raft";

export interface MemoryDiskOptions {
  /** How long a write takes; resolved at once when left out. */
  readonly delay?: () => Promise<void>;
  /** Decides which of the writes under way a crash lets through. */
  readonly random?: () => number;
}

interface StoredSnapshot {
  readonly meta: SnapshotMeta;
  readonly chunks: readonly Uint8Array[];
}

/** A write on its way; `commit` makes it durable. */
interface PendingWrite {
  readonly commit: () => void;
}

export class MemoryDisk {
  /** No room for entries and snapshots; hard state always fits. */
  full = false;
  /** No room for a snapshot's name, though there was some for its bytes. */
  nameless = false;
  /** What the next writes fail with: the disk is broken. */
  failing: Error | null = null;
  hardState: HardState = { term: 0, vote: 0, commit: 0 };
  entries: readonly Entry[] = [];
  snapshot: StoredSnapshot | null = null;
  readonly #options: MemoryDiskOptions;
  #corrupt = false;
  #life = 0;
  #pending: PendingWrite[] = [];

  constructor(options: MemoryDiskOptions = {}) {
    this.#options = options;
  }

  /** The disk as a node finds it when it starts; the life before it is over. */
  open(): LogStorage {
    this.crash();
    return new MemoryLog(this, this.#life);
  }

  crash(): void {
    this.#life += 1;
    const pending = this.#pending;
    this.#pending = [];
    const random = this.#options.random ?? (() => 1);
    for (const write of pending) {
      // Writes reach a disk in order: behind the first that got lost there is none.
      if (random() >= 0.5) return;
      write.commit();
    }
  }

  /** What no honest disk does: the newest entries, though synced, are gone. To see that somebody notices. */
  forget(count: number): void {
    this.entries = this.entries.slice(0, Math.max(0, this.entries.length - count));
  }

  /** A bit flips somewhere in the log. */
  corrupt(): void {
    this.#corrupt = true;
  }

  isAlive(life: number): boolean {
    return this.#life === life;
  }

  read(): void {
    if (this.#corrupt) throw new CorruptLogError("Read the log: a checksum is wrong");
  }

  async write(life: number, takes: "room" | "name" | "nothing", commit: () => void): Promise<void> {
    if (!this.isAlive(life)) return forever();
    if ((takes !== "nothing" && this.full) || (takes === "name" && this.nameless)) {
      await this.#options.delay?.();
      throw new DiskFullError("Write to the log: no room");
    }
    if (this.failing !== null) throw this.failing;
    const write: PendingWrite = { commit };
    this.#pending.push(write);
    await this.#options.delay?.();
    if (!this.isAlive(life)) return forever();
    this.#pending = this.#pending.filter((other) => other !== write);
    commit();
  }
}

/** Whoever waits for a crashed node's write waits for ever: the node is gone, too. */
function forever(): Promise<never> {
  return new Promise(() => {});
}

class MemoryLog implements LogStorage {
  readonly #disk: MemoryDisk;
  readonly #life: number;
  #writer: MemorySnapshotWriter | null = null;

  constructor(disk: MemoryDisk, life: number) {
    this.#disk = disk;
    this.#life = life;
  }

  async load(): Promise<LoadedState> {
    this.#disk.read();
    const { hardState, snapshot, entries } = this.#disk;
    const after = snapshot?.meta.index ?? 0;
    return { hardState, snapshot: snapshot?.meta ?? null, entries: entries.filter((entry) => entry.index > after) };
  }

  append(batch: LogBatch): Promise<void> {
    return this.#disk.write(this.#life, batch.entries.length > 0 ? "room" : "nothing", () => {
      if (batch.hardState !== null) this.#disk.hardState = batch.hardState;
      const first = batch.entries[0];
      if (first === undefined) return;
      this.#disk.entries = [...this.#disk.entries.filter((entry) => entry.index < first.index), ...batch.entries];
    });
  }

  async createSnapshot(meta: SnapshotMeta): Promise<SnapshotWriter> {
    // A new file takes its time, too, and the log goes on meanwhile.
    await this.#disk.write(this.#life, "room", () => {});
    if (this.#writer !== null) throw new Error("Create a snapshot: another one is being written");
    const writer = new MemorySnapshotWriter(this.#disk, this.#life, meta, () => {
      if (this.#writer === writer) this.#writer = null;
    });
    this.#writer = writer;
    return writer;
  }

  async readSnapshot(): Promise<{ meta: SnapshotMeta; chunks: AsyncIterable<Uint8Array> } | null> {
    this.#disk.read();
    const snapshot = this.#disk.snapshot;
    if (snapshot === null) return null;
    return { meta: snapshot.meta, chunks: chunksOf(snapshot.chunks) };
  }

  async installSnapshot(writer: SnapshotWriter, hardState: HardState): Promise<void> {
    if (!(writer instanceof MemorySnapshotWriter)) throw new Error("Install a snapshot: not written here");
    await writer.install(() => {
      this.#disk.entries = [];
      this.#disk.hardState = hardState;
    });
  }

  compact(index: number): Promise<void> {
    const limit = Math.min(index, this.#disk.snapshot?.meta.index ?? 0);
    return this.#disk.write(this.#life, "nothing", () => {
      this.#disk.entries = this.#disk.entries.filter((entry) => entry.index > limit);
    });
  }

  async close(): Promise<void> {}
}

class MemorySnapshotWriter implements SnapshotWriter {
  readonly meta: SnapshotMeta;
  readonly #disk: MemoryDisk;
  readonly #life: number;
  readonly #ended: () => void;
  readonly #chunks: Uint8Array[] = [];

  constructor(disk: MemoryDisk, life: number, meta: SnapshotMeta, ended: () => void) {
    this.#disk = disk;
    this.#life = life;
    this.meta = meta;
    this.#ended = ended;
  }

  write(chunk: Uint8Array): Promise<void> {
    return this.#disk.write(this.#life, "room", () => {
      this.#chunks.push(chunk.slice());
    });
  }

  /** Chunks are durable as they come. */
  async seal(): Promise<void> {}

  finish(): Promise<void> {
    return this.install(() => {});
  }

  async install(alsoCommit: () => void): Promise<void> {
    await this.#disk.write(this.#life, "name", () => {
      this.#disk.snapshot = { meta: this.meta, chunks: this.#chunks };
      alsoCommit();
    });
    this.#ended();
  }

  async abort(): Promise<void> {
    this.#ended();
  }
}

async function* chunksOf(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield chunk;
}
