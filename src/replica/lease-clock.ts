/**
 * Lease clock: the leader's alone. It knows when leases are due and proposes their end.
 *
 * Problem. Taking a living holder's lease away stops nothing dead, it breaks something alive. A leader that was elected
 * a moment ago, or paused for a while, has not heard the keep-alives that were sent meanwhile.
 * Idea. Leading and waking up are the same event: first the leader makes sure, with a quorum, that it leads and has
 * applied everything before its term; then every lease gets its full time again. Only after that does it end any.
 *
 * Invariants.
 * - A keep-alive is answered only while active: leading, and confirmed since the last stall. And only once a quorum has confirmed the
 *   leader since it came: one that was deposed and does not know it yet would promise time that its successor does not give.
 * - While a lease's end is in the log and its fate is open, nobody is told that the lease lives on.
 * - One timer for all deadlines and one beat to notice a stall; both only while active and while there are leases.
 *
 * Not here. Who leads (replica-kv.ts tells), what revoking does (store/).
 *
 * @module
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { DeadlineQueue } from "../lib/deadline-queue.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import { pause, within } from "../lib/wait.ts";
import { KvError, type Lease, type LeaseId } from "../store/kv.ts";
import type { LeaseChange, Store } from "../store/store.ts";

export interface LeaseClockPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: Store;
  /** Resolves when a quorum confirmed this leader after the call and the store is up to date with it. */
  confirm(signal: AbortSignal): Promise<void>;
  /** Puts the end of these leases into the log; settles when its fate is known. */
  revoke(ids: readonly LeaseId[]): Promise<void>;
}

/** How long a caller will wait. */
export interface Patience {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs: number;
}

export interface LeaseClockConfig {
  /** A gap in this process's time that makes it distrust itself: raft's election timeout, after which others may lead. */
  readonly stallMs: number;
}

/** How often an active clock looks whether time passed it by. A stall is noticed when it exceeds this plus stallMs. */
const BEAT_MS = 500;
/** Before an expiry, or a confirmation, is tried again. */
const RETRY_MS = 250;
/** Ends in one log entry: some kilobytes. */
const REVOKED_AT_ONCE_MAX = 1_000;

export class LeaseClock {
  readonly #ports: LeaseClockPorts;
  readonly #config: LeaseClockConfig;
  readonly #deadlines: DeadlineQueue<LeaseId>;
  /** Leases whose end is in the log, with the moment its fate is known. */
  readonly #ending = new Map<LeaseId, Promise<void>>();
  readonly #unsubscribe: () => void;
  /** Aborted when this term of office, or the trust in it, ends. */
  #office: AbortController | null = null;
  #activated = Promise.withResolvers<void>();
  #active = false;
  #beatAt = 0;
  #beat: Timer | null = null;

  constructor(ports: LeaseClockPorts, config: LeaseClockConfig) {
    this.#ports = ports;
    this.#config = config;
    this.#deadlines = new DeadlineQueue(ports.clock, (ids) => this.#due(ids));
    this.#unsubscribe = ports.store.onLease((change) => this.#leaseChanged(change));
  }

  get active(): boolean {
    return this.#active;
  }

  /** This member leads now. */
  lead(): void {
    this.depose();
    this.#begin();
  }

  /** It leads no longer: nothing ends here any more. What it wanted to end is settled before the next leader is confirmed. */
  depose(): void {
    this.#suspend();
    this.#ending.clear();
  }

