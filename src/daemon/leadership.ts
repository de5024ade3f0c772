/**
 * Leadership: starts the engine when this member becomes raft's leader, stops it when it no longer is.
 *
 * Idea. One pair, become and resign, and one wish: to lead or not to lead. A single loop brings the fact in line with the wish, one
 * step after the other; whatever arrives meanwhile (raft's word, the store's refusal) changes the wish and wakes it.
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

/** A running engine. */
export interface Leading {
  stop(): Promise<void>;
}

export interface LeadershipPorts {
  readonly clock: Clock;
  readonly log: Log;
  /** Takes the leadership key and starts the engine; may fail while the cluster settles. */
  become(onDeposed: () => void): Promise<Leading>;
}

/** Between tries to take the key while raft says that this member leads: long enough for an election to settle. */
const RETRY_MS = 250;

export class Leadership {
  readonly #ports: LeadershipPorts;
  #wanted = false;
  #leading: Leading | null = null;
  #isDeposed = false;
  #settling: Promise<void> | null = null;
  #wake = new AbortController();

  constructor(ports: LeadershipPorts) {
    this.#ports = ports;
  }

  /** True while the engine runs here. */
  get leads(): boolean {
    return this.#leading !== null;
  }

  /** Raft's word on whether this member leads. */
  set(wanted: boolean): void {
    this.#wanted = wanted;
    this.#wake.abort();
    this.#settling ??= this.#settle().finally(() => {
      this.#settling = null;
    });
  }

  /** Resolves when no engine runs here any more. */
  async stop(): Promise<void> {
    this.set(false);
    await this.#settling;
  }

  async #settle(): Promise<void> {
    while (this.#wanted !== (this.#leading !== null) || this.#isDeposed) {
      this.#wake = new AbortController();
      if (this.#leading !== null) await this.#resign();
      else if (!(await this.#become())) await pause(this.#ports.clock, RETRY_MS, this.#wake.signal);
    }
  }

  async #become(): Promise<boolean> {
    const { log } = this.#ports;
    this.#isDeposed = false;
    try {
      this.#leading = await this.#ports.become(() => this.#deposed());
      log.notice("This machine leads: the engine runs here");
      return true;
    } catch (error) {
      log.info("Taking the engine's leadership failed; trying again while raft's leader is here", {
        reason: reasonOf(error),
      });
      return false;
    }
  }

  async #resign(): Promise<void> {
    const { log } = this.#ports;
    const leading = this.#leading;
    this.#leading = null;
    this.#isDeposed = false;
    try {
      await leading?.stop();
    } catch (error) {
      log.error("Stopping the engine failed", { reason: reasonOf(error) });
    }
    log.notice("The engine stopped: this machine leads no longer");
  }

  /** The store refused the engine: another one took the key. While raft says that this member leads, take it back. */
  #deposed(): void {
    this.#isDeposed = true;
    this.#ports.log.notice("Another engine took the leadership key");
    this.set(this.#wanted);
  }
}
