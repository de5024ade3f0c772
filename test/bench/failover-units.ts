/**
 * How long the units of a host without power are away: from the cut until systemd elsewhere says that all of them are active.
 *
 * Idea. Defaults, three hosts; in each round one host loses its power, is booted again and is given units anew. Half of the rounds take
 * a follower, half the leader. Both ends are read from the clock that systemd stamps with.
 *
 * Usage: bun run bench:failover-units [rounds of each kind]     (20)
 *
 * @module
 */
import type { Cluster } from "../hosts/lib/cluster.ts";
import { leaderOf, machinesOf, names, runningOn, startSleepers, waitActive } from "../hosts/lib/fleet.ts";
import type { Host } from "../hosts/lib/host.ts";
import { eventually } from "../hosts/lib/wait.ts";
import { bench, nowMs, quantile } from "./frame.ts";

const ROUNDS = Number(process.argv[2] ?? 20);
const UNITS = names("moved", 9);
const MOVED_MS = 30_000;

/** When systemd on this host saw the last of these units become active. */
async function lastActiveAt(host: Host, units: readonly string[]): Promise<number> {
  if (units.length === 0) return 0;
  const shown = await host.mustRun([
    "systemctl",
    "show",
    "--property=ActiveEnterTimestampMonotonic",
    "--value",
    ...units,
  ]);
  return Math.max(...shown.trim().split(/\s+/).map(Number)) / 1_000;
}

/** @returns After how many milliseconds the last of its units was active elsewhere. */
async function lose(cluster: Cluster, victim: Host): Promise<number> {
  const [witness] = cluster.others(victim) as [Host];
  const lost = await runningOn(victim, "moved*");
  if (lost.length === 0) throw new Error(`Lose ${victim.name}: it runs nothing`);
  const begin = nowMs();
  await victim.powerOff();
  await waitActive(witness, UNITS, MOVED_MS, (machine) => machine !== victim.machineId);
  let last = 0;
  for (const host of cluster.others(victim)) {
    const here = (await runningOn(host, "moved*")).filter((unit) => lost.includes(unit));
    last = Math.max(last, await lastActiveAt(host, here));
  }
  return last - begin;
}

/** Boots the host again and spreads the units anew, so that each host has some to lose. */
async function comeBack(cluster: Cluster, victim: Host): Promise<void> {
  await victim.powerOn();
  await cluster.ready(victim);
  const [asked] = cluster.others(victim) as [Host];
  await eventually(`${victim.name} to be a machine again`, 15_000, async () => {
    return (await machinesOf(asked)).some((machine) => machine.id === victim.machineId);
  });
  await asked.mustRun(["flt", "destroy", ...UNITS], { timeoutMs: 30_000 });
  await startSleepers(asked, UNITS);
  await waitActive(asked, UNITS);
}

async function measure(cluster: Cluster): Promise<number> {
  const took: Record<"follower" | "leader", number[]> = { follower: [], leader: [] };
  await startSleepers(await leaderOf(cluster), UNITS);
  await waitActive(cluster.host("h1"), UNITS);
  for (let round = 0; round < 2 * ROUNDS; round++) {
    const leader = await leaderOf(cluster);
    const kind = round % 2 === 0 ? "follower" : "leader";
    const victim = kind === "leader" ? leader : (cluster.others(leader)[(round / 2) % 2] as Host);
    const ms = await lose(cluster, victim);
    took[kind].push(ms);
    console.error(`round ${round + 1}: ${kind} ${victim.name}: ${Math.round(ms)} ms`);
    await comeBack(cluster, victim);
  }
  const row = (what: string, cells: readonly string[]) =>
    console.log(`${what.padEnd(52)}${cells.map((cell) => cell.padStart(8)).join("")}`);
  row("power cut until its units are active elsewhere, ms", ["p50", "p95", "max"]);
  for (const kind of ["follower", "leader"] as const) {
    const cells = [0.5, 0.95, 1].map((share) => quantile(took[kind], share).toFixed(0));
    row(`  a ${kind}, ${took[kind].length} rounds`, cells);
  }
  return 0;
}

await bench(measure);
