/**
 * The Ready loop: takes the core's decisions out, batch by batch, and does the caller's four duties for each.
 *
 * Problem. A vote or an entry that was announced must survive a crash, while disk and network take their time.
 * Idea. Inputs go into the core at any moment; one loop does persist, send, apply, advance. While a batch is being
 * written, inputs pile up for the next: under load batches grow by themselves and nobody waits for a timer.
 *
 * Invariants.
 * - One batch at a time. Nothing that depends on a batch leaves this node before it is on disk; only a leader whose
 *   vote and term are already there sends its entries while they are being written (thesis 10.2.1).
 * - The machine sees every committed command once, in index order, per process life, and only when it is on this disk.
 * - A full disk is a refusal: hard state and heartbeats go on, entries are tried again with each input, and a leader hands
 *   its office to a member that has room. Any other failure of the disk, or a broken invariant, ends the loop.
 *
 * @module
 */
import { membershipOf } from "../core/config-entry.ts";
import { isSameElection, type RaftCore } from "../core/raft-core.ts";
import type {
  Configuration,
  Entry,
  HardState,
  LogIndex,
  Membership,
  Message,
  NodeId,
  Ready,
  SnapshotMeta,
  SoftState,
  Term,
} from "../types.ts";
import type { ResolvedConfig } from "./config.ts";
import { distrust } from "./disk-check.ts";
import {
  type Clock,
  DiskFullError,
  type LogStorage,
  type RaftLog,
  type StateMachine,
  type Transport,
} from "./ports.ts";
import type { Proposals } from "./proposals.ts";
import type { Reads } from "./reads.ts";
import { type SnapshotLoop, Snapshots } from "./snapshots.ts";

/** A batch that applies longer than this lets timers and sockets go first, before the next. */
const MAX_TURN_MS = 20;

/** One for the attempt, the rest so that a cluster without room anywhere is not kept busy with it. */
const HAND_OVER_EVERY_TIMEOUTS = 5;

export interface ReadyLoopOptions {
  readonly config: ResolvedConfig;
  readonly core: RaftCore;
  readonly clock: Clock;
  readonly storage: LogStorage;
  readonly transport: Transport;
  readonly machine: StateMachine;
  readonly log: RaftLog;
  readonly proposals: Proposals;
  readonly reads: Reads;
  /** What the disk held at the start; the machine stands at the snapshot. */
  readonly hardState: HardState;
  readonly snapshot: SnapshotMeta | null;
  readonly membership: Membership;
  readonly onSoftState: (state: SoftState) => void;
  /** Another membership is applied. */
  readonly onMembership: (configuration: Configuration) => void;
  readonly onFatal: (error: Error) => void;
}

export class ReadyLoop implements SnapshotLoop {
  readonly snapshots: Snapshots;
  readonly #options: ReadyLoopOptions;
  readonly #core: RaftCore;
  #between: (() => void)[] = [];
  #running: Promise<void> | null = null;
  #stopped = false;
  #failed = false;
  #turnStartedAt: number | null = null;
  /** The newest hard state that the core decided on, and what of it is on disk. A commit index alone is worth no sync. */
  #hardState: HardState;
  #savedHardState: HardState;
  #membership: Membership;
  #applied: LogIndex;
  #appliedTerm: Term;
  /** Since the last snapshot was begun. */
  #loggedFrom: LogIndex;
  #loggedBytes = 0;
  #diskFull = false;
  #nextHandOverAt = Number.NEGATIVE_INFINITY;
  /** A batch is on its way to the disk. */
  #writing = false;
  #meanwhile = false;

