/**
 * The view: the registry as this member knows it, kept up to date by one watch.
 *
 * Problem. Every reader (API, engine, CLI streams) wants the whole cluster at hand, none may scan the store for it.
 * Idea. List everything below the prefix at one revision, watch from the next one, tell the listeners what changed. When
 * the watch is lost (`compacted`, `unavailable`), list again and tell them `reset`.
 * Invariants.
 * - `revision` never falls: the view holds every change up to it and, seen from a listener, none after it.
 * - sync() asks the store for its revision after it was called, so what it waits for is at least that fresh; concurrent
 *   callers share one question, but never one that was on its way before they came.
 *
 * Not here. The records and their indexes (view-state.ts).
 *
 * @module
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { type ClusterLevel, NewerFormatError } from "../lib/format.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import { pause, within } from "../lib/wait.ts";
import type { Machine, MachineId } from "../model/machine.ts";
import type { UnitReport } from "../model/states.ts";
import type { UnitOption } from "../model/unit-file.ts";
import { type CallOptions, type Kv, KvError, type Revision, type Watch, type WatchBatch } from "../store/kv.ts";
import { clusterLevel } from "./cluster-level.ts";
import type { Keys } from "./keys.ts";
import type { EngineView, Job, Refusal, Scheduled, ViewChange } from "./types.ts";
import { type RecordCounts, type StoredUnitFile, ViewState } from "./view-state.ts";

/** Keys a page of the first listing: some hundred kilobytes, so that it never holds up the event loop for long. */
const LIST_PAGE_KEYS = 1_000;
/** Pauses before a lost watch is set up again. */
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 1_000;
/** How long sync() and reached() wait unless told otherwise; below the 5 s in which a cut-off host has to answer. */
const SYNC_TIMEOUT_MS = 4_500;
/** One question serves callers of any patience; it ends before the longest, so that its own reason is heard. */
const ASK_TIMEOUT_MS = SYNC_TIMEOUT_MS - 200;
/** A progress notice that came too early (from a member that lags) is asked for again after this long. */
const PROGRESS_RETRY_MS = 20;

export interface RegistryViewOptions {
  readonly kv: Kv;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly log: Log;
  /** What is wrong with the store, for an operator; null: nothing is known. Default: nothing. */
  readonly storeTrouble?: (() => string | null) | undefined;
  /** The registry holds what only a later release can read: this view ends as it stands. Default: its run fails. */
  readonly onNewer?: ((error: NewerFormatError) => void) | undefined;
}

type Listener = (changes: readonly ViewChange[], revision: Revision) => void;
interface Waiter {
  readonly revision: Revision;
  readonly resolve: () => void;
}

export class RegistryView implements EngineView {
  readonly #kv: Kv;
  readonly #keys: Keys;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #storeTrouble: () => string | null;
  readonly #onNewer: ((error: NewerFormatError) => void) | undefined;
  readonly #listeners = new Set<Listener>();
  readonly #waiters = new Set<Waiter>();
  readonly #stop = new AbortController();
  #state: ViewState;
  #revision: Revision = 0;
  #watch: Watch | null = null;
  #running: Promise<void> | null = null;
  #progressTimer: Timer | null = null;
  /** Readings of the registry that failed in a row. */
  #failures = 0;
  /** The question for the store's revision that is on its way, and the one that goes after it. */
  #asking: Promise<Revision> | null = null;
  #askingNext: Promise<Revision> | null = null;

  constructor(options: RegistryViewOptions) {
    this.#kv = options.kv;
    this.#keys = options.keys;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#storeTrouble = options.storeTrouble ?? (() => null);
    this.#onNewer = options.onNewer;
    this.#state = new ViewState(this.#keys, this.#log);
  }

