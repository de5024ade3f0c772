/**
 * Whether flt tells the same of a host's units as that host's own systemd, unit by unit.
 *
 * Idea. `list-units` (over the API) beside `systemctl show`, and beside the files that the agent holds: what one side has and the
 * other has not is a disagreement, too.
 *
 * @module
 */
import type { Cluster } from "./cluster.ts";
import { statesOf } from "./fleet.ts";
import type { Host } from "./host.ts";

/** The longest that a change may take to be seen in list-units. */
export const AGREE_MS = 1_000;
const UNITS_DIRECTORY = "/run/flt/units";
/** Names in one command line. */
const NAMES_MAX = 250;

/** Load, active and sub state by unit, as systemd on this host has them. */
export async function systemdStates(host: Host, units: readonly string[]): Promise<Map<string, string>> {
  const states = new Map<string, string>();
  for (let at = 0; at < units.length; at += NAMES_MAX) {
    const names = units.slice(at, at + NAMES_MAX);
    const shown = await host.mustRun([
      "systemctl",
      "show",
      "--property=LoadState,ActiveState,SubState",
      "--",
      ...names,
    ]);
    for (const [index, block] of shown.trim().split("\n\n").entries()) {
      const value = (property: string) => new RegExp(`^${property}=(.*)$`, "m").exec(block)?.[1] ?? "";
      states.set(names[index] ?? "", `${value("LoadState")}/${value("ActiveState")}/${value("SubState")}`);
    }
  }
  return states;
}

/** What flt, asked on `asked`, and this host's systemd tell differently; one line a unit. */
export async function disagreements(host: Host, asked: Host = host): Promise<string[]> {
  const told = new Map<string, string>();
  for (const state of await statesOf(asked)) {
    if (state.machineID !== host.machineId) continue;
    told.set(state.name, `${state.systemdLoadState}/${state.systemdActiveState}/${state.systemdSubState}`);
  }
  const files = (await host.mustRun(["ls", UNITS_DIRECTORY])).split("\n").filter((name) => name !== "");
  const shown = await systemdStates(host, files);
  const lines: string[] = [];
  for (const name of new Set([...files, ...told.keys()])) {
    // A unit that is refused here has no file, and systemd's unit of that name is none of flt's.
    const real = files.includes(name) ? shown.get(name) : "not-found/inactive/dead";
    if (told.get(name) !== real) lines.push(`${name}: flt says ${told.get(name)}, systemd ${real}`);
  }
  return lines;
}

/** Resolves once flt and systemd agree on every unit of this host; rejects when flt, asked later than that, says anything else. */
export async function untilAgreed(host: Host, withinMs = AGREE_MS, asked: Host = host): Promise<void> {
  const begin = performance.now();
  for (;;) {
    const askedAfterMs = performance.now() - begin;
    const lines = await disagreements(host, asked);
    if (lines.length === 0) return;
    if (askedAfterMs > withinMs) {
      const shown = lines.slice(0, 5).join("; ");
      throw new Error(
        `Compare flt with systemd on ${host.name}: after ${withinMs} ms ${lines.length} units differ: ${shown}`,
      );
    }
  }
}

/** The same for every host that is on. */
export async function untilAllAgreed(cluster: Cluster, withinMs = AGREE_MS): Promise<void> {
  await Promise.all(cluster.hosts.filter((host) => host.isOn).map((host) => untilAgreed(host, withinMs)));
}
