/**
 * Membership: this machine's registration, kept alive by heartbeats.
 *
 * Idea. Register, then renew the lease at a fixed pace; when the store says that the lease is over, register again. A
 * store that is away changes nothing here: tries go on for as long as the daemon runs, and units are left alone.
 *
 * Invariants.
 * - At most one session at a time; `onSession` is called once for each.
 * - A heartbeat is due one interval after the last one was sent, however long that took: a slow store does not stretch it.
 * - Another host with this machine-id ends it for good (`onTaken`): whoever is second has no business here.
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import { linkSignals, pause } from "../lib/wait.ts";
import {
  type AgentRegistry,
  KvError,
  type MachineRegistration,
  type MachineSession,
  RegistryError,
} from "../registry/types.ts";
import { Backoff } from "./backoff.ts";

const RETRY_FIRST_MS = 50;
const RETRY_LAST_MS = 1000;

export interface MembershipPace {
  /** Life of the lease without a heartbeat. */
  readonly ttlMs: number;
  /** Well below ttlMs, or the loss of one heartbeat costs the lease. */
  readonly heartbeatMs: number;
}

export interface MembershipOptions {
  readonly registry: AgentRegistry;
  readonly clock: Clock;
  readonly log: Log;
  /** Asked for each registration: metadata may have been read anew. */
  readonly registration: () => MachineRegistration;
  readonly pace: MembershipPace;
  readonly onSession: (session: MachineSession) => void;
  /** A heartbeat, or the registration, that was sent at `sentMs` was answered: the lease lives for `ttlMs` from then at least. */
  readonly onRenewed: (sentMs: number, ttlMs: number) => void;
  readonly onLost: () => void;
  readonly onTaken: (error: RegistryError) => void;
}

export class Membership {
  readonly #options: MembershipOptions;
  readonly #stop = new AbortController();
  #pace: MembershipPace;
  #session: MachineSession | null = null;
  #ended = new AbortController();
  /** What a registration on its way says was asked before the last refresh. */
  #isOutdated = false;
  #running: Promise<void> = Promise.resolve();

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#pace = options.pace;
  }

  get session(): MachineSession | null {
    return this.#session;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Ends heartbeats; the lease stays, and runs out unless this machine comes back. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** The lease is over, as another call than a heartbeat found out. */
  leaseLost(session: MachineSession): void {
    if (session === this.#session) this.#ended.abort();
  }

  /** Registers anew, to publish what `registration()` says now, with a lease of this pace. */
  refresh(pace: MembershipPace): void {
    this.#pace = pace;
    this.#isOutdated = true;
    this.#ended.abort();
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const session = await this.#register();
      if (session === null) return;
      this.#ended = new AbortController();
      if (this.#isOutdated) this.#ended.abort();
      this.#session = session;
      this.#options.onSession(session);
      await this.#keepAlive(session);
      this.#session = null;
      if (!this.#stop.signal.aborted) this.#options.onLost();
    }
  }

  /** null: closed, or another host has this id. */
  async #register(): Promise<MachineSession | null> {
    const { registry, log, clock } = this.#options;
    const { signal } = this.#stop;
    const backoff = new Backoff(RETRY_FIRST_MS, Math.min(RETRY_LAST_MS, this.#pace.heartbeatMs));
    let failures = 0;
    while (!signal.aborted) {
      const { ttlMs } = this.#pace;
      this.#isOutdated = false;
      try {
        const registration = this.#options.registration();
        const sentMs = clock.now();
        const session = await registry.register(registration, ttlMs, { signal, timeoutMs: ttlMs });
        this.#options.onRenewed(sentMs, session.ttlMs);
        log.info("Registered this machine", { machineId: registration.id, ttlMs });
        return session;
      } catch (error) {
        if (signal.aborted) return null;
        if (error instanceof RegistryError && error.code === "machine-id-taken") {
          log.error(error.message, { code: error.code });
          this.#options.onTaken(error);
          return null;
        }
        if (failures++ === 0) log.warning("Cannot register this machine yet, trying on", { reason: reasonOf(error) });
        await pause(clock, backoff.next(), signal);
      }
    }
    return null;
  }

  /** Returns when the lease is over, or this is closed. */
  async #keepAlive(session: MachineSession): Promise<void> {
    const { clock, log } = this.#options;
    const { heartbeatMs, ttlMs } = this.#pace;
    using over = linkSignals([this.#stop.signal, this.#ended.signal]);
    const { signal } = over;
    let failures = 0;
    await pause(clock, heartbeatMs, signal);
    while (!signal.aborted) {
      const sentMs = clock.now();
      try {
        await session.heartbeat({ signal, timeoutMs: Math.max(heartbeatMs, ttlMs / 2) });
        this.#options.onRenewed(sentMs, session.ttlMs);
        if (failures > 0) log.notice("Reached the store again", { failures });
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof KvError && error.code === "lease-not-found") {
          log.warning("This machine's lease is over, registering again", { ttlMs });
          return;
        }
        if (failures++ === 0) {
          log.warning("Cannot reach the store, units go on as they are", { reason: reasonOf(error) });
        }
      }
      const nextMs = failures > 0 ? heartbeatMs / 2 : heartbeatMs;
      await pause(clock, Math.max(0, sentMs + nextMs - clock.now()), signal);
    }
  }
}
