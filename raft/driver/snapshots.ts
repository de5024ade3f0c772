/**
 * Snapshots taken here, and sent to a laggard; those that come in are the receiver's (snapshot-receiver.ts). All beside the loop.
 *
 * Idea. Bytes move chunk by chunk between machine, disk and network while the loop goes on turning; only the moments
 * that touch the core run between two of its turns (`between`), so that none of them sees half a batch.
 *
 * Invariants.
 * - One snapshot is written at a time; a received one interrupts one that is being taken, which it makes useless.
 * - The machine is pinned between turns: its state is exactly that of the index that names the snapshot.
 *
 * @module
 */
import { isUnknown } from "../core/membership.ts";
import type { HardState, LogIndex, Message, NodeId, SnapshotMeta, Term } from "../types.ts";
import {
  type Clock,
  CorruptLogError,
  DiskFullError,
  type LogStorage,
  type RaftLog,
  type SnapshotWriter,
  type StateMachine,
  type Timer,
  type Transport,
} from "./ports.ts";
import { SnapshotReceiver } from "./snapshot-receiver.ts";

/** A follower that could not take a snapshot gets the next try after this: no use in sending megabytes in a circle. */
const SEND_RETRY_MS = 1000;

/** What the loop offers to the jobs beside it. */
export interface SnapshotLoop {
  /** Runs `job` between two turns, soon. Dropped when the node stops. */
  between(job: () => void): void;
  /** What the machine's state stands for right now; call it between turns. */
  position(): SnapshotMeta;
  commit(): LogIndex;
  step(message: Message): void;
  /** A snapshot taken here is on disk. */
  taken(meta: SnapshotMeta): void;
  sent(to: NodeId, ok: boolean): void;
  fatal(error: Error): void;
}

export interface SnapshotOptions {
  readonly id: NodeId;
  readonly clock: Clock;
  readonly storage: LogStorage;
  readonly transport: Transport;
  readonly machine: StateMachine;
  readonly log: RaftLog;
  readonly loop: SnapshotLoop;
}

/** "taken": the snapshot on disk stands for what was applied when it was begun, or for more. */
export type Taken = "taken" | "disk-full" | "receiving" | "stopped" | "unknown-membership";

interface Taking {
  readonly done: Promise<Taken>;
  readonly resolve: (outcome: Taken) => void;
  cancelled: boolean;
  /** Doubts that this one does away with: those from before the machine was pinned for it. */
  doubts: number;
}

export class Snapshots {
  readonly receiver: SnapshotReceiver;
  readonly #options: SnapshotOptions;
  #index: LogIndex;
  /** How often the one on disk, or being written, was found to be worth nothing, and how many of these finds the one on disk is younger
   *  than. While there are more, another of the same index is worth something. */
  #doubts = 0;
  #doubtsSettled = 0;
  #taking: Taking | null = null;
  readonly #tasks = new Set<Promise<void>>();
  readonly #retries = new Set<Timer>();
  #stopped = false;

