/**
 * How long one start takes on three real hosts: until systemd says active, and until the command returns.
 *
 * Idea. "active" is read from systemd's own monotonic time stamp, which all hosts and this process share with their kernel.
 *
 * Usage: bun run bench:start [runs]     (50). Many units at once: bulk.ts.
 *
 * @module
 */
import type { Cluster } from "../hosts/lib/cluster.ts";
import { leaderOf, sleeper, waitActive, writeUnits } from "../hosts/lib/fleet.ts";
import type { Host } from "../hosts/lib/host.ts";
import { bench, nowMs, quantile } from "./frame.ts";

const RUNS = Number(process.argv[2] ?? 50);

/** When systemd saw the unit become active, in milliseconds of CLOCK_MONOTONIC. */
async function activeAt(host: Host, unit: string): Promise<number> {
  return Number(await host.property(unit, "ActiveEnterTimestampMonotonic")) / 1000;
}

interface SingleStarts {
  readonly returnedMs: number[];
  readonly activeMs: number[];
}

async function singleStarts(cluster: Cluster): Promise<SingleStarts> {
  const returnedMs: number[] = [];
  const activeMs: number[] = [];
  for (let run = 1; run <= RUNS; run++) {
    const asker = cluster.hosts[run % cluster.hosts.length] as Host;
    const unit = `single${run}.service`;
    const [path = ""] = await writeUnits(asker, { [unit]: sleeper(unit) });
    const begin = nowMs();
    await asker.mustRun(["flt", "start", path]);
    returnedMs.push(nowMs() - begin);
    const [state] = await waitActive(asker, [unit]);
    activeMs.push((await activeAt(cluster.hostOfMachine(state?.machineID ?? ""), unit)) - begin);
  }
  return { returnedMs, activeMs };
}

function row(what: string, ...cells: (string | number)[]): void {
  const shown = cells.map((cell) => (typeof cell === "number" ? cell.toFixed(0) : cell).padStart(10));
  console.log(`${what.padEnd(44)}${shown.join("")}`);
}

async function measure(cluster: Cluster): Promise<number> {
  await leaderOf(cluster);
  const single = await singleStarts(cluster);
  row(`flt start of a new unit, ${RUNS} runs, ms`, "median", "p95", "max");
  for (const [what, values] of [
    ["  until systemd says active", single.activeMs],
    ["  until the command returns", single.returnedMs],
  ] as const) {
    row(what, quantile(values, 0.5), quantile(values, 0.95), quantile(values, 1));
  }
  return 0;
}

await bench(measure);
