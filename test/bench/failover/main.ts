/**
 * How long a cluster takes no writes when its leader is lost: killed, without power, or stopped in order. Beside etcd, in turns.
 *
 * Idea. Three hosts run three members of each system at their defaults. In each round one of them loses its leader while the client
 * (client.ts) writes through the two others. The outage ends with the first acknowledged write that began after the fault. A
 * stop in order is no fault: what counts there is the longest pause between two acknowledged writes around it.
 *
 * Usage: bun run bench:failover [kills] [power cuts] [stops]     (100 20 20)
 *
 * @module
 */
import { loadavg } from "node:os";
import type { Cluster } from "../../hosts/lib/cluster.ts";
import { missingForEtcd } from "../../hosts/lib/etcd.ts";
import type { Host } from "../../hosts/lib/host.ts";
import { signal } from "../../hosts/lib/shell.ts";
import { eventually, sleep } from "../../hosts/lib/wait.ts";
import { bench, nowMs, quantile } from "../frame.ts";
import { type Settled, WRITE_TIMEOUT_MS } from "./client.ts";
import { Load } from "./load.ts";
import { etcdOn, fltConfigOf, fltOn, type System } from "./systems.ts";

const KINDS = ["killed", "without power", "stopped"] as const;
type Kind = (typeof KINDS)[number];
const ROUNDS: Readonly<Record<Kind, number>> = {
  killed: Number(process.argv[2] ?? 100),
  "without power": Number(process.argv[3] ?? 20),
  stopped: Number(process.argv[4] ?? 20),
};

/** An outage that lasts longer is a failure of the benchmark. */
const OUTAGE_MAX_MS = 20_000;
/** Writes before the fault, and after its end. */
const AROUND_MS = 300;
/** A stop in order may have its say for so long after the command returned. */
const AFTER_STOP_MS = 1_500;

interface Round {
  readonly outageMs: number;
  /** How long the writes that were on their way took to hear their fate, at most; null: none was. */
  readonly caughtMs: number | null;
  /** What the member says that handing over took; null: it says nothing. */
  readonly handOverMs: number | null;
}

interface Contestant {
  readonly name: string;
  readonly system: System;
  readonly load: Load;
  readonly rounds: Record<Kind, Round[]>;
}

/** The fault came between the two: the outage is counted from `at`, and ended by no write that began before `doneAt`. */
interface Fault {
  readonly at: number;
  readonly doneAt: number;
}

async function lose(kind: Kind, leader: Host, pid: number, unit: string): Promise<Fault> {
  const at = nowMs();
  if (kind === "killed") signal(pid, "SIGKILL");
  else if (kind === "without power") await leader.cut();
  const doneAt = nowMs();
  if (kind === "without power") await leader.powerOff();
  if (kind === "stopped") await leader.mustRun(["systemctl", "stop", unit], { timeoutMs: 60_000 });
  return { at, doneAt };
}

async function bringBack(kind: Kind, host: Host, all: readonly Contestant[], unit: string): Promise<void> {
  if (kind === "without power") await host.powerOn();
  if (kind === "stopped") await host.mustRun(["systemctl", "start", unit], { timeoutMs: 60_000 });
  if (kind === "killed") {
    await eventually(`${unit} on ${host.name}`, 30_000, async () => (await host.mainPid(unit)) !== 0);
  }
  for (const { system } of all) await system.settled();
}

function longestPause(settled: readonly Settled[], from: number): number {
  const moments = settled.filter(({ failure }) => failure === null).map(({ settledAt }) => settledAt);
  let longest = 0;
  for (const [index, at] of moments.entries()) {
    if (at >= from) longest = Math.max(longest, at - (moments[index - 1] ?? at));
  }
  return longest;
}

