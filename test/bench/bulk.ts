/**
 * What it costs to start, restart, stop and destroy many units at once, beside systemctl doing the same.
 *
 * Idea. On the same three hosts, alternating in one run, since only ratios mean something on a shared machine. Three hosts
 * and this process share the machine's processors, so a time is mostly somebody's CPU time: it is counted for each kind
 * of process. systemctl starts units whose files are there and read; what it needs to link them first is a row of its own.
 *
 * Usage: bun run bench:bulk [units] [rounds]     (300 units, 5 rounds)
 *
 * @module
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Cluster } from "../hosts/lib/cluster.ts";
import { leaderOf, names, sleeper, statesOf, unitsOf, waitActive, writeUnits } from "../hosts/lib/fleet.ts";
import type { Host } from "../hosts/lib/host.ts";
import { eventually } from "../hosts/lib/wait.ts";
import { bench } from "./frame.ts";

const UNITS = Number(process.argv[2] ?? 300);
const ROUNDS = Number(process.argv[3] ?? 5);
const LONG_MS = 120_000;
/** USER_HZ, which /proc counts in on every Linux that we run on. */
const TICKS_PER_SECOND = 100;

const KINDS = ["flt daemon", "systemd", "dbus-daemon", "journald", "commands"] as const;
type Kind = (typeof KINDS)[number];
type Cpu = Record<Kind, number>;
interface Cost {
  readonly ms: number;
  readonly cpu: Cpu;
}

const KIND_OF: Readonly<Record<string, Kind>> = {
  flt: "flt daemon",
  systemd: "systemd",
  "dbus-daemon": "dbus-daemon",
  "systemd-journal": "journald",
};

interface Process {
  readonly pid: number;
  readonly kind: Kind;
}

/** The lasting processes of all hosts, told by the PID namespace that they are in. */
function daemonsOf(cluster: Cluster): Process[] {
  const spaces = new Set(cluster.hosts.map((host) => readlinkSync(`/proc/${host.initPid}/ns/pid`)));
  const found: Process[] = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const kind = KIND_OF[readFileSync(`/proc/${entry}/comm`, "utf8").trim()];
      if (kind !== undefined && spaces.has(readlinkSync(`/proc/${entry}/ns/pid`))) {
        found.push({ pid: Number(entry), kind });
      }
    } catch (error) {
      // A process that ended between the listing and the look is none of the lasting ones.
      if (!existsSync(`/proc/${entry}`)) continue;
      throw error;
    }
  }
  return found;
}

