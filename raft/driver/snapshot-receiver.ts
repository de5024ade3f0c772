/**
 * Takes a snapshot from the leader: to the disk and into a new state, chunk by chunk, then in place of log and state.
 *
 * Problem. Two hundred megabytes take seconds to come, to write and to read. Meanwhile this node must go on answering heartbeats
 * and votes, and a connection that breaks should not cost what was there already.
 * Idea. Each chunk goes to a file and to the machine's loader, beside the loop. When all are there, the core decides whether it
 * wants them, and only the end happens in a turn of the loop: one transaction, and the loaded state takes the place of the old one. What a
 * broken transfer left is kept for a while, and told to whoever begins the next one.
 *
 * What a crash leaves behind:
 * - before installSnapshot commits: a file without a name, thrown away at the next start; the node is as before.
 * - after it, before the new state is in place: the disk holds the new state; the start loads the machine from it.
 * - after that, before the reply left: the leader sends again, the core answers that its log has it already.
 * So the order is: chunks, one transaction (snapshot, empty log, hard state), machine, core, reply.
 *
 * Invariants.
 * - One snapshot at a time. File, loader and digest of a prefix hold the same chunks, or the prefix is dropped.
 * - The machine's state is replaced only by bytes that are whole, and the sender's where it told their digest.
 *
 * @module
 */
import type { HardState, LogIndex, Message, NodeId, SnapshotMeta } from "../types.ts";
import {
  type Clock,
  DiskFullError,
  type IncomingSnapshot,
  type LogStorage,
  type RaftLog,
  type SnapshotPrefix,
  type SnapshotWriter,
  type StateLoader,
  type StateMachine,
  type Timer,
} from "./ports.ts";
import { SnapshotDigest } from "./snapshot-digest.ts";

/** How long the rest is waited for. It holds disk and memory as the whole would, and after this long the leader has a newer one. */
const PREFIX_KEPT_MS = 120_000;

/** How often a disk without room for a snapshot's name is asked again, and how many times before the node gives up. */
const ROOM_RETRY_MS = 1000;
const ROOM_RETRIES_MAX = 60;

export interface ReceiverLoop {
  between(job: () => void): void;
  commit(): LogIndex;
  step(message: Message): void;
  fatal(error: Error): void;
}

export interface ReceiverOptions {
  readonly id: NodeId;
  readonly clock: Clock;
  readonly storage: LogStorage;
  readonly machine: StateMachine;
  readonly log: RaftLog;
  readonly loop: ReceiverLoop;
  /** Sees to it that the disk writes no other snapshot. */
  readonly clearTheWay: () => Promise<void>;
}

/** A snapshot on its way in, whether its transfer goes on or broke. */
interface Arrival {
  readonly meta: SnapshotMeta;
  readonly writer: SnapshotWriter;
  readonly loader: StateLoader;
  readonly digest: SnapshotDigest;
  /** Why the machine cannot read it. What comes is looked at to the end all the same: altered bytes are not the leader's. */
  unreadable: Error | null;
}

interface Offer {
  readonly meta: SnapshotMeta;
  readonly writer: SnapshotWriter;
  readonly replaceState: () => void;
  /** True when the core took it and it is installed; false when it was stale. */
  readonly decide: (used: boolean) => void;
  readonly fail: (error: Error) => void;
}

export class SnapshotReceiver {
  readonly #options: ReceiverOptions;
  #receiving = false;
  #prefix: Arrival | null = null;
  #prefixEnd: Timer | null = null;
  #offer: Offer | null = null;
  #stopped = false;
  readonly #tasks = new Set<Promise<void>>();
  /** Ends the wait for room on the disk. */
  #wakeRoom: () => void = () => {};

  constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  get busy(): boolean {
    return this.#receiving;
  }