async function round(kind: Kind, cluster: Cluster, { system, load }: Contestant): Promise<[Round, Host]> {
  const leader = await system.leader();
  const pid = await leader.outerMainPid(system.unit);
  if (pid === undefined) throw new Error(`Lose ${leader.name}: ${system.unit} does not run there`);
  await load.begin(cluster.others(leader).map(({ name }) => name));
  await sleep(AROUND_MS);
  const { at, doneAt } = await lose(kind, leader, pid, system.unit);
  const first = await load.until("a write after the fault", OUTAGE_MAX_MS, (write) => {
    return write.failure === null && write.sentAt >= doneAt;
  });
  await sleep(kind === "stopped" ? AFTER_STOP_MS : AROUND_MS);
  load.end();
  const last = nowMs();
  // Whatever is on its way has an end of its own.
  await eventually("the fate of every write", OUTAGE_MAX_MS, () => nowMs() - last > WRITE_TIMEOUT_MS + AROUND_MS);
  const caught = load.settled.filter(({ sentAt, settledAt }) => sentAt < doneAt && settledAt > at);
  const outageMs = kind === "stopped" ? longestPause(load.settled, at) : first.settledAt - at;
  const caughtMs = caught.length === 0 ? null : Math.max(...caught.map(({ settledAt }) => settledAt - at));
  const handOverMs = kind === "stopped" ? await system.handOverMs(leader) : null;
  return [{ outageMs, caughtMs, handOverMs }, leader];
}

const SHARES = [0.5, 0.95, 1];

function row(what: string, cells: readonly string[]): void {
  console.log(`${what.padEnd(46)}${cells.map((cell) => cell.padStart(8)).join("")}`);
}

/** @param ratio Of the first to the second; not where the client's own patience is what is measured. */
function table(title: string, all: readonly Contestant[], ratio: boolean, pick: (round: Round) => number | null): void {
  row(title, ["rounds", "p50", "p95", "max"]);
  for (const kind of KINDS) {
    const quantiles: number[][] = [];
    for (const { name, rounds } of all) {
      const values = rounds[kind].flatMap((round) => pick(round) ?? []);
      if (values.length === 0) continue;
      const found = SHARES.map((share) => quantile(values, share));
      quantiles.push(found);
      row(`  ${kind}: ${name}`, [`${values.length}`, ...found.map((ms) => ms.toFixed(0))]);
    }
    const [ours, theirs] = quantiles;
    if (!ratio || ours === undefined || theirs === undefined) continue;
    row("    ratio", ["", ...ours.map((ms, index) => (ms / (theirs[index] ?? Number.NaN)).toFixed(2))]);
  }
}

function show(contestants: readonly Contestant[]): void {
  table("writes pause when the leader is lost, ms", contestants, true, ({ outageMs }) => outageMs);
  table("a write on its way hears its fate after, ms", contestants, false, ({ caughtMs }) => caughtMs);
  console.log(`    (a client waits for ${WRITE_TIMEOUT_MS} ms at most)`);
  table("of a stop: handing the leadership over, ms", contestants, false, ({ handOverMs }) => handOverMs);
}

async function measure(cluster: Cluster): Promise<number> {
  const systems = { flt: fltOn(cluster), "etcd 3.4": await etcdOn(cluster) };
  const contestants = Object.entries(systems).map(([name, system]): Contestant => {
    const load = Load.start(cluster, system.client);
    return { name, system, load, rounds: { killed: [], "without power": [], stopped: [] } };
  });
  const before = loadavg()[0] ?? 0;
  for (const kind of KINDS) {
    for (let count = 1; count <= ROUNDS[kind]; count++) {
      for (const contestant of contestants) {
        const [taken, host] = await round(kind, cluster, contestant);
        contestant.rounds[kind].push(taken);
        console.error(`${contestant.name} ${kind} ${count} on ${host.name}: ${taken.outageMs.toFixed(0)} ms`);
        await bringBack(kind, host, contestants, contestant.system.unit);
      }
    }
  }
  show(contestants);
  console.log(`Load of the machine before and after: ${before.toFixed(1)}, ${(loadavg()[0] ?? 0).toFixed(1)}`);
  await Promise.all(contestants.map(({ load }) => load.stop()));
  return 0;
}

const missing = missingForEtcd();
await bench(measure, { configOf: fltConfigOf(3), missing });
