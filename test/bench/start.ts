/**
 * How long one start takes on three real hosts: until systemd says active, and until the command returns.
 *
 * Idea. "active" is read from systemd's own monotonic time stamp, which all hosts and this process share with their kernel.
 *
 * Usage: bun run bench:start [runs]     (50). Many units at once: bulk.ts.
 *
 * @module
 */
import { dlopen, ptr } from "bun:ffi";
import { Cluster, FLT_BINARY, missingForHosts } from "../hosts/lib/cluster.ts";
import { leaderOf, sleeper, waitActive, writeUnits } from "../hosts/lib/fleet.ts";
import type { Host } from "../hosts/lib/host.ts";

const RUNS = Number(process.argv[2] ?? 50);

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

const CLOCK_MONOTONIC = 1;
const libc = dlopen("libc.so.6", { clock_gettime: { args: ["i32", "ptr"], returns: "i32" } });
const timespec = new BigInt64Array(2);

/** The clock that systemd stamps with; Bun's own count from their process's start. */
function nowMs(): number {
  libc.symbols.clock_gettime(CLOCK_MONOTONIC, ptr(timespec));
  return Number(timespec[0]) * 1_000 + Number(timespec[1]) / 1e6;
}

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

async function main(): Promise<number> {
  const missing = missingForHosts() ?? ((await Bun.file(FLT_BINARY).exists()) ? undefined : "dist/flt is not built");
  if (missing !== undefined) {
    console.error(`Run the benchmark: ${missing}`);
    return 1;
  }
  const cluster = await Cluster.boot({ hosts: 3 });
  try {
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
  } catch (error) {
    await cluster.report();
    console.error(error);
    return 1;
  } finally {
    await cluster.remove();
  }
}

process.exit(await main());