  /** What the next transfer need not bring again. */
  prefix(): SnapshotPrefix | null {
    if (this.#prefix === null || this.#receiving) return null;
    const { meta, digest } = this.#prefix;
    return { index: meta.index, term: meta.term, chunks: digest.chunks, digest: digest.value() };
  }

  /** Resolves when it is installed or proved stale; rejects when it could not be taken. */
  receive(from: NodeId, incoming: IncomingSnapshot): Promise<void> {
    const received = this.#receive(from, incoming);
    const settled: Promise<void> = received.then(
      () => {},
      () => {},
    );
    this.#tasks.add(settled);
    return received.finally(() => this.#tasks.delete(settled));
  }

  /** Makes room for another snapshot: the rest of this one is not waited for any more. */
  async dropPrefix(): Promise<void> {
    const prefix = this.#prefix;
    this.#forgetPrefix();
    await prefix?.writer.abort();
  }

  /** The loop fetched a Ready after the jobs between turns: if it does not ask for the offered snapshot, it was stale. */
  decided(wanted: SnapshotMeta | null): void {
    if (this.#offer === null || wanted !== null) return;
    this.#offer.decide(false);
    this.#offer = null;
  }

  /** The loop's duty for Ready.snapshot: disk, then machine. @returns false when the node stops before there was room for it. */
  async install(wanted: SnapshotMeta, hardState: HardState): Promise<boolean> {
    const { log } = this.#options;
    const offer = this.#offer;
    if (offer === null || offer.meta.index !== wanted.index || offer.meta.term !== wanted.term) {
      throw new Error(`Install snapshot ${wanted.index}: its bytes are not here`);
    }
    this.#offer = null;
    try {
      if (!(await this.#nameWithRoom(offer.writer, hardState))) {
        offer.fail(new Error("Take a snapshot from a peer: this node is stopping"));
        return false;
      }
      offer.replaceState();
      log.info("Installed a snapshot from the leader", { index: wanted.index, term: wanted.term });
      offer.decide(true);
      return true;
    } catch (error) {
      offer.fail(asError(error));
      throw error;
    }
  }

  /**
   * The core has given up its log for this snapshot, so a full disk leaves nothing but to wait for room: some pages for the name, the
   * bytes are there. Not for ever: what comes in meanwhile piles up.
   */
  async #nameWithRoom(writer: SnapshotWriter, hardState: HardState): Promise<boolean> {
    const { storage, clock, log } = this.#options;
    for (let tries = 1; !this.#stopped; tries++) {
      try {
        await storage.installSnapshot(writer, hardState);
        return true;
      } catch (error) {
        if (!(error instanceof DiskFullError) || tries > ROOM_RETRIES_MAX) throw error;
        if (tries === 1) log.error("Installing a snapshot from the leader waits: the disk is full");
      }
      await new Promise<void>((resolve) => {
        const retry = clock.after(ROOM_RETRY_MS, resolve);
        this.#wakeRoom = () => {
          retry.cancel();
          resolve();
        };
      });
    }
    return false;
  }

  /** Resolves when nothing runs any more. Stop the transport first: it ends the streams. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#offer?.fail(new Error("Take a snapshot from a peer: this node is stopping"));
    this.#offer = null;
    this.#wakeRoom();
    await Promise.all(this.#tasks);
    await this.dropPrefix();
  }

  async #receive(from: NodeId, incoming: IncomingSnapshot): Promise<void> {
    const { id, loop } = this.#options;
    const { meta, term } = incoming;
    const message: Message = { kind: "snapshot", from, to: id, term, snapshot: meta };
    if (this.#stopped || this.#receiving) throw new Error("Take a snapshot from a peer: not ready for one");
    if (meta.index <= loop.commit()) {
      loop.between(() => loop.step(message));
      return;
    }
    this.#receiving = true;
    try {
      const arrival = await this.#resumeOrBegin(incoming);
      await this.#takeAll(arrival, incoming);
      try {
        const replaceState = this.#checked(arrival, incoming.digest());
        // Megabytes are synced beside the loop, and a disk without room for them refuses before the core gives up its log.
        await this.#onDisk(arrival.writer.seal());
        if (!(await this.#offerToCore(message, arrival, replaceState))) await arrival.writer.abort();
      } catch (error) {
        await arrival.writer.abort();
        throw error;
      }
    } finally {
      this.#receiving = false;
    }
  }

  async #resumeOrBegin({ meta, skipped }: IncomingSnapshot): Promise<Arrival> {
    const { storage, machine, log, clearTheWay } = this.#options;
    await clearTheWay();
    const prefix = this.#prefix;
    if (skipped > 0) {
      const fits = prefix !== null && prefix.meta.index === meta.index && prefix.meta.term === meta.term;
      if (!fits || prefix.digest.chunks !== skipped) {
        throw new Error("Go on with a snapshot from a peer: its beginning is not here any more");
      }
      this.#forgetPrefix();
      log.info("Going on with the snapshot that a broken connection interrupted", {
        index: meta.index,
        chunks: skipped,
      });
      return prefix;
    }
    await this.dropPrefix();
    const writer = await this.#onDisk(storage.createSnapshot(meta));
    return { meta, writer, loader: machine.load(), digest: new SnapshotDigest(), unreadable: null };
  }

  /** When the transfer breaks, what came is kept; when this node cannot take it, it is dropped. */
  async #takeAll(arrival: Arrival, { chunks }: IncomingSnapshot): Promise<void> {
    const iterator = chunks[Symbol.asyncIterator]();
    let isOurs = false;
    try {
      for (;;) {
        const { done, value } = await iterator.next();
        if (done) return;
        isOurs = true;
        load(arrival, value);
        await this.#onDisk(arrival.writer.write(value));
        isOurs = false;
      }
    } catch (error) {
      if (isOurs || this.#stopped || arrival.digest.chunks === 0) await arrival.writer.abort();
      else this.#keep(arrival);
      throw error;
    } finally {
      await iterator.return?.();
    }
  }

  #keep(arrival: Arrival): void {
    this.#prefix = arrival;
    this.#prefixEnd = this.#options.clock.after(PREFIX_KEPT_MS, () => {
      const dropped = this.dropPrefix().catch((error) => this.#options.loop.fatal(error));
      const settled: Promise<void> = dropped.finally(() => this.#tasks.delete(settled));
      this.#tasks.add(settled);
    });
  }

  #forgetPrefix(): void {
    this.#prefix = null;
    this.#prefixEnd?.cancel();
    this.#prefixEnd = null;
  }