  /** Resolves once the view is filled for the first time, or stopped; keeps trying while the store is unavailable. */
  start(): Promise<void> {
    if (this.#running !== null) throw new Error("Cannot start the view: it was started before");
    this.#running = this.#run();
    return new Promise((resolve) => {
      this.#waiters.add({ revision: 1, resolve });
      this.#stop.signal.addEventListener("abort", () => resolve());
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#watch?.close();
    this.#progressTimer?.cancel();
    await this.#running;
  }

  /** False until the first listing is in. */
  get ready(): boolean {
    return this.#revision > 0;
  }
  get revision(): Revision {
    return this.#revision;
  }
  /** Who holds the engine's leadership key; null when nobody ever did. */
  get leader(): MachineId | null {
    return this.#state.leader;
  }

  job(name: string): Job | undefined {
    return this.#state.jobs.get(name);
  }
  jobs(): Iterable<Job> {
    return this.#state.jobs.values();
  }
  options(hash: string): readonly UnitOption[] | undefined {
    return this.#state.options(hash);
  }
  machine(id: MachineId): Machine | undefined {
    return this.#state.machines.get(id);
  }
  machines(): Iterable<Machine> {
    return this.#state.machines.values();
  }
  reports(name?: string): Iterable<UnitReport> {
    return name === undefined ? this.#state.reports.values() : this.#state.reportsOf(name);
  }
  report(machineId: MachineId, name: string): UnitReport | undefined {
    return this.#state.report(machineId, name);
  }
  scheduled(machineId: MachineId): Iterable<Scheduled> {
    return this.#state.schedules.get(machineId)?.values() ?? [];
  }
  scheduledOn(machineId: MachineId, name: string): Scheduled | undefined {
    return this.#state.schedules.get(machineId)?.get(name);
  }
  scheduledMachines(): Iterable<MachineId> {
    return this.#state.schedules.keys();
  }
  reasons(name: string): readonly Refusal[] {
    return this.#state.reasons.get(name) ?? [];
  }
  address(id: MachineId): string | undefined {
    return this.machine(id)?.peerAddress ?? this.#state.addresses.get(id)?.address;
  }
  /** Machines that are not registered and did not leave in order. */
  *away(): Iterable<MachineId> {
    for (const id of this.#state.addresses.keys()) if (!this.#state.machines.has(id)) yield id;
  }
  /** Machines that were lost since they joined, and are back; with the revision of the last time that they came back. */
  *returned(): Iterable<readonly [MachineId, Revision]> {
    const { registeredAt, joinedAt } = this.#state;
    for (const [id, at] of registeredAt) if (at > (joinedAt.get(id) ?? at)) yield [id, at];
  }
  /** What may be written so that every machine understands it. */
  clusterLevel(voters: readonly string[]): ClusterLevel {
    return clusterLevel(this.#state.addresses, voters);
  }
  get recordCounts(): RecordCounts {
    return this.#state.counts;
  }
  orphanFiles(): Iterable<string> {
    return this.#state.unreadableJobs.size > 0 ? [] : this.#state.orphans;
  }
  /** The unit file as it is stored; for the writers, which compare its revision. */
  unitFile(hash: string): StoredUnitFile | undefined {
    return this.#state.unitFiles.get(hash);
  }
  /** How many jobs name this hash. */
  referencesOf(hash: string): number {
    // A job that cannot be read may name any file: none is given up while there is one.
    return this.#state.referencesOf(hash) + this.#state.unreadableJobs.size;
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async sync(options: CallOptions = {}): Promise<void> {
    let isAnswered = false;
    const work = this.#freshRevision().then((revision) => {
      isAnswered = true;
      return this.#whenReached(revision);
    });
    // Without an answer the store is the culprit, not this view: no quorum confirmed a leader in time.
    await this.#bounded(work, options, (timeoutMs) =>
      isAnswered ? this.#behind("the store's present revision", timeoutMs) : this.#unanswered(timeoutMs),
    );
  }

  async reached(revision: Revision, options: CallOptions = {}): Promise<void> {
    if (this.#revision >= revision) return;
    await this.#bounded(this.#whenReached(revision), options, (timeoutMs) =>
      this.#behind(`revision ${revision}`, timeoutMs),
    );
  }

  #unanswered(timeoutMs: number): string {
    const trouble = this.#storeTrouble();
    const why = trouble === null ? "" : ` (${trouble})`;
    return `Cannot read the cluster's state: no quorum: no leader of the store confirmed it within ${timeoutMs} ms${why}`;
  }

  #behind(goal: string, timeoutMs: number): string {
    return `Cannot bring the view of the cluster up to ${goal} within ${timeoutMs} ms: it stands at ${this.#revision}`;
  }

  #bounded(work: Promise<void>, options: CallOptions, late: (timeoutMs: number) => string): Promise<void> {
    const timeoutMs = options.timeoutMs ?? SYNC_TIMEOUT_MS;
    return within(this.#clock, work, {
      timeoutMs,
      signal: options.signal,
      error: (why) =>
        why === "aborted"
          ? new KvError("cancelled", "Cancelled waiting for the view of the cluster")
          : new KvError("unavailable", late(timeoutMs)),
    });
  }

  #freshRevision(): Promise<Revision> {
    if (this.#asking === null) {
      this.#asking = this.#ask();
      return this.#asking;
    }
    this.#askingNext ??= this.#asking
      .catch(() => 0)
      .then(() => {
        this.#askingNext = null;
        this.#asking = this.#ask();
        return this.#asking;
      });
    return this.#askingNext;
  }

  /** A linearizable read that moves no data: the answer's revision is all that counts. */
  async #ask(): Promise<Revision> {
    try {
      const options = { signal: this.#stop.signal, timeoutMs: ASK_TIMEOUT_MS };
      const answer = await this.#kv.range({ key: this.#keys.leader, countOnly: true }, options);
      return answer.revision;
    } finally {
      this.#asking = null;
    }
  }

  #whenReached(revision: Revision): Promise<void> {
    if (this.#revision >= revision) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiters.add({ revision, resolve });
      this.#watch?.requestProgress();
    });
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let pauseMs = RETRY_MIN_MS;
    while (!signal.aborted) {
      const before = this.#revision;
      try {
        const revision = await this.#list();
        if (!signal.aborted) await this.#follow(revision);
      } catch (error) {
        if (error instanceof NewerFormatError && this.#onNewer !== undefined) return this.#onNewer(error);
        if (!(error instanceof KvError)) throw error;
        if (signal.aborted) return;
        this.#sayLost(error);
      }
      pauseMs = this.#revision > before ? RETRY_MIN_MS : Math.min(pauseMs * 2, RETRY_MAX_MS);
      await pause(this.#clock, pauseMs, signal);
    }
  }

  /** Once, however long the store is away: #list() says when it is back. */
  #sayLost(error: KvError): void {
    const say = this.#failures++ === 0 ? this.#log.notice : this.#log.debug;
    const what = this.ready
      ? "Lost the watch on the registry: reading it anew"
      : "Cannot read the registry yet, trying on";
    say.call(this.#log, what, {
      code: error.code,
      reason: reasonOf(error),
    });
  }

  async #list(): Promise<Revision> {
    const state = new ViewState(this.#keys, this.#log);
    const options = { signal: this.#stop.signal, uncounted: true };
    let { key } = this.#keys.all;
    let revision: Revision = 0;
    for (;;) {
      const at = revision === 0 ? {} : { revision };
      const page = await this.#kv.range({ ...this.#keys.all, key, limit: LIST_PAGE_KEYS, ...at }, options);
      if (revision === 0) revision = page.revision;
      for (const kv of page.kvs) state.load(kv);
      const last = page.kvs.at(-1);
      if (!page.more || last === undefined) break;
      key = successor(last.key);
    }
    if (this.#failures > 1) this.#log.notice("Reading the registry again", { failures: this.#failures });
    this.#failures = 0;
    this.#state = state;
    // A store that was rebuilt, or restored, may be behind what was seen of it before.
    this.#revision = revision;
    this.#advance([{ kind: "reset" }], revision);
    return revision;
  }

  async #follow(from: Revision): Promise<void> {
    const watch = this.#kv.watch({ ...this.#keys.all, startRevision: from + 1 });
    this.#watch = watch;
    try {
      if (this.#waiters.size > 0) watch.requestProgress();
      for await (const batch of watch) this.#take(batch, watch);
    } finally {
      this.#watch = null;
      watch.close();
    }
  }

  #take(batch: WatchBatch, watch: Watch): void {
    const changes: ViewChange[] = [];
    for (const event of batch.events) {
      const change = this.#state.apply(event);
      if (change !== null) changes.push(change);
    }
    this.#advance(changes, batch.revision);
    if (batch.events.length > 0 || this.#waiters.size === 0 || this.#progressTimer !== null) return;
    this.#progressTimer = this.#clock.after(PROGRESS_RETRY_MS, () => {
      this.#progressTimer = null;
      if (this.#watch === watch && this.#waiters.size > 0) watch.requestProgress();
    });
  }

  #advance(changes: readonly ViewChange[], revision: Revision): void {
    this.#revision = Math.max(this.#revision, revision);
    if (changes.length > 0) for (const listener of this.#listeners) listener(changes, this.#revision);
    for (const waiter of this.#waiters) {
      if (waiter.revision > this.#revision) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }
}

/** The smallest key after this one. */
function successor(key: Uint8Array): Uint8Array<ArrayBuffer> {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
