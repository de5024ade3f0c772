/**
 * FenceKeeper: units with Fence=strict run only while this machine's lease is known to live.
 *
 * Problem. A daemon that hangs, died or is cut off cannot stop what another machine is about to start.
 * Idea. systemd can: it holds a timer that stops these units, and each heartbeat that was answered puts it off. The time is
 * counted from when the heartbeat was sent, see model/fence.ts. Who finds the fence fired holds a lease again by then; but what
 * it knew of its schedule may be as old as the lease that was lost.
 * Invariants.
 * - No fenced unit is started unless the timer is armed, and no other machine may run it (clearance.ts), at that very moment.
 * - One whose start reached systemd after the timer may have fired is stopped again.
 * - The timer is put off by the answer to a heartbeat and by nothing else; once it was let go, not at all.
 *
 * Not here. The timer itself (unit-manager.ts, systemd/fence.ts); what is done after it fired (agent.ts).
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import type { Decision } from "../model/decisions.ts";
import { FENCE_SLACK_MS } from "../model/fence.ts";
import type { Clearance } from "./clearance.ts";
import { type UnitManager, UnitManagerError } from "./unit-manager.ts";

/** With less left than this a start is not worth it: the next heartbeat comes sooner. */
const START_MIN_MS = 500;

/** The lease is not known to live: whoever asked tries again. */
export class FenceError extends Error {
  readonly code = "unfenced";
}

/** That a fenced unit may be started. */
export interface FencePass {
  /** To be asked right before the order, if anything was waited for since: does it still hold? */
  holds(): boolean;
  /**
   * To be asked when the order was taken: was there no moment at which the fence may have fired? An order that waited for systemd longer
   * than the timer did comes after the stop that was meant for its unit.
   */
  lasted(): boolean;
}

export interface FenceKeeperOptions {
  readonly units: UnitManager;
  readonly clock: Clock;
  readonly log: Log;
  readonly clearance: Pick<Clearance, "granted" | "stands" | "lasts">;
  /** Whether any unit here is fenced. */
  readonly isNeeded: () => boolean;
  /** systemd has stopped the fenced units: they are to be started again if this machine is still to hold them. */
  readonly onFired: () => void;
}

export class FenceKeeper {
  readonly #options: FenceKeeperOptions;
  /** Until when the lease may be relied on; the timer is never armed beyond. */
  #provenUntilMs = Number.NEGATIVE_INFINITY;
  #armedUntilMs = Number.NEGATIVE_INFINITY;
  #arming: Promise<void> | null = null;
  #failures = 0;
  #isLetGo = false;

  constructor(options: FenceKeeperOptions) {
    this.#options = options;
  }

  /** A lease of `ttlMs` was granted, or renewed, by an answer to what was sent at `sentMs`. */
  renewed(sentMs: number, ttlMs: number): void {
    this.#provenUntilMs = sentMs + ttlMs + FENCE_SLACK_MS;
    if (this.#options.isNeeded()) void this.#arm().catch((error: unknown) => this.#failed(error));
  }

  /** Resolves when a fenced unit may be started; with null when the signal is aborted. */
  async guard(name: string, signal: AbortSignal): Promise<FencePass | null> {
    const { clearance } = this.#options;
    for (;;) {
      const session = await clearance.granted(name, signal);
      if (session === null) return null;
      const holds = () => this.#isArmed && clearance.stands(name, session);
      const lasted = () => this.#armedUntilMs > this.#options.clock.now() && clearance.lasts(session);
      if (holds()) return { holds, lasted };
      if (!this.#isArmed) await this.#arm();
      if (!this.#isArmed) {
        throw new FenceError(
          `Cannot start "${name}": Fence=strict, and this machine's lease was not renewed in time; trying again`,
        );
      }
    }
  }

  /** systemd stops the fenced units now, and kills what takes longer than a fence allows; nothing puts that off any more. */
  async letGo(): Promise<void> {
    this.#isLetGo = true;
    await this.#arming?.catch(() => {});
    await this.#options.units.armFence(0);
  }

  get #isArmed(): boolean {
    return this.#armedUntilMs - this.#options.clock.now() >= START_MIN_MS;
  }

  /** One at a time; whoever comes meanwhile shares it. */
  #arm(): Promise<void> {
    this.#arming ??= this.#armNow().finally(() => {
      this.#arming = null;
    });
    return this.#arming;
  }

  async #armNow(): Promise<void> {
    const { clock, units, log, onFired } = this.#options;
    const untilMs = this.#provenUntilMs;
    const leftMs = untilMs - clock.now();
    if (leftMs < START_MIN_MS || this.#isLetGo) return;
    const state = await units.armFence(leftMs);
    this.#armedUntilMs = untilMs;
    this.#failures = 0;
    if (state === "kept") return;
    log.warning("Units with Fence=strict were stopped: this machine's lease was not renewed in time", {
      decision: "fenced" satisfies Decision,
    });
    onFired();
  }

  #failed(error: unknown): void {
    if (!(error instanceof UnitManagerError)) throw error;
    // The timer stands as it was armed last; the next heartbeat tries again.
    if (this.#failures++ > 0) return;
    this.#options.log.warning(
      "Cannot put off the timer of Fence=strict, trying on: systemd stops such units when it is due",
      {
        reason: reasonOf(error),
      },
    );
  }
}
