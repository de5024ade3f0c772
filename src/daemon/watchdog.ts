/**
 * The watchdog: tells systemd that the daemon is alive, only while it really is.
 *
 * Idea. A timer alone would prove that timers fire. Each keep-alive is sent after a look at raft's last tick: a loop that
 * turns while consensus stands still is as dead as one that hangs, and systemd restarts the daemon; units are not touched.
 *
 * Invariants.
 * - No keep-alive goes out while the last tick is older than the limit.
 *
 * @module
 */
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";

export interface WatchdogPorts {
  readonly clock: Clock;
  readonly log: Log;
  /** When raft's tick last turned, on the clock. */
  lastTickAt(): number;
  notify(state: string): boolean;
}

/** systemd's advice: notify at half of the time it allows (sd_watchdog_enabled(3)); a third leaves room for a slow host. */
const SHARE_OF_LIMIT = 3;

export class Watchdog {
  readonly #ports: WatchdogPorts;
  readonly #limitMs: number;
  #timer: Timer | null = null;
  #stopped = false;

  /** @param limitMs WATCHDOG_USEC in milliseconds; 0: systemd does not watch this service. */
  constructor(limitMs: number, ports: WatchdogPorts) {
    this.#limitMs = limitMs;
    this.#ports = ports;
  }

  start(): void {
    if (this.#limitMs > 0) this.#turn();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #turn(): void {
    if (this.#stopped) return;
    const { clock, log } = this.#ports;
    const silenceMs = Math.round(clock.now() - this.#ports.lastTickAt());
    if (silenceMs > this.#limitMs / 2) {
      log.error("Kept back the watchdog's keep-alive: raft's tick stands still; systemd will restart the daemon", {
        silenceMs,
      });
    } else if (!this.#ports.notify("WATCHDOG=1")) {
      log.warning("Sending the watchdog's keep-alive to systemd failed");
    }
    this.#timer = clock.after(this.#limitMs / SHARE_OF_LIMIT, () => this.#turn());
  }
}

/** @param environment WATCHDOG_USEC and WATCHDOG_PID as systemd sets them. */
export function watchdogLimitMs(environment: Readonly<Record<string, string | undefined>>, pid: number): number {
  const forPid = environment.WATCHDOG_PID;
  if (forPid !== undefined && forPid !== "" && Number(forPid) !== pid) return 0;
  const microseconds = Number(environment.WATCHDOG_USEC ?? 0);
  return Number.isFinite(microseconds) && microseconds > 0 ? microseconds / 1000 : 0;
}
