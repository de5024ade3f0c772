/**
 * stopIntent: what systemd wants of our own service right now.
 *
 * Problem. SIGTERM says nothing about why. `systemctl stop flt` and a shutdown give the units away; `systemctl restart
 * flt` and a bare signal must not touch them.
 * Idea. While systemd stops a service it has a job for it: `stop`, or `restart` when it is to come back. So ask which.
 *
 * Invariants.
 * - What cannot be found out is `none`: units stay, which is the harmless side. So is a daemon that is no service of systemd's.
 * - It uses a connection of its own and ends within its deadline, whatever became of the agent's.
 *
 * @module
 */
import type { Clock } from "../../lib/clock.ts";
import { type Log, reasonOf } from "../../lib/log.ts";
import { within } from "../../lib/wait.ts";
import { UnitManagerError } from "../unit-manager.ts";
import { Bus, type BusKind, BusRefusal } from "./bus.ts";
import { MANAGER, PROPERTIES, UNIT_INTERFACE } from "./connection.ts";
import { HOST_SCOPE, type SystemdScope } from "./scope.ts";

export type StopIntent = "stop" | "restart" | "none";

export interface StopIntentOptions {
  readonly pid: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly timeoutMs?: number;
  /** Whose service this daemon is. */
  readonly scope?: SystemdScope;
}

const TIMEOUT_MS = 3000;
const JOB_INTERFACE = "org.freedesktop.systemd1.Job";
/** PID 1's own socket first: at shutdown the bus may go before us. */
const KINDS: readonly BusKind[] = ["private", "system"];

export async function stopIntent(options: StopIntentOptions): Promise<StopIntent> {
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  try {
    return await within(options.clock, ask(options), {
      timeoutMs,
      error: () => new UnitManagerError("timeout", `no answer within ${timeoutMs} ms`),
    });
  } catch (error) {
    options.log.warning("Cannot ask systemd why this service is stopped, units stay as they are", {
      reason: reasonOf(error),
    });
    return "none";
  }
}

async function ask(options: StopIntentOptions): Promise<StopIntent> {
  let failure: unknown;
  for (const kind of KINDS) {
    try {
      const bus = await Bus.connect(kind, options.clock, (options.scope ?? HOST_SCOPE).sockets[kind]);
      try {
        return await jobOf(bus, options.pid);
      } finally {
        bus.close();
      }
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

async function jobOf(bus: Bus, pid: number): Promise<StopIntent> {
  const unit = await unitOf(bus, pid);
  if (unit === undefined) return "none";
  const [id, path] = (await property(bus, unit, UNIT_INTERFACE, "Job")) as [number, string];
  if (id === 0) return "none";
  const type = await property(bus, path, JOB_INTERFACE, "JobType");
  return type === "stop" || type === "restart" ? type : "none";
}

/** Object path of the unit that the process belongs to; undefined for one that was started by hand. */
async function unitOf(bus: Bus, pid: number): Promise<string | undefined> {
  try {
    const [path] = await bus.call({ ...MANAGER, member: "GetUnitByPID", signature: "u", body: [pid] });
    return String(path);
  } catch (error) {
    if (error instanceof BusRefusal && error.errorName.endsWith(".NoUnitForPID")) return undefined;
    throw error;
  }
}

async function property(bus: Bus, path: string, owner: string, name: string): Promise<unknown> {
  const [variant] = await bus.call({
    path,
    interface: PROPERTIES,
    member: "Get",
    signature: "ss",
    body: [owner, name],
  });
  return (variant as { readonly value: unknown }).value;
}
