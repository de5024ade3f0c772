/**
 * How long things take on three real hosts: one unit until systemd says active, and many units started, restarted, stopped and
 * destroyed, against systemctl itself.
 *
 * Idea. All in one run on the same hosts, alternating, since only ratios mean something on a shared machine. "active" is
 * read from systemd's own monotonic time stamp, which all hosts and this process share with their kernel.
 *
 * Usage: bun run bench:start [units]     (300)
 *
 * @module
 */
import { dlopen, ptr } from "bun:ffi";
import { Cluster, FLT_BINARY, missingForHosts } from "../hosts/lib/cluster.ts";
import { leaderOf, names, sleeper, waitActive, writeUnits } from "../hosts/lib/fleet.ts";
import type { Host } from "../hosts/lib/host.ts";
import { eventually } from "../hosts/lib/wait.ts";

const RUNS = Number(process.env.FLT_BENCH_RUNS ?? 50);
const ROUNDS = 3;
const UNITS = Number(process.argv[2] ?? 300);
const LONG_MS = 120_000;

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

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begin = nowMs();
  await work();
  return nowMs() - begin;
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

const VERBS = ["start", "restart", "stop", "destroy"] as const;
type Times = Record<(typeof VERBS)[number], number>;

async function manyByFlt(cluster: Cluster, round: number): Promise<Times> {
  const asker = cluster.hosts[round % cluster.hosts.length] as Host;
  const units = names(`many${round}-`, UNITS);
  const paths = await writeUnits(asker, Object.fromEntries(units.map((unit) => [unit, sleeper(unit)])));
  const flt = (verb: string, words: readonly string[]): Promise<number> =>
    timed(() => asker.mustRun(["flt", verb, ...words], { timeoutMs: LONG_MS }));
  const start = await flt("start", paths);
  await waitActive(asker, units, LONG_MS);
  const restart = await flt("restart", units);
  await waitActive(asker, units, LONG_MS);
  const stop = await flt("stop", units);
  await flt("start", units);
  await waitActive(asker, units, LONG_MS);
  // The command returns when the cluster has forgotten the units; what counts is that no host holds them any more.
  const destroy = await timed(async () => {
    await asker.mustRun(["flt", "destroy", ...units], { timeoutMs: LONG_MS });
    await eventually("the end of every unit", LONG_MS, async () => {
      const left = await Promise.all(cluster.hosts.map((host) => host.mustRun(["ls", "/run/flt/units"])));
      return !left.some((held) => held.includes(`many${round}-`));
    });
  });
  return { start, restart, stop, destroy };
}

async function manyBySystemctl(cluster: Cluster, round: number): Promise<Times> {
  const units = names(`plain${round}-`, UNITS);
  const shares = cluster.hosts.map((host, index) => ({
    host,
    own: units.filter((_, at) => at % cluster.hosts.length === index),
  }));
  for (const { host, own } of shares) {
    for (const unit of own) {
      await host.write(`/run/systemd/system/${unit}`, sleeper(unit));
    }
    await host.mustRun(["systemctl", "daemon-reload"]);
  }
  const all = (verb: string): Promise<number> =>
    timed(() =>
      Promise.all(shares.map(({ host, own }) => host.mustRun(["systemctl", verb, ...own], { timeoutMs: LONG_MS }))),
    );
  const start = await all("start");
  const restart = await all("restart");
  const stop = await all("stop");
  await all("start");
  const destroy = await timed(() =>
    Promise.all(
      shares.map(async ({ host, own }) => {
        await host.mustRun(["systemctl", "stop", ...own], { timeoutMs: LONG_MS });
        await host.mustRun(["rm", ...own.map((unit) => `/run/systemd/system/${unit}`)]);
        await host.mustRun(["systemctl", "daemon-reload"]);
      }),
    ),
  );
  return { start, restart, stop, destroy };
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
    const flt: Times[] = [];
    const plain: Times[] = [];
    for (let round = 1; round <= ROUNDS; round++) {
      plain.push(await manyBySystemctl(cluster, round));
      flt.push(await manyByFlt(cluster, round));
    }
    console.log("");
    row(`${UNITS} units on 3 hosts, median of ${ROUNDS}, ms`, "flt", "systemctl", "ratio");
    for (const verb of VERBS) {
      const [ours, theirs] = [flt, plain].map((rounds) =>
        quantile(
          rounds.map((each) => each[verb]),
          0.5,
        ),
      ) as [number, number];
      row(`  ${verb}`, ours, theirs, (ours / theirs).toFixed(2));
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
