/**
 * What this host's units use, from systemd's accounting, for as long as somebody watches.
 *
 * Idea. A generator that takes a sample each time it is pulled, no sooner than the interval allows. It has a connection to systemd of
 * its own, made when the first sample is wanted and closed when the reader leaves, so that a crowd of watchers cannot hold up
 * the agent's orders. Only units that run are asked for: systemd would read the file of any other just to say nothing of it.
 *
 * Invariants.
 * - Nothing is asked of systemd while nobody reads.
 * - What systemd does not account for is absent, never 0.
 *
 * @module
 */
import { readdirSync } from "node:fs";
import type { Clock } from "../../lib/clock.ts";
import { encodeText } from "../../lib/text.ts";
import { pause } from "../../lib/wait.ts";
import type { Glob } from "../../model/glob.ts";
import { isUnitName } from "../../model/unit-name.ts";
import { matchesSome, unitSelector } from "../../model/unit-pattern.ts";
import type { UnitUsage, Usage, UsageRequest, UsageSample } from "../../model/usage.ts";
import { UnitManagerError } from "../unit-manager.ts";
import { Bus, type BusKind, BusRefusal } from "./bus.ts";
import { MANAGER, PROPERTIES } from "./connection.ts";
import { unitPath } from "./names.ts";
import type { SystemdScope } from "./scope.ts";

export interface UsageOptions {
  readonly scope: SystemdScope;
  readonly unitsDirectory: string;
  readonly clock: Clock;
}

/** PID 1's own socket first, as everywhere here (connection.ts). */
const KINDS: readonly BusKind[] = ["private", "system"];
/** What may use anything. Other types have no processes (systemd.resource-control(5)). */
const INTERFACES: Readonly<Record<string, string>> = {
  service: "org.freedesktop.systemd1.Service",
  socket: "org.freedesktop.systemd1.Socket",
  mount: "org.freedesktop.systemd1.Mount",
  swap: "org.freedesktop.systemd1.Swap",
  slice: "org.freedesktop.systemd1.Slice",
};
const ROOT_SLICE = "-.slice";
const RUNNING_STATES = ["active", "reloading", "refreshing", "activating", "deactivating"];
/** systemd's word for "not accounted for": all bits set. */
const UNKNOWN = 0xffff_ffff_ffff_ffffn;

/** Lines of JSON, each a UsageSample. Throws UnitManagerError when systemd cannot be asked. */
export async function* usageSamples(
  options: UsageOptions,
  request: UsageRequest,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { clock } = options;
  const wanted = (request.units ?? []).map(unitSelector);
  if (signal.aborted) return;
  const bus = await connect(options);
  const close = (): void => bus.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    for (;;) {
      const atMs = clock.now();
      const sample = await takeSample(bus, options, wanted);
      if (signal.aborted) return;
      yield encodeText(`${JSON.stringify({ atMs, ...sample })}\n`);
      if (request.intervalMs === null) return;
      await pause(clock, Math.max(0, atMs + request.intervalMs - clock.now()), signal);
      if (signal.aborted) return;
    }
  } catch (error) {
    if (signal.aborted) return;
    throw error;
  } finally {
    signal.removeEventListener("abort", close);
    bus.close();
  }
}

async function connect({ scope, clock }: UsageOptions): Promise<Bus> {
  let failure: unknown = new UnitManagerError("disconnected", "Cannot reach systemd: no way is known");
  for (const kind of KINDS) {
    try {
      return await Bus.connect(kind, clock, scope.sockets[kind]);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

async function takeSample(
  bus: Bus,
  options: UsageOptions,
  selectors: readonly Glob[],
): Promise<Omit<UsageSample, "atMs">> {
  const [rows] = await bus.call({
    ...MANAGER,
    member: "ListUnitsFiltered",
    signature: "as",
    body: [RUNNING_STATES],
  });
  const running = new Set((rows as readonly string[][]).map(([name]) => name));
  const wanted = heldUnits(options.unitsDirectory).filter((name) => {
    return running.has(name) && matchesSome(selectors, name);
  });
  const [total, ...used] = await Promise.all([ROOT_SLICE, ...wanted].map((name) => readUsage(bus, name)));
  return { total: total ?? {}, units: wanted.map((name, index): UnitUsage => ({ name, ...used[index] })) };
}

function heldUnits(directory: string): string[] {
  return readdirSync(directory).filter(isUnitName).sort();
}

/** Nothing for a unit that has gone meanwhile. */
async function readUsage(bus: Bus, name: string): Promise<Usage> {
  const owner = INTERFACES[name.slice(name.lastIndexOf(".") + 1)];
  if (owner === undefined) return {};
  const get = async (property: string): Promise<number | undefined> => {
    const [variant] = await bus.call({
      path: unitPath(name),
      interface: PROPERTIES,
      member: "Get",
      signature: "ss",
      body: [owner, property],
    });
    const { value } = variant as { readonly value: bigint };
    return value === UNKNOWN ? undefined : Number(value);
  };
  try {
    const [cpuNs, memoryBytes, tasks] = await Promise.all([
      get("CPUUsageNSec"),
      get("MemoryCurrent"),
      get("TasksCurrent"),
    ]);
    return {
      ...(cpuNs !== undefined && { cpuNs }),
      ...(memoryBytes !== undefined && { memoryBytes }),
      ...(tasks !== undefined && { tasks }),
    };
  } catch (error) {
    if (error instanceof BusRefusal) return {};
    throw error;
  }
}