/** User and system time of a process in seconds, without its children's. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function residentMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

function cpuNow(daemons: readonly Process[]): Cpu {
  const sum: Cpu = { "flt daemon": 0, systemd: 0, "dbus-daemon": 0, journald: 0, commands: 0 };
  for (const { pid, kind } of daemons) sum[kind] += cpuOf(pid);
  return sum;
}

/** A command that waits for its processes counts their time as its own: what they took is known when it ends. */
async function command(host: Host, words: readonly string[]): Promise<number> {
  const child = host.spawn(words);
  const timer = setTimeout(() => child.kill(), LONG_MS);
  const [, said, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  clearTimeout(timer);
  if (code !== 0) throw new Error(`${host.name}: ${words.slice(0, 3).join(" ")} …: exit code ${code}\n${said}`);
  return Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1e6;
}

/** Runs commands side by side and counts what they and the daemons take until the last one has returned. */
async function cost(
  daemons: readonly Process[],
  commands: readonly (readonly [Host, string[]])[],
  settled: () => Promise<void> = () => Promise.resolve(),
): Promise<Cost> {
  const before = cpuNow(daemons);
  const begin = performance.now();
  const taken = await Promise.all(commands.map(([host, words]) => command(host, words)));
  await settled();
  const ms = performance.now() - begin;
  const cpu = cpuNow(daemons);
  for (const kind of KINDS) cpu[kind] -= before[kind];
  cpu.commands = taken.reduce((sum, each) => sum + each, 0);
  return { ms, cpu };
}

const VERBS = ["link", "start", "restart", "stop", "destroy"] as const;
type Verb = (typeof VERBS)[number];
type Round = Partial<Record<Verb, Cost>>;

async function byFlt(cluster: Cluster, daemons: readonly Process[], round: number): Promise<Round> {
  const asker = cluster.hosts[round % cluster.hosts.length] as Host;
  const units = names(`many${round}-`, UNITS);
  const paths = await writeUnits(asker, Object.fromEntries(units.map((unit) => [unit, sleeper(unit)])));
  const flt = (verb: string, words: readonly string[]) => cost(daemons, [[asker, ["flt", verb, ...words]]]);
  const start = await flt("start", paths);
  await waitActive(asker, units, LONG_MS);
  const restart = await flt("restart", units);
  const stop = await flt("stop", units);
  await flt("start", units);
  const forget = () => gone(cluster, `many${round}-*`);
  return { start, restart, stop, destroy: await cost(daemons, [[asker, ["flt", "destroy", ...units]]], forget) };
}

/** `flt destroy` returns when the cluster has forgotten the units; systemctl when the host has. */
async function gone(cluster: Cluster, glob: string): Promise<void> {
  const pattern = new Bun.Glob(glob);
  await eventually("the end of every unit file", LONG_MS, () =>
    cluster.hosts.every((host) => !readdirSync(host.path("/run/flt/units")).some((name) => pattern.match(name))),
  );
}

async function bySystemctl(cluster: Cluster, daemons: readonly Process[], round: number): Promise<Round> {
  const units = names(`plain${round}-`, UNITS);
  const shares = cluster.hosts.map((host, index) => ({
    host,
    own: units.filter((_, at) => at % cluster.hosts.length === index),
  }));
  for (const { host, own } of shares) await writeUnits(host, Object.fromEntries(own.map((u) => [u, sleeper(u)])));
  const all = (words: (own: string[]) => string[]) =>
    cost(
      daemons,
      shares.map(({ host, own }) => [host, words(own)] as const),
    );
  const link = await all((own) => ["systemctl", "link", "--runtime", ...own.map((unit) => `/tmp/${unit}`)]);
  const start = await all((own) => ["systemctl", "start", ...own]);
  const restart = await all((own) => ["systemctl", "restart", ...own]);
  const stop = await all((own) => ["systemctl", "stop", ...own]);
  await all((own) => ["systemctl", "start", ...own]);
  const destroy = await all((own) => ["sh", "-c", DESTROY, "sh", ...own]);
  return { link, start, restart, stop, destroy };
}

/** Until the host knows nothing of them: what `flt destroy` of running units comes to. */
const DESTROY = 'systemctl stop "$@" && systemctl disable --runtime --quiet "$@" && cd /tmp && rm "$@"';

/** What is there of the units that were destroyed: in the cluster, in systemd, on disk. */
async function leftovers(cluster: Cluster): Promise<string[]> {
  const found: string[] = [];
  for (const host of cluster.hosts) {
    const files = await host.mustRun(["find", "/run/flt/units", "/run/systemd", "-name", "many*"]);
    const known = await host.mustRun(["systemctl", "list-units", "--all", "--plain", "--no-legend", "many*"]);
    for (const line of `${files}\n${known}`.split("\n")) if (line.trim() !== "") found.push(`${host.name}: ${line}`);
  }
  const [asker] = cluster.hosts;
  if (asker === undefined) return found;
  for (const unit of await unitsOf(asker)) found.push(`unit ${unit.name}`);
  for (const state of await statesOf(asker)) found.push(`state ${state.name}`);
  return found;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}

function row(what: string, cells: readonly string[]): void {
  console.log(`${what.padEnd(30)}${cells.map((cell) => cell.padStart(14)).join("")}`);
}

function medians(rounds: readonly Round[], verb: Verb): Cost {
  const costs = rounds.flatMap((round) => round[verb] ?? []);
  const cpu = cpuNow([]);
  for (const kind of KINDS) cpu[kind] = median(costs.map((each) => each.cpu[kind]));
  return { ms: median(costs.map((each) => each.ms)), cpu };
}

function show(flt: readonly Round[], plain: readonly Round[]): void {
  const link = medians(plain, "link").ms;
  row(`${UNITS} units, 3 hosts, median of ${ROUNDS}`, ["flt ms", "systemctl ms", "ratio"]);
  for (const verb of VERBS) {
    const [ours, theirs] = [medians(flt, verb).ms, medians(plain, verb).ms];
    if (verb === "link") continue;
    row(`  ${verb}`, [ours.toFixed(0), theirs.toFixed(0), (ours / theirs).toFixed(2)]);
    if (verb === "start") {
      const both = link + theirs;
      row("  start, beside link and start", [ours.toFixed(0), both.toFixed(0), (ours / both).toFixed(2)]);
    }
  }
  console.log("");
  row("CPU ms of all hosts", [...KINDS]);
  for (const [who, rounds] of [
    ["flt", flt],
    ["systemctl", plain],
  ] as const) {
    for (const verb of VERBS) {
      if (rounds === flt && verb === "link") continue;
      const { cpu } = medians(rounds, verb);
      row(
        `  ${who} ${verb}`,
        KINDS.map((kind) => (cpu[kind] * 1000).toFixed(0)),
      );
    }
  }
}

async function measure(cluster: Cluster): Promise<number> {
  const leader = await leaderOf(cluster);
  const daemons = daemonsOf(cluster);
  const flt: Round[] = [];
  const plain: Round[] = [];
  // The first round warms caches and compilers up and is not counted.
  for (let round = 0; round <= ROUNDS; round++) {
    plain[round] = await bySystemctl(cluster, daemons, round);
    flt[round] = await byFlt(cluster, daemons, round);
  }
  show(flt.slice(1), plain.slice(1));
  const resident = daemons.filter(({ kind }) => kind === "flt daemon").map(({ pid }) => residentMb(pid).toFixed(0));
  console.log(`\nResident, MB: ${resident.join(", ")}; leader is ${leader.name}`);
  const left = await leftovers(cluster);
  console.log(left.length === 0 ? "Left behind: nothing" : `Left behind:\n${left.join("\n")}`);
  return left.length === 0 ? 0 : 1;
}

await bench(measure);
