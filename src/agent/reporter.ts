/**
 * Reporter: keeps this machine's `state/` keys as the units are.
 *
 * Idea. Names are marked, reports are built when they are sent. The first mark is sent at once; what is marked while a
 * publication is on its way goes together in the next one. While many units change there is a rest between the two, the
 * longer the more are under way: each publication costs every member a sync, a write to its view and an event for whoever
 * watches. So a single start is published without delay, and a thousand starts in a few transactions.
 *
 * Invariants.
 * - At most one publication at a time: an older report never overtakes a newer one.
 * - A new session starts from nothing: everything is published again.
 * - A report that is the same as the published one is not sent. What is on its way counts as unknown until its answer is there.
 *
 * @module
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import type { UnitReport } from "../model/states.ts";
import { KvError, type MachineSession } from "../registry/types.ts";
import { Backoff } from "./backoff.ts";

/** Reports in one publication; the session cuts them into transactions. */
const BATCH_MAX = 512;
/** Rest after a publication: none for so many units, then by each further one, and never as long as an onlooker would mind. */
const RESTLESS_UNITS = 8;
const REST_PER_UNIT_MS = 1;
const REST_MAX_MS = 100;
const RETRY_FIRST_MS = 100;
const RETRY_LAST_MS = 2000;

export interface ReporterOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Longest wait for one publication. */
  readonly timeoutMs: number;
  /** The unit's report as it is now; undefined: it is gone from here. */
  readonly report: (name: string) => UnitReport | undefined;
  /** All that there is to report. */
  readonly names: () => Iterable<string>;
  /** How many units are on their way to another state. */
  readonly underWay: () => number;
  /** The store says that this session's lease is over. */
  readonly onLeaseLost: (session: MachineSession) => void;
}

export class Reporter {
  readonly #options: ReporterOptions;
  readonly #marked = new Set<string>();
  /** What the store is known to have, under this session. */
  readonly #published = new Map<string, string>();
  /** Called when the store has got news of the unit. */
  readonly #awaiting = new Map<string, Set<() => void>>();
  readonly #backoff = new Backoff(RETRY_FIRST_MS, RETRY_LAST_MS);
  #session: MachineSession | null = null;
  #flushing: Promise<void> | null = null;
  #retry: Timer | null = null;
  #rest: Timer | null = null;
  #publishedAtMs = Number.NEGATIVE_INFINITY;
  #stop = new AbortController();

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  /** This unit's report may have changed. */
  mark(name: string): void {
    this.#marked.add(name);
    this.#kick();
  }

  /** Resolves when the store has the unit's report as it is, with the session that it hangs on; null: the signal was aborted. */
  async confirm(name: string, signal: AbortSignal): Promise<MachineSession | null> {
    while (!signal.aborted) {
      if (this.#session !== null && this.#isPublished(name)) return this.#session;
      const news = this.#news(name, signal);
      this.mark(name);
      await news;
    }
    return null;
  }

  /** Whether this is the session of now, as far as this machine knows. */
  isAttached(session: MachineSession): boolean {
    return this.#session === session;
  }

  /** Publishes everything under the new session. */
  attach(session: MachineSession): void {
    this.detach();
    this.#session = session;
    for (const name of this.#options.names()) this.#marked.add(name);
    this.#kick();
  }

  /** Marks go on being collected; nothing is sent. */
  detach(): void {
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#session = null;
    this.#published.clear();
    this.#retry?.cancel();
    this.#retry = null;
    this.#endRest();
    this.#backoff.reset();
  }

  /** Detaches, and waits until nothing is on its way any more. */
  async close(): Promise<void> {
    this.detach();
    await this.#flushing;
  }

  #isPublished(name: string): boolean {
    const report = this.#options.report(name);
    return report !== undefined && this.#published.get(name) === JSON.stringify(report);
  }

  #news(name: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const listeners = this.#awaiting.get(name) ?? new Set();
      const end = () => {
        signal.removeEventListener("abort", end);
        listeners.delete(end);
        if (listeners.size === 0) this.#awaiting.delete(name);
        resolve();
      };
      this.#awaiting.set(name, listeners.add(end));
      signal.addEventListener("abort", end);
    });
  }

  #kick(): void {
    if (this.#flushing !== null || this.#retry !== null || this.#session === null || this.#marked.size === 0) return;
    if (this.#rests()) return;
    this.#flushing = this.#flush(this.#session, this.#stop.signal).finally(() => {
      this.#flushing = null;
      this.#publishedAtMs = this.#options.clock.now();
      this.#kick();
    });
  }

  /** Looked at with each mark: when the last units have arrived there is nothing to wait for any more. */
  #rests(): boolean {
    const { clock, underWay } = this.#options;
    const restMs = Math.min(REST_MAX_MS, (underWay() - RESTLESS_UNITS) * REST_PER_UNIT_MS);
    const leftMs = this.#publishedAtMs + restMs - clock.now();
    if (leftMs <= 0) {
      this.#endRest();
      return false;
    }
    this.#rest ??= clock.after(leftMs, () => {
      this.#rest = null;
      this.#kick();
    });
    return true;
  }

  #endRest(): void {
    this.#rest?.cancel();
    this.#rest = null;
  }

  async #flush(session: MachineSession, signal: AbortSignal): Promise<void> {
    const { names, reports, gone } = this.#takeBatch();
    if (reports.length === 0 && gone.length === 0) return;
    try {
      await session.publish(reports, gone, { signal, timeoutMs: this.#options.timeoutMs });
    } catch (error) {
      // Nothing, some or all of it may be in the store: putting it again is the same.
      for (const name of names) this.#marked.add(name);
      if (session === this.#session) this.#failed(session, error);
      return;
    }
    this.#backoff.reset();
    if (session !== this.#session) {
      for (const name of names) this.#marked.add(name);
      return;
    }
    for (const report of reports) this.#published.set(report.name, JSON.stringify(report));
    for (const name of names) for (const tell of [...(this.#awaiting.get(name) ?? [])]) tell();
  }

  #takeBatch(): { names: string[]; reports: UnitReport[]; gone: string[] } {
    const names: string[] = [];
    const reports: UnitReport[] = [];
    const gone: string[] = [];
    for (const name of this.#marked) {
      if (names.length === BATCH_MAX) break;
      this.#marked.delete(name);
      const report = this.#options.report(name);
      if (report === undefined) gone.push(name);
      else if (this.#published.get(name) === JSON.stringify(report)) continue;
      else reports.push(report);
      // Until the answer is there nobody knows what the store has.
      this.#published.delete(name);
      names.push(name);
    }
    return { names, reports, gone };
  }

  #failed(session: MachineSession, error: unknown): void {
    if (error instanceof KvError && error.code === "lease-not-found") {
      this.detach();
      this.#options.onLeaseLost(session);
      return;
    }
    const delayMs = this.#backoff.next();
    this.#options.log.debug("Cannot publish unit states, trying again", { reason: reasonOf(error), delayMs });
    this.#retry = this.#options.clock.after(delayMs, () => {
      this.#retry = null;
      this.#kick();
    });
  }
}
