/**
 * A disk for raft in memory, and the LogStorage on it: survives the node, loses what was not synced, tears, fills up, rots.
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
  type Salvage,
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
  /** What would fail its checksum: a hard state, a snapshot, entries. Whatever takes its place is sound. */
  readonly #damaged = new Set<object>();
  /** Why no part of it is to be believed; null: each speaks for itself. */
  condemned: string | null = null;
  #recoveries = 0;
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

  /** A bit flips somewhere in what is on the disk; `chance` in [0, 1) says where. */
  corrupt(chance = 0.5): void {
    const { hardState, snapshot, entries } = this;
    const parts: readonly object[] = [hardState, ...(snapshot === null ? [] : [snapshot]), ...entries];
    const part = parts[Math.floor(chance * parts.length)];
    if (part !== undefined) this.#damaged.add(part);
  }

  nextRecovery(): number {
    this.#recoveries += 1;
    return this.#recoveries;
  }

  isSound(part: object): boolean {
    return !this.#damaged.has(part);
  }

  isAlive(life: number): boolean {
    return this.#life === life;
  }

  read(...parts: readonly object[]): void {
    if (!parts.every((part) => this.isSound(part))) throw new CorruptLogError("Read the log: a checksum is wrong");
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
    const { hardState, snapshot, condemned } = this.#disk;
    if (condemned !== null) throw new CorruptLogError(condemned);
    const after = snapshot?.meta.index ?? 0;
    const entries = this.#disk.entries.filter((entry) => entry.index > after);
    this.#disk.read(hardState, ...entries);
    return { hardState, snapshot: snapshot?.meta ?? null, entries };
  }

  async recover(): Promise<Salvage> {
    const recovery = this.#disk.nextRecovery();
    const { hardState, snapshot, entries } = this.#disk;
    const kept = snapshot === null || this.#disk.isSound(snapshot) ? snapshot : null;
    const base = kept?.meta.index ?? 0;
    const rest: Entry[] = [];
    for (const entry of entries.filter(({ index }) => index > base)) {
      if (entry.index !== base + 1 + rest.length || !this.#disk.isSound(entry)) break;
      rest.push(entry);
    }
    const term = rest.at(-1)?.term ?? kept?.meta.term ?? 0;
    const state = this.#disk.isSound(hardState) ? hardState : { term, vote: 0, commit: 0 };
    await this.#disk.write(this.#life, "nothing", () => {
      this.#disk.hardState = { ...state, recovery };
      this.#disk.snapshot = kept;
      this.#disk.entries = rest;
      this.#disk.condemned = null;
    });
    return { kept: `entries up to ${base + rest.length}`, setAside: "nowhere" };
  }

  condemn(reason: string): Promise<void> {
    return this.#disk.write(this.#life, "nothing", () => {
      this.#disk.condemned = reason;
    });
  }

  async verify(): Promise<void> {
    const { hardState, snapshot, entries } = this.#disk;
    this.#disk.read(hardState, ...(snapshot === null ? [] : [snapshot]), ...entries);
  }

  append(batch: LogBatch): Promise<void> {
    return this.#disk.write(this.#life, batch.entries.length > 0 ? "room" : "nothing", () => {
      if (batch.hardState !== null) this.#disk.hardState = batch.hardState;
      const first = batch.entries[0];
      if (first === undefined) return;
      const { entries } = this.#disk;
      const base = entries[0]?.index ?? first.index;
      this.#disk.entries = entries.slice(0, Math.max(0, first.index - base)).concat(batch.entries);
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
    const { snapshot } = this.#disk;
    if (snapshot === null) return null;
    this.#disk.read(snapshot);
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