  #begin(): void {
    const office = new AbortController();
    this.#office = office;
    void this.#activate(office.signal);
  }

  /** Ends become open again, but for those in the log: in the same term they may be committed after the confirmation. */
  #suspend(): void {
    this.#office?.abort();
    this.#office = null;
    this.#active = false;
    this.#deadlines.clear();
    this.#beat?.cancel();
    this.#beat = null;
    this.#tellWaiting();
  }

  close(): void {
    this.depose();
    this.#unsubscribe();
  }

  /** @throws KvError lease-not-found; unavailable when this member cannot say in time. */
  async keepAlive(id: LeaseId, patience: Patience): Promise<Lease> {
    const giveUpAtMs = this.#ports.clock.now() + patience.timeoutMs;
    await this.#settled(id, patience);
    // At once: the lease may be due before the quorum has answered.
    this.#renew(this.#ports.store.lease(id).lease);
    await this.#confirmed(id, { ...patience, timeoutMs: giveUpAtMs - this.#ports.clock.now() });
    return this.#ports.store.lease(id).lease;
  }

  /** -1: the lease is gone. */
  async remainingMs(id: LeaseId, patience: Patience): Promise<number> {
    await this.#confirmed(id, patience);
    if (this.#ports.store.leases.get(id) === undefined) return -1;
    return Math.max(0, (this.#deadlines.deadline(id) ?? 0) - this.#ports.clock.now());
  }

  /** Waits until this clock is active and nothing is open about this lease. */
  async #settled(id: LeaseId, { signal, timeoutMs }: Patience): Promise<void> {
    const giveUpAtMs = this.#ports.clock.now() + timeoutMs;
    this.#checkStall();
    for (;;) {
      const wait = this.#active ? this.#ending.get(id) : this.#activated.promise;
      if (wait === undefined) return;
      if (this.#office === null)
        throw new KvError("unavailable", "Asking for a lease failed: this member does not lead");
      await within(this.#ports.clock, wait, {
        timeoutMs: Math.max(0, giveUpAtMs - this.#ports.clock.now()),
        signal,
        error: () => new KvError("unavailable", `Asking for lease ${id} failed: the leader waits for a quorum`),
      });
    }
  }

  /** Settled, and a quorum confirmed this leader after the call. */
  async #confirmed(id: LeaseId, { signal, timeoutMs }: Patience): Promise<void> {
    const { clock } = this.#ports;
    const giveUpAtMs = clock.now() + timeoutMs;
    const office = this.#office;
    if (office === null) throw new KvError("unavailable", "Asking for a lease failed: this member does not lead");
    const error = () => new KvError("unavailable", `Asking for lease ${id} failed: the leader waits for a quorum`);
    const confirmed = this.#ports.confirm(office.signal).catch(() => {
      throw error();
    });
    await within(clock, confirmed, { timeoutMs: Math.max(0, timeoutMs), signal, error });
    // Its end may have gone into the log meanwhile, or the office.
    await this.#settled(id, { signal, timeoutMs: giveUpAtMs - clock.now() });
  }

  async #activate(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#ports.confirm(signal);
        break;
      } catch (error) {
        if (signal.aborted) return;
        this.#ports.log.debug("Confirming leadership for the lease clock failed", { reason: reasonOf(error) });
        await pause(this.#ports.clock, RETRY_MS, signal);
      }
    }
    if (signal.aborted) return;
    this.#active = true;
    this.#beatAt = this.#ports.clock.now();
    for (const lease of this.#ports.store.leases.all()) this.#renew(lease);
    this.#tellWaiting();
  }

  /** Active or deposed: whoever waits looks again. */
  #tellWaiting(): void {
    this.#activated.resolve();
    this.#activated = Promise.withResolvers();
  }

  #renew({ id, ttlMs }: Lease): void {
    this.#dueIn(id, ttlMs);
  }

  /** Wherever there is a deadline, there is a beat. */
  #dueIn(id: LeaseId, ms: number): void {
    this.#deadlines.set(id, this.#ports.clock.now() + ms);
    this.#armBeat();
  }

  #leaseChanged(change: LeaseChange): void {
    if (!this.#active) return;
    if (change.kind === "granted") this.#renew(change.lease);
    else if (change.kind === "revoked") this.#deadlines.delete(change.id);
    // A leader is never sent a snapshot.
    else throw new Error("Assertion failed: the leader's store was restored under its lease clock");
  }

  #due(ids: readonly LeaseId[]): void {
    if (this.#checkStall()) return;
    for (let from = 0; from < ids.length; from += REVOKED_AT_ONCE_MAX) {
      void this.#end(ids.slice(from, from + REVOKED_AT_ONCE_MAX));
    }
  }

  async #end(ids: readonly LeaseId[]): Promise<void> {
    const office = this.#office;
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const id of ids) this.#ending.set(id, promise);
    try {
      await this.#ports.revoke(ids);
      this.#ports.log.info("Ended leases that were not renewed in time", { leases: ids.join(" ") });
    } catch (error) {
      this.#ports.log.info("Ending leases failed; trying again while this member leads", { reason: reasonOf(error) });
      if (office === this.#office) this.#later(ids);
    } finally {
      for (const id of ids) {
        if (this.#ending.get(id) === promise) this.#ending.delete(id);
      }
      resolve();
    }
  }

  #later(ids: readonly LeaseId[]): void {
    for (const id of ids) {
      if (this.#ports.store.leases.get(id)) this.#dueIn(id, RETRY_MS);
    }
  }

  #armBeat(): void {
    if (this.#beat !== null) return;
    this.#beatAt = this.#ports.clock.now();
    this.#beat = this.#ports.clock.after(BEAT_MS, () => {
      if (this.#checkStall()) return;
      this.#beat = null;
      if (this.#deadlines.size > 0) this.#armBeat();
    });
  }

  /** True when time passed this process by: then it begins anew, as after an election. */
  #checkStall(): boolean {
    const sinceBeatMs = this.#ports.clock.now() - this.#beatAt;
    if (!this.#active || this.#beat === null || sinceBeatMs <= BEAT_MS + this.#config.stallMs) return false;
    this.#ports.log.warning("This process was stopped or starved: every lease gets its full time again", {
      stalledMs: Math.round(sinceBeatMs - BEAT_MS),
    });
    this.#suspend();
    this.#begin();
    return true;
  }
}