  constructor(options: SnapshotOptions, index: LogIndex) {
    this.#options = options;
    this.#index = index;
    this.receiver = new SnapshotReceiver({ ...options, clearTheWay: () => this.#clearTheWay() });
  }

  /** Index of the latest snapshot on disk. */
  get index(): LogIndex {
    return this.#index;
  }

  get #isDoubted(): boolean {
    return this.#doubtsSettled < this.#doubts;
  }

  get busy(): boolean {
    return this.#taking !== null || this.receiver.busy;
  }

  /** Takes one of the present state; joins one that is being taken, which may stand for less. */
  take(): Promise<Taken> {
    if (this.#taking !== null) return this.#taking.done;
    if (this.#stopped) return Promise.resolve("stopped");
    if (this.receiver.busy) return Promise.resolve("receiving");
    const { promise: done, resolve } = Promise.withResolvers<Taken>();
    const taking: Taking = { done, cancelled: false, resolve, doubts: 0 };
    this.#taking = taking;
    this.#options.loop.between(() => {
      const meta = this.#options.loop.position();
      const end = (outcome: Taken) => {
        this.#taking = null;
        resolve(outcome);
      };
      if (taking.cancelled) return end("receiving");
      // A newcomer does not know yet who takes part: its snapshot would not say either.
      if (isUnknown(meta.membership)) return end("unknown-membership");
      if (meta.index < this.#index || (meta.index === this.#index && !this.#isDoubted)) return end("taken");
      taking.doubts = this.#doubts;
      this.#run(this.#write(meta, this.#options.machine.snapshot(), taking));
    });
    return done;
  }

  /** What is on disk is damaged, or of a state that was wrong: the present one, which is sound in memory, takes its place and that of the
   *  log behind it. */
  async renew(): Promise<Taken> {
    this.#doubts += 1;
    const doubt = this.#doubts;
    const outcome = await this.take();
    // One that was under way may be of the state of before; whichever follows it was begun after this call.
    return outcome === "taken" && this.#doubtsSettled < doubt ? this.take() : outcome;
  }

  async #write(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>, taking: Taking): Promise<void> {
    const { storage, log, loop } = this.#options;
    let outcome: Taken = "disk-full";
    try {
      await this.receiver.dropPrefix();
      const writer = await storage.createSnapshot(meta);
      const isWhole = await this.#fill(writer, chunks, taking);
      outcome = isWhole ? "taken" : this.#stopped ? "stopped" : "receiving";
      if (isWhole) {
        this.#index = meta.index;
        this.#doubtsSettled = taking.doubts;
        loop.between(() => loop.taken(meta));
        await storage.compact(meta.index);
      }
    } catch (error) {
      if (!(error instanceof DiskFullError)) throw error;
      log.warning(
        "Taking a snapshot of the state failed: the disk is full, the log keeps growing until there is room",
        {
          index: meta.index,
        },
      );
    } finally {
      this.#taking = null;
      taking.resolve(outcome);
    }
  }

  async #fill(writer: SnapshotWriter, chunks: AsyncIterable<Uint8Array>, taking: Taking): Promise<boolean> {
    try {
      for await (const chunk of chunks) {
        if (taking.cancelled || this.#stopped) break;
        await writer.write(chunk);
      }
      if (!taking.cancelled && !this.#stopped) {
        await writer.finish();
        return true;
      }
    } catch (error) {
      await writer.abort();
      throw error;
    }
    await writer.abort();
    return false;
  }

  /** The core asked for it: this follower lags behind the log. */
  send(to: NodeId, term: Term): void {
    if (!this.#stopped) this.#run(this.#stream(to, term));
  }

  async #stream(to: NodeId, term: Term): Promise<void> {
    const { storage, transport, clock, log, loop } = this.#options;
    const report = (ok: boolean) => loop.between(() => loop.sent(to, ok));
    try {
      if (this.#isDoubted) throw new Error("it is worth nothing, and is being taken anew");
      const snapshot = await storage.readSnapshot();
      if (snapshot === null) return report(false);
      try {
        log.info("Sending a snapshot to a member that lags behind the log", { to, index: snapshot.meta.index });
        await transport.sendSnapshot(to, snapshot.meta, term, snapshot.chunks);
      } finally {
        await release(snapshot.chunks);
      }
      report(true);
    } catch (error) {
      if (this.#stopped) return;
      log.warning("Sending a snapshot failed", { to, index: this.#index, reason: reasonOf(error) });
      if (error instanceof CorruptLogError) void this.renew();
      else if (this.#isDoubted) void this.take();
      const retry = clock.after(SEND_RETRY_MS, () => {
        this.#retries.delete(retry);
        report(false);
      });
      this.#retries.add(retry);
    }
  }

  /** The receiver's side of the loop's duties. */
  async install(wanted: SnapshotMeta, hardState: HardState): Promise<boolean> {
    const isInstalled = await this.receiver.install(wanted, hardState);
    if (isInstalled) {
      this.#index = wanted.index;
      this.#doubtsSettled = this.#doubts;
    }
    return isInstalled;
  }

  async #clearTheWay(): Promise<void> {
    if (this.#taking === null) return;
    this.#taking.cancelled = true;
    await this.#taking.done;
  }

  /** Resolves when nothing runs any more. Stop the transport first: it ends the streams. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const retry of this.#retries) retry.cancel();
    this.#retries.clear();
    // Its start may still have waited for a turn that never comes.
    this.#taking?.resolve("stopped");
    await Promise.all([this.receiver.stop(), ...this.#tasks]);
  }

  #run(task: Promise<void>): void {
    const guarded: Promise<void> = task
      .catch((error) => this.#options.loop.fatal(error instanceof Error ? error : new Error(String(error))))
      .finally(() => this.#tasks.delete(guarded));
    this.#tasks.add(guarded);
  }
}

/** Lets go of a reader that may not have been read to its end, or not at all: its iterator is its only one. */
export async function release(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  await chunks[Symbol.asyncIterator]().return?.();
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
