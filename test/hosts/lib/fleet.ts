/**
 * What the host tests ask flt and systemd, and wait for: units, states, machines, the leader, and the processes that must
 * not have been touched.
 *
 * Idea. The two sides are asked separately: flt over its API, each host's systemd by systemctl. A test compares them.
 *
 * @module
 */
import type { Cluster } from "./cluster.ts";
import type { Host } from "./host.ts";
import { eventually } from "./wait.ts";

export interface UnitState {
  readonly name: string;
  readonly hash: string;
  readonly machineID: string;
  readonly systemdLoadState: string;
  readonly systemdActiveState: string;
  readonly systemdSubState: string;
}

export interface UnitEntity {
  readonly name: string;
  readonly desiredState: string;
  readonly currentState?: string;
  readonly machineID?: string;
  readonly options: readonly { readonly section: string; readonly name: string; readonly value: string }[];
}

export interface MachineEntity {
  readonly id: string;
  readonly primaryIP: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

type Collection = "units" | "state" | "machines";

/** Every page of a list. */
async function list<T>(host: Host, collection: Collection, key: string): Promise<T[]> {
  const items: T[] = [];
  let token = "";
  do {
    const query = token === "" ? "" : `?nextPageToken=${token}`;
    const response = await host.api(`/fleet/v1/${collection}${query}`, { timeoutMs: 5_000 });
    if (!response.ok) {
      throw new Error(`List ${collection} on ${host.name}: status ${response.status}: ${await response.text()}`);
    }
    const page = (await response.json()) as Record<string, unknown>;
    items.push(...((page[key] ?? []) as T[]));
    token = (page.nextPageToken as string | undefined) ?? "";
  } while (token !== "");
  return items;
}

export const statesOf = (host: Host): Promise<UnitState[]> => list(host, "state", "states");
export const unitsOf = (host: Host): Promise<UnitEntity[]> => list(host, "units", "units");
export const machinesOf = (host: Host): Promise<MachineEntity[]> => list(host, "machines", "machines");

/** The machine that leads, as this host knows it; undefined while it knows of none. */
export async function leaderSeenBy(host: Host): Promise<string | undefined> {
  const response = await host.api("/flt/v1/version", { timeoutMs: 1_000 });
  const answer = (await response.json()) as { leader?: string };
  return answer.leader;
}

/** The host that leads, agreed on by a majority of those that are on; `not` excludes one that is dead or deposed. */
export function leaderOf(cluster: Cluster, not?: Host, timeoutMs = 10_000): Promise<Host> {
  return eventually("a leader", timeoutMs, async () => {
    const asked = cluster.hosts.filter((host) => host.isOn && host !== not);
    const seen = await Promise.all(asked.map((host) => leaderSeenBy(host).catch(() => undefined)));
    const majority = Math.floor(cluster.hosts.length / 2) + 1;
    const leader = seen.find((id) => id !== undefined && seen.filter((other) => other === id).length >= majority);
    return leader === undefined || leader === not?.machineId ? undefined : cluster.hostOfMachine(leader);
  });
}

/** A unit that does nothing for ever. */
export function sleeper(description: string, placement = ""): string {
  return `[Unit]\nDescription=${description}\n\n[Service]\nExecStart=/bin/sleep infinity\n${placement}`;
}

/** Writes unit files into the host's /tmp and returns their paths. */
export async function writeUnits(host: Host, files: Readonly<Record<string, string>>): Promise<string[]> {
  const paths: string[] = [];
  for (const [name, text] of Object.entries(files)) {
    await host.write(`/tmp/${name}`, text);
    paths.push(`/tmp/${name}`);
  }
  return paths;
}

/** Starts sleepers of these names by `flt start` and returns when it does. */
export async function startSleepers(host: Host, names: readonly string[]): Promise<void> {
  const paths = await writeUnits(host, Object.fromEntries(names.map((name) => [name, sleeper(name)])));
  await host.mustRun(["flt", "start", ...paths], { timeoutMs: 30_000 });
}

export function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index + 1}.service`);
}

/** Resolves when flt reports each of these units active, once, and on a machine that the filter accepts. */
export async function waitActive(
  host: Host,
  units: readonly string[],
  timeoutMs = 15_000,
  accepts: (machineId: string) => boolean = () => true,
): Promise<UnitState[]> {
  return await eventually(`${units.length} units to be active, asked on ${host.name}`, timeoutMs, async () => {
    const states = (await statesOf(host)).filter((state) => units.includes(state.name));
    const wrong = states.filter((state) => state.systemdActiveState !== "active" || !accepts(state.machineID));
    if (states.length !== units.length || wrong.length > 0) {
      const seen = states.map((state) => `${state.name}:${state.systemdActiveState}@${state.machineID.slice(0, 8)}`);
      throw new Error(`seen ${seen.sort((a, b) => a.localeCompare(b)).join(" ")}`);
    }
    return states;
  });
}

/** The units of a glob that this host's systemd holds active, sorted. */
export async function runningOn(host: Host, glob: string): Promise<string[]> {
  const command = ["systemctl", "list-units", "--plain", "--no-legend", "--no-pager", "--state=active", glob];
  const lines = (await host.mustRun(command)).split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => line.trim().split(/\s+/)[0] ?? "").sort((left, right) => left.localeCompare(right));
}

/** Host names by unit, as the hosts' own systemds tell it: what really runs. */
export async function whereRunning(cluster: Cluster, glob: string): Promise<Record<string, string[]>> {
  const places: Record<string, string[]> = {};
  for (const host of cluster.hosts.filter((candidate) => candidate.isOn)) {
    for (const unit of await runningOn(host, glob)) {
      places[unit] = [...(places[unit] ?? []), host.name];
    }
  }
  return places;
}

/**
 * Fingerprint of the processes behind a host's units: pid and invocation of each. It stays the same text exactly as long as
 * none of them was stopped, started or restarted.
 */
export async function workloads(host: Host, glob: string): Promise<string> {
  const units = await runningOn(host, glob);
  if (units.length === 0) {
    return "";
  }
  const shown = await host.mustRun(["systemctl", "show", "--property=Id,MainPID,InvocationID,NRestarts", ...units]);
  return shown.trim();
}

/** {@link workloads} of every host that is on. */
export async function allWorkloads(cluster: Cluster, glob: string): Promise<Record<string, string>> {
  const all: Record<string, string> = {};
  for (const host of cluster.hosts.filter((candidate) => candidate.isOn)) {
    all[host.name] = await workloads(host, glob);
  }
  return all;
}

/** Writes something through the API and returns how long it took until it was acknowledged. */
export async function timeWrite(host: Host, name: string, timeoutMs: number): Promise<number> {
  const begin = performance.now();
  const options = [{ section: "Service", name: "ExecStart", value: "/bin/true" }];
  await eventually(`a write on ${host.name}`, timeoutMs, async () => {
    const body = { name, desiredState: "inactive", options };
    return (await host.api(`/fleet/v1/units/${name}`, { method: "PUT", body, timeoutMs: 2_000 })).ok;
  });
  return performance.now() - begin;
}

/** Deletes every unit and waits until no host runs any of them. */
export async function clear(cluster: Cluster, host: Host, glob: string): Promise<void> {
  for (const unit of await unitsOf(host)) {
    await host.api(`/fleet/v1/units/${unit.name}`, { method: "DELETE" });
  }
  await eventually("the end of every unit", 15_000, async () => {
    return Object.keys(await whereRunning(cluster, glob)).length === 0;
  });
}