  #checked(arrival: Arrival, told: string | null): () => void {
    if (told !== null && told !== arrival.digest.value()) {
      throw new Error("Take a snapshot from a peer: its bytes were altered on the way");
    }
    try {
      if (arrival.unreadable !== null) throw arrival.unreadable;
      return arrival.loader.finish();
    } catch (error) {
      // It is what the leader has: this program cannot follow it, now or later.
      this.#options.loop.fatal(asError(error));
      throw error;
    }
  }

  /** A failure of the disk that is no refusal ends the node, here as everywhere. */
  async #onDisk<T>(access: Promise<T>): Promise<T> {
    try {
      return await access;
    } catch (error) {
      if (!(error instanceof DiskFullError)) this.#options.loop.fatal(asError(error));
      throw error;
    }
  }

  #offerToCore(message: Message, { meta, writer }: Arrival, replaceState: () => void): Promise<boolean> {
    if (this.#stopped) throw new Error("Take a snapshot from a peer: this node is stopping");
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    this.#offer = { meta, writer, replaceState, decide: resolve, fail: reject };
    this.#options.loop.between(() => this.#options.loop.step(message));
    return promise;
  }
}

function load(arrival: Arrival, chunk: Uint8Array): void {
  try {
    if (arrival.unreadable === null) arrival.loader.write(chunk);
  } catch (error) {
    arrival.unreadable = asError(error);
  }
  arrival.digest.add(chunk);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