  constructor(options: ReadyLoopOptions) {
    this.#options = options;
    this.#core = options.core;
    this.#hardState = options.hardState;
    this.#savedHardState = options.hardState;
    this.#membership = options.membership;
    this.#applied = options.snapshot?.index ?? 0;
    this.#appliedTerm = options.snapshot?.term ?? 0;
    this.#loggedFrom = this.#applied;
    const { clock, storage, transport, machine, log } = options;
    this.snapshots = new Snapshots(
      { id: options.config.id, clock, storage, transport, machine, log, loop: this },
      this.#applied,
    );
    options.reads.appliedTo(this.#applied);
  }

  get applied(): LogIndex {
    return this.#applied;
  }
  /** Applied here: what a snapshot of the present state stands for. */
  get membership(): Membership {
    return this.#membership;
  }
  get diskFull(): boolean {
    return this.#diskFull;
  }
  /** Clock time at which the batch in work began; null when idle. */
  get turnStartedAt(): number | null {
    return this.#turnStartedAt;
  }

  /** Hands an input to the core and sees to it that the outcome is dealt with. */
  input(act: (core: RaftCore) => void): void {
    if (this.#stopped) return;
    try {
      act(this.#core);
    } catch (error) {
      this.fatal(toError(error));
      return;
    }
    this.wake();
  }

  /** The loop turns at the end of the present microtasks, so that inputs that come together make one batch. */
  wake(): void {
    if (this.#stopped) return;
    if (this.#running !== null) {
      this.#wakeMeanwhile();
      return;
    }
    this.#running = Promise.resolve()
      .then(() => this.#run())
      .catch((error) => this.fatal(toError(error)));
  }

  /** Resolves when the loop has nothing left to do, or was stopped. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  /** Stops turning; resolves when the batch in work ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#between = [];
    await Promise.all([this.snapshots.stop(), this.idle()]);
  }

  /** After stop(): spares the next start the wait for the leader's word on what is committed. */
  async saveCommit(): Promise<void> {
    if (this.#hardState.commit === this.#savedHardState.commit || this.#diskFull || this.#failed) return;
    await this.#options.storage.append({ hardState: this.#hardState, entries: [], mustSync: false });
  }

  between(job: () => void): void {
    if (this.#stopped) return;
    this.#between.push(job);
    this.wake();
  }

  position(): SnapshotMeta {
    this.#loggedFrom = this.#applied;
    this.#loggedBytes = 0;
    return { index: this.#applied, term: this.#appliedTerm, membership: this.#membership };
  }

  commit(): LogIndex {
    return this.#core.commit;
  }

  step(message: Message): void {
    this.#core.step(message);
  }

  taken(meta: SnapshotMeta): void {
    const { trailingEntries, snapshotLogBytes, laggardLogBytes, laggardLogEntries } = this.#options.config;
    const needed = Math.min(meta.index, this.#core.neededBehind);
    this.#core.compact(Math.max(0, Math.min(meta.index - trailingEntries, needed)), meta);
    // Whoever is just being sent a snapshot would need the next one at once without what comes behind it, and so on for ever.
    if (this.#core.entryBytes > snapshotLogBytes) this.#core.compact(needed, meta);
    const isTooMuch = this.#core.entryBytes > snapshotLogBytes + laggardLogBytes;
    if (isTooMuch || meta.index - needed > laggardLogEntries) this.#core.compact(meta.index, meta);
  }

  sent(to: NodeId, ok: boolean): void {
    this.#core.snapshotSent(to, ok);
  }

  fatal(error: Error): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#stopped = true;
    this.#between = [];
    this.#options.onFatal(error);
  }

  async #run(): Promise<void> {
    const { clock, reads } = this.#options;
    try {
      while (!this.#stopped) {
        const jobs = this.#between;
        this.#between = [];
        for (const job of jobs) job();
        if (this.#core.forgotten !== null)
          await distrust(this.#options.storage, this.#core.forgotten, this.#core.lastIndex);
        reads.begin();
        const ready = this.#core.ready();
        this.snapshots.receiver.decided(ready?.snapshot ?? null);
        if (ready === null) {
          if (this.#between.length > 0) continue;
          return;
        }
        const startedAt = clock.now();
        this.#turnStartedAt = startedAt;
        // Without room on the disk the same entries would come again at once: the next input, or tick, tries again.
        if (!(await this.#turn(ready))) return;
        if (clock.now() - startedAt > MAX_TURN_MS) await new Promise<void>((resolve) => clock.after(0, resolve));
      }
    } finally {
      this.#turnStartedAt = null;
      this.#running = null;
    }
  }

  /** @returns false when the entries found no room on the disk. */
  async #turn(ready: Ready): Promise<boolean> {
    if (ready.hardState !== null) this.#hardState = ready.hardState;
    const early = this.#core.role === "leader" && ready.snapshot === null && !this.#electionStateUnsaved();
    if (early) this.#send(ready.messages);
    if (ready.snapshot !== null && !(await this.#install(ready.snapshot))) return true;
    this.#writing = true;
    const persisted = await this.#persist(ready);
    this.#writing = false;
    if (this.#stopped) return true;
    if (!early) this.#send(persisted ? ready.messages : ready.messages.filter(promisesNothing));
    if (ready.softState !== null) this.#options.onSoftState(ready.softState);
    const firstMissing = persisted ? Number.POSITIVE_INFINITY : (ready.entries[0]?.index ?? 0);
    this.#apply(ready.committed, firstMissing);
    for (const readState of ready.readStates) this.#options.reads.answered(readState);
    this.#core.advance(persisted);
    if (!persisted) this.#handOver();
    this.#options.reads.appliedTo(this.#applied);
    this.#snapshotIfDue();
    return persisted;
  }

  #electionStateUnsaved(): boolean {
    return !isSameElection(this.#hardState, this.#savedHardState);
  }

  /** A slow disk must not silence a leader: what it has to say leaves while it is still writing. */
  #wakeMeanwhile(): void {
    if (!this.#writing || this.#meanwhile) return;
    this.#meanwhile = true;
    queueMicrotask(() => {
      this.#meanwhile = false;
      try {
        this.#sendMeanwhile();
      } catch (error) {
        this.fatal(toError(error));
      }
    });
  }

  #sendMeanwhile(): void {
    if (this.#stopped || !this.#writing || this.#core.role !== "leader") return;
    if (this.#electionStateUnsaved() || this.#core.term !== this.#savedHardState.term) return;
    this.#options.reads.begin();
    this.#send(this.#core.leaderMessages());
  }

  /** @returns false when the node stopped instead. */
  async #install(meta: SnapshotMeta): Promise<boolean> {
    const hardState = { ...this.#hardState, commit: Math.max(this.#hardState.commit, meta.index) };
    if (!(await this.snapshots.install(meta, hardState))) {
      // The disk holds the log of before, whose commit index must not speak of the snapshot.
      this.#hardState = { ...this.#hardState, commit: this.#savedHardState.commit };
      return false;
    }
    this.#hardState = hardState;
    this.#savedHardState = hardState;
    this.#joined(meta);
    this.#applied = meta.index;
    this.#appliedTerm = meta.term;
    this.#loggedFrom = meta.index;
    this.#loggedBytes = 0;
    this.#options.proposals.skippedTo(meta.index);
    return true;
  }

  async #persist(ready: Ready): Promise<boolean> {
    const { storage, log } = this.#options;
    if (ready.entries.length === 0 && !this.#electionStateUnsaved()) return true;
    const hardState = this.#hardState;
    try {
      await storage.append({ hardState, entries: ready.entries, mustSync: true });
      this.#saved(hardState);
      if (this.#diskFull) log.notice("The disk takes entries again");
      this.#diskFull = false;
      return true;
    } catch (error) {
      if (!(error instanceof DiskFullError) || ready.entries.length === 0) throw error;
      if (!this.#diskFull)
        log.error("Writing to the log failed: the disk is full, no proposal is taken until it has room");
      this.#diskFull = true;
    }
    if (this.#electionStateUnsaved()) {
      // The commit index may speak of entries that just found no room.
      const reserved = { ...hardState, commit: this.#savedHardState.commit };
      await storage.append({ hardState: reserved, entries: [], mustSync: true });
      this.#saved(reserved);
    }
    return false;
  }

  #saved(hardState: HardState): void {
    const hasRecovered = this.#savedHardState.recovery !== undefined && hardState.recovery === undefined;
    this.#savedHardState = hardState;
    if (!hasRecovered) return;
    this.#options.log.notice("This member is whole again: it has everything from the leader, votes and counts", {
      node: this.#options.config.id,
      commit: hardState.commit,
    });
  }

  /** Whoever has room should lead. When nobody takes it, because the others are full or gone, this node goes on. */
  #handOver(): void {
    const { clock, config, log } = this.#options;
    const now = clock.now();
    if (now < this.#nextHandOverAt) return;
    const [heir] = this.#core.heirs;
    if (heir === undefined || !this.#core.transferLeader(heir)) return;
    this.#nextHandOverAt = now + HAND_OVER_EVERY_TIMEOUTS * config.electionTimeoutMs;
    log.notice("Handing the leadership over: the disk is full here", { to: heir });
  }

  #send(messages: readonly Message[]): void {
    if (messages.length === 0) return;
    const carried: Message[] = [];
    for (const message of messages) {
      if (message.kind === "snapshot") this.snapshots.send(message.to, message.term);
      else carried.push(message);
    }
    this.#options.transport.send(carried);
  }

  #apply(committed: readonly Entry[], firstMissing: LogIndex): void {
    const { machine, proposals } = this.#options;
    for (const entry of committed) {
      if (entry.index >= firstMissing) break;
      const result = entry.kind === "normal" ? machine.apply(entry) : undefined;
      if (entry.kind === "config") this.#joined({ index: entry.index, membership: membershipOf(entry) });
      this.#applied = entry.index;
      this.#appliedTerm = entry.term;
      this.#loggedBytes += entry.data.length;
      proposals.applied(entry, result);
    }
  }

  #joined({ index, membership }: Configuration): void {
    this.#membership = membership;
    this.#options.onMembership({ index, membership });
  }

  #snapshotIfDue(): void {
    const { snapshotLogBytes, snapshotLogEntries } = this.#options.config;
    if (this.snapshots.busy) return;
    if (this.#loggedBytes < snapshotLogBytes && this.#applied - this.#loggedFrom < snapshotLogEntries) return;
    // Counting begins anew even if this one fails, so that a full disk is not asked again with every entry.
    void this.snapshots.take();
  }
}

/** Messages that stay true although this batch's entries are not on disk. */
function promisesNothing(message: Message): boolean {
  return (message.kind !== "append-reply" && message.kind !== "recovery-reply") || message.rejected;
}

export function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
