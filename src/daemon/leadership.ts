/**
 * Leadership: starts the engine when this daemon comes to that office, stops it when it no longer holds it.
 *
 * Idea. One pair, become and resign, and one wish: to lead or not to lead. A single loop brings the fact in line with the wish, one
 * step after the other; whatever arrives meanwhile (raft's word, the store's refusal, the end of a lease) changes the wish and wakes
 * it. To become may take long: on an etcd it waits until the office is free.
 *
 * Invariants.
 * - Never two engines in this process, and none once the loop has seen the wish to resign.
 * - A deposed engine that does not know it yet is refused by the store (the leadership key's compare), not by this file.
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import { pause } from "../lib/wait.ts";
import type { Decision } from "../model/decisions.ts";

/** A running engine. */
export interface Leading {
  stop(): Promise<void>;
}

export interface LeadershipPorts {
  readonly clock: Clock;
  readonly log: Log;
  /** Takes the leadership key and starts the engine; may fail while the cluster settles. The signal: the wish is gone. */
  become(onDeposed: (why: string) => void, signal: AbortSignal): Promise<Leading>;
}

interface Office {
  isDeposed: boolean;
  lostBecause: string | null;
}

/** Between tries to take the key: long enough for an election to settle. */
const RETRY_MS = 250;

export class Leadership {
  readonly #ports: LeadershipPorts;
  #wanted = false;
  #isStopped = false;
  #leading: Leading | null = null;
  /** The present engine's term of office: an engine that is gone, or going, deposes nobody. */
  #office: Office | null = null;
  #settling: Promise<void> | null = null;
  #wake = new AbortController();
  /** Ends an attempt to become. */
  #giveUp = new AbortController();

  constructor(ports: LeadershipPorts) {
    this.#ports = ports;
  }

  /** True while the engine runs here. */
  get leads(): boolean {
    return this.#leading !== null;
  }

  /** The store's word on whether this daemon may lead. */
  set(wanted: boolean): void {
    this.#wanted = wanted && !this.#isStopped;
    this.#wake.abort();
    if (!this.#wanted) this.#giveUp.abort();
    if (this.#settling === null && !this.#isSettled) this.#settling = this.#settle();
  }

  /** Resolves when no engine runs here any more; from now on nothing starts one again. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.set(false);
    await this.#settling;
  }

  get #isSettled(): boolean {
    return this.#wanted === (this.#leading !== null) && this.#office?.isDeposed !== true;
  }

  /** Called only when something is to be done, so that it has awaited before it is over. */
  async #settle(): Promise<void> {
    while (!this.#isSettled) {
      this.#wake = new AbortController();
      this.#giveUp = new AbortController();
      if (this.#leading !== null) await this.#resign();
      else if (!(await this.#become())) await pause(this.#ports.clock, RETRY_MS, this.#wake.signal);
    }
    // In the same step as the last look: a wish that comes a microtask later finds the loop gone, and starts it.
    this.#settling = null;
  }

  async #become(): Promise<boolean> {
    const { log } = this.#ports;
    const { signal } = this.#giveUp;
    const office: Office = { isDeposed: false, lostBecause: null };
    this.#office = office;
    try {
      this.#leading = await this.#ports.become((why) => this.#deposed(office, why), signal);
      log.notice("This machine leads: the engine runs here", { decision: "leader-gained" satisfies Decision });
      return true;
    } catch (error) {
      this.#office = null;
      if (!signal.aborted) {
        log.info("Taking the engine's leadership failed; trying again", { reason: reasonOf(error) });
      }
      return false;
    }
  }

  async #resign(): Promise<void> {
    const { log } = this.#ports;
    const leading = this.#leading;
    const why = this.#office?.lostBecause ?? "it is not to lead any more";
    this.#leading = null;
    this.#office = null;
    try {
      await leading?.stop();
    } catch (error) {
      log.error("Stopping the engine failed", { reason: reasonOf(error) });
    }
    const decision = "leader-lost" satisfies Decision;
    log.notice(`The engine stopped, this machine leads no longer: ${why}`, { decision });
  }

  /** The engine has lost its office. While the store says that this daemon may lead, it is sought again. */
  #deposed(office: Office, why: string): void {
    if (this.#office !== office || office.isDeposed) return;
    office.isDeposed = true;
    office.lostBecause = why;
    this.set(this.#wanted);
  }
}
