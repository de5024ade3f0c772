/**
 * Hand-over: every unit is stopped here before this machine leaves, as far as systemd can do that in time.
 *
 * Problem. A unit whose stop takes too long is left to systemd, and starts elsewhere while it still stops here. With Fence=strict that
 * must not be.
 * Idea. Shortly before the time is over the fence is let go: systemd does with the fenced units what it does when a daemon is lost, it
 * stops them and kills what takes longer than FENCE_STOP_MS. To wait longer is no choice: the service's own stop has an end
 * (TimeoutStopSec=), and a host that shuts down kills them anyway. What outlives even that (systemd is out of reach, a process hangs in
 * the kernel) keeps this machine from leaving: its lease runs out, and the others count from there (model/fence.ts).
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import { within } from "../lib/wait.ts";
import { FENCE_STOP_MS } from "../model/fence.ts";
import type { FenceKeeper } from "./fence.ts";
import type { Runner } from "./runner.ts";
import { UnitManagerError } from "./unit-manager.ts";

/** For the fence to stop and to kill, and for a systemd that is slow to say so. */
const FENCE_MS = FENCE_STOP_MS + 2_000;

export interface HandOverPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly runner: Pick<Runner, "empty" | "fencedNames">;
  readonly fence: Pick<FenceKeeper, "letGo">;
}

/** Takes at most `timeoutMs`. Returns the fenced units that may still run here: while there is one, this machine must not leave. */
export async function handOver(ports: HandOverPorts, timeoutMs: number): Promise<readonly string[]> {
  const { clock, log, runner, fence } = ports;
  const emptied = runner.empty();
  const stopped = (withinMs: number) =>
    within(clock, emptied, {
      timeoutMs: withinMs,
      error: () =>
        new UnitManagerError("timeout", `Cannot stop all units within ${timeoutMs} ms: leaving them to systemd`),
    });
  const fenceMs = Math.min(FENCE_MS, timeoutMs);
  try {
    await stopped(timeoutMs - fenceMs).catch(() => {});
    const late = runner.fencedNames();
    if (late.length > 0) {
      log.warning("Units with Fence=strict take too long to stop: systemd kills them before this machine leaves", {
        units: late.join(" "),
      });
      fence.letGo().catch((error: unknown) => {
        log.warning("Cannot have systemd kill units with Fence=strict", { reason: reasonOf(error) });
      });
    }
    await stopped(fenceMs);
    log.info("Stopped all units of this machine");
  } catch (error) {
    log.warning(reasonOf(error));
  }
  return runner.fencedNames();
}
