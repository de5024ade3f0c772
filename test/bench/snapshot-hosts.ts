/**
 * What a store of 200 MB costs those who go on writing, on the compiled daemon: registry, engine, agent and API over it, three hosts.
 *
 * Idea. The store is filled with large units through the API. One client writes a small value at the leader every 15 ms, another asks each
 * daemon every 20 ms for what it knows by itself: how long that takes is how long its event loop stood still. Meanwhile, round by round:
 * snapshots are made, a member that was away is sent one, the leader is killed, members are started again. Columns:
 *   writes, p99, max   how many small writes there were, and how long they took
 *   client             the longest that the client itself was late, which is in the writes' times, too: the machine's part
 *   sync               the longest that a bare sync of one page took meanwhile: the part of the disk, which the hosts share
 *   answer L, F        the longest that the leader, and a follower, took to answer
 *   late L, F          turns of their loops that were later than a heartbeat's interval, and what the latest stayed below
 *   terms, CPU, RSS    by how much raft's term grew; seconds of CPU of all daemons; the largest daemon
 *
 * Beside others who use the machine, much of what it shows is theirs; a share of the processors helps. As root, where the cpu controller has a
 * hierarchy of its own: `cd /sys/fs/cgroup/cpu && mkdir bench && echo 16384 >bench/cpu.shares && echo $$ >bench/cgroup.procs`, then from that shell.
 * The hosts share one disk: what one of them writes, the others' syncs wait for. `unshare -m sh -c 'mount -t tmpfs tmpfs /var/tmp/flt-hosts &&
 * exec bun run bench:snapshot-hosts'` gives them disks in memory and leaves what is the daemons' own.
 *
 * Usage: bun run bench:snapshot-hosts [megabytes] [bytes a unit] [rounds]      (200 MB, 10,000, 3)
 *
 * @module
 */
import { loadavg } from "node:os";
import type { Cluster } from "../hosts/lib/cluster.ts";
import { leaderOf } from "../hosts/lib/fleet.ts";
import type { Host } from "../hosts/lib/host.ts";
import { bringBack, killForGood } from "../hosts/lib/service.ts";
import { eventually, sleep } from "../hosts/lib/wait.ts";
import type { Settled } from "./failover/client.ts";
import { Load } from "./failover/load.ts";
import { FLT_API_PORT, fltConfigOf, urls } from "./failover/systems.ts";
import { bench, nowMs, quantile } from "./frame.ts";
import { Figures, peakMb, snapshotFiles } from "./snapshot/daemon-figures.ts";
import { DiskGauge } from "./snapshot/disk-gauge.ts";
import { LargeUnits } from "./snapshot/large-units.ts";

const MB = 1024 * 1024;
const MEGABYTES = Number(process.argv[2] ?? 200);
const UNIT_BYTES = Number(process.argv[3] ?? 10_000);
const ROUNDS = Number(process.argv[4] ?? 3);
const WRITE_EVERY_MS = 15;
const PULSE_EVERY_MS = 20;
const QUIET_MS = 5_000;
const LARGE_BYTES_PER_SECOND = 2 * MB;
/** More than raft keeps in memory behind a snapshot, so that who was away needs the snapshot. */
const MISSED_BYTES = 24 * MB;
const SETTLED_AFTER_FILL_MS = 10_000;
const AFTER_PHASE_MS = 500;
/** The leader keeps its log for a member that was there a moment ago. */
const AWAY_MS = 3_000;
const LONGEST_MS = 120_000;
/** A write that was on its way into a fault is heard of within this. */
const SETTLED_MS = 2_500;

const FILL = "fill";

interface Bench {
  readonly cluster: Cluster;
  readonly units: LargeUnits;
  readonly writes: Load;
  readonly pulses: Load;
  readonly disk: DiskGauge;
  /** Of each kind of figure, one a round: for the last table. */
  readonly summary: Map<string, number[]>;
}

function note({ summary }: Bench, what: string, value: number): void {
  summary.set(what, [...(summary.get(what) ?? []), value]);
}

function row(cells: readonly (string | number)[]): void {
  const [head, ...rest] = cells.map(String);
  console.log((head ?? "").padEnd(30) + rest.map((cell) => cell.padStart(11)).join(""));
}

const longest = (settled: readonly Settled[]) =>
  Math.max(0, ...settled.map(({ sentAt, settledAt }) => settledAt - sentAt));

function clientLateMs(settled: readonly Settled[]): number {
  const moments = settled.map(({ sentAt }) => sentAt).sort((left, right) => left - right);
  return Math.max(0, ...moments.map((at, index) => at - (moments[index - 1] ?? at) - WRITE_EVERY_MS));
}

/** Measures what goes on while `act` runs; `others` are the followers that run. */
async function phase(
  all: Bench,
  name: string,
  leader: Host,
  others: readonly Host[],
  act: () => Promise<unknown>,
): Promise<void> {
  const hosts = [leader, ...others];
  const before = await Promise.all(hosts.map((host) => Figures.of(host)));
  await all.writes.begin([leader.name]);
  await all.pulses.begin(hosts.map((host) => host.name));
  all.disk.begin();
  const beginAt = nowMs();
  await act();
  const endAt = nowMs();
  // What is on its way has its say, too.
  await sleep(AFTER_PHASE_MS);
  const within = ({ sentAt }: Settled) => sentAt >= beginAt && sentAt <= endAt;
  const [writes, pulses] = [all.writes.settled.filter(within), all.pulses.settled.filter(within)];
  const after = await Promise.all(hosts.map((host) => Figures.of(host)));
  const lag = after.map((figures, at) => figures.lagSince(before[at] ?? null));
  const late = (some: typeof lag) =>
    `${some.reduce((sum, one) => sum + one.late, 0)} (<${Math.max(0, ...some.map(({ upToMs }) => upToMs))})`;
  const done = writes.filter(({ failure }) => failure === null);
  const answer = (some: readonly Host[]) =>
    longest(pulses.filter(({ via }) => some.some((host) => host.name === via))).toFixed(0);
  const maxMs = longest(writes);
  const terms = (after[0]?.get("flt_raft_term") ?? 0) - (before[0]?.get("flt_raft_term") ?? 0);
  if (name !== FILL) {
    note(all, `longest write: ${name}, ms`, maxMs);
    note(all, `longest bare sync: ${name}, ms`, all.disk.longestMs);
    note(
      all,
      "in any of these: turns of a loop later than a heartbeat",
      lag.reduce((sum, one) => sum + one.late, 0),
    );
    note(all, "in any of these: terms that began", terms);
  }
  row([
    name,
    Math.round(endAt - beginAt),
    `${done.length}${done.length < writes.length ? ` -${writes.length - done.length}` : ""}`,
    quantile(
      done.map(({ sentAt, settledAt }) => settledAt - sentAt),
      0.99,
    ).toFixed(1),
    maxMs.toFixed(1),
    clientLateMs(writes).toFixed(0),
    all.disk.longestMs.toFixed(0),
    answer([leader]),
    answer(others),
    late(lag.slice(0, 1)),
    late(lag.slice(1)),
    terms,
    after.reduce((sum, figures, at) => sum + figures.cpuSeconds - (before[at]?.cpuSeconds ?? 0), 0).toFixed(1),
    Math.round(Math.max(...after.map(({ residentMb }) => residentMb))),
    (loadavg()[0] ?? 0).toFixed(1),
  ]);
}

const HEADS = "took ms|writes|p99 ms|max ms|client|sync|answer L|answer F|late L|late F|terms|CPU s|RSS MB|load".split(
  "|",
);

/** Resolves when each host has a snapshot that it did not have, and nothing else is being written. */
function newSnapshots(hosts: readonly Host[]): () => Promise<void> {
  const old = new Set(hosts.flatMap((host) => snapshotFiles(host).map(({ name }) => `${host.name} ${name}`)));
  const has = (host: Host) => {
    const [file, ...more] = snapshotFiles(host);
    return file !== undefined && more.length === 0 && !old.has(`${host.name} ${file.name}`);
  };
  return () => eventually("a snapshot on each host", LONGEST_MS, () => hosts.every(has)).then(() => {});
}

async function installations(host: Host): Promise<number> {
  return (await host.journal("flt.service", 5_000)).split("Installed a snapshot").length - 1;
}

async function startAndRead(all: Bench, host: Host): Promise<{ readonly readyMs: number; readonly readMs: number }> {
  await host.mustRun(["systemctl", "reset-failed", "flt.service"]);
  const begin = nowMs();
  await host.mustRun(["systemctl", "start", "flt.service"], { timeoutMs: LONGEST_MS });
  const readyMs = nowMs() - begin;
  await all.units.untilRead(host, LONGEST_MS);
  return { readyMs, readMs: nowMs() - begin };
}

async function makeSnapshots(all: Bench): Promise<void> {
  const leader = await leaderOf(all.cluster);
  const others = all.cluster.others(leader);
  const large = (until: Promise<unknown>) => {
    let isOver = false;
    const end = () => {
      isOver = true;
    };
    return Promise.all([all.units.writeAt(leader, LARGE_BYTES_PER_SECOND, () => isOver), until.finally(end)]);
  };
  await phase(all, "quiet", leader, others, () => sleep(QUIET_MS));
  await phase(all, "large writes, 2 MB/s", leader, others, () => large(sleep(3_000)));
  const made = newSnapshots([leader, ...others]);
  await phase(all, "the same, snapshots made", leader, others, () => large(made()));
  console.log(`  the file has ${Math.max(...snapshotFiles(leader).map(({ mb }) => mb)).toFixed(0)} MB`);
}

async function sendSnapshot(all: Bench): Promise<void> {
  const leader = await leaderOf(all.cluster);
  const [laggard, steady] = all.cluster.others(leader) as [Host, Host];
  const before = await installations(laggard);
  await killAndWait(laggard);
  await sleep(AWAY_MS);
  const made = newSnapshots([leader]);
  await phase(all, "many large ones, one is away", leader, [steady], async () => {
    await all.units.write(leader, Math.ceil(MISSED_BYTES / UNIT_BYTES));
    await made();
  });
  await phase(all, "one is sent a snapshot", leader, [steady], async () => {
    const begin = nowMs();
    await bringBack(laggard);
    note(all, "sent a snapshot: READY, ms", nowMs() - begin);
    await all.units.untilRead(laggard, LONGEST_MS);
    note(all, "sent a snapshot: first linearizable read, ms", nowMs() - begin);
  });
  if ((await installations(laggard)) === before) throw new Error(`${laggard.name} needed no snapshot`);
  const { late, upToMs } = (await Figures.of(laggard)).lagSince(null);
  console.log(`  the one that installed it: ${late} late turns of its loop, all below ${upToMs} ms`);
}

async function killLeader(all: Bench): Promise<void> {
  const leader = await leaderOf(all.cluster);
  const others = all.cluster.others(leader);
  const [asked] = others as [Host];
  const term = (await Figures.of(asked)).get("flt_raft_term");
  await all.writes.begin(others.map(({ name }) => name));
  await all.pulses.begin(others.map(({ name }) => name));
  const at = nowMs();
  await killForGood(leader);
  const first = await all.writes.until("a write after the fault", LONGEST_MS, ({ failure, sentAt, settledAt }) => {
    return failure === null && sentAt >= at && settledAt - at > 100;
  });
  const successor = await leaderOf(all.cluster, leader);
  await sleep(SETTLED_MS);
  const terms = (await Figures.of(asked)).get("flt_raft_term") - term;
  const answerMs = longest(all.pulses.settled.filter(({ sentAt }) => sentAt >= at));
  const pauseMs = longestPause(all.writes.settled, at);
  note(all, "leader killed: writes pause, ms", pauseMs);
  note(all, "leader killed: longest answer of the others, ms", answerMs);
  note(all, "leader killed: terms", terms);
  console.log(
    `  leader ${leader.name} killed: writes pause for ${pauseMs.toFixed(0)} ms (the first after ${(first.settledAt - at).toFixed(0)}), ` +
      `${terms} terms, ${successor.name} leads, longest answer of the others ${answerMs.toFixed(0)} ms`,
  );
  await bringBack(leader);
  await all.units.untilRead(leader, LONGEST_MS);
}

function longestPause(settled: readonly Settled[], from: number): number {
  const moments = settled.filter(({ failure }) => failure === null).map(({ settledAt }) => settledAt);
  return Math.max(0, ...moments.map((at, index) => (at < from ? 0 : at - (moments[index - 1] ?? at))));
}

/** A start that comes before systemd has seen the death would find the service running. */
async function killAndWait(host: Host): Promise<void> {
  await killForGood(host);
  await eventually(
    `the end of flt.service on ${host.name}`,
    10_000,
    async () => (await host.mainPid("flt.service")) === 0,
  );
}

async function restart(all: Bench, what: string, hosts: readonly Host[]): Promise<void> {
  await Promise.all(hosts.map(killAndWait));
  const taken = await Promise.all(hosts.map((host) => startAndRead(all, host)));
  const [readyMs, readMs] = [Math.max(...taken.map((one) => one.readyMs)), Math.max(...taken.map((one) => one.readMs))];
  note(all, `restart of ${what}: READY, ms`, readyMs);
  note(all, `restart of ${what}: first linearizable read, ms`, readMs);
  console.log(`  restart of ${what}: READY after ${readyMs.toFixed(0)} ms, read after ${readMs.toFixed(0)} ms`);
}

async function oneRound(all: Bench): Promise<void> {
  row(["phase", ...HEADS]);
  await makeSnapshots(all);
  await sendSnapshot(all);
  await killLeader(all);
  all.writes.end();
  all.pulses.end();
  const leader = await leaderOf(all.cluster);
  const [follower] = all.cluster.others(leader) as [Host];
  await restart(all, "a follower", [follower]);
  await restart(all, "all three", all.cluster.hosts);
  const peaks = await Promise.all(all.cluster.hosts.map((host) => peakMb(host)));
  note(all, "memory after it, largest peak, MB", Math.max(...peaks));
}

async function measure(cluster: Cluster): Promise<number> {
  const members = urls(cluster, FLT_API_PORT);
  const all: Bench = {
    cluster,
    units: new LargeUnits(Math.round((MEGABYTES * MB) / UNIT_BYTES), UNIT_BYTES),
    writes: Load.start(cluster, { flavour: "flt", members, everyMs: WRITE_EVERY_MS }),
    pulses: Load.start(cluster, { flavour: "pulse", members, everyMs: PULSE_EVERY_MS }),
    disk: await DiskGauge.start(`${cluster.host("h1").directory}/sync-of-bench`),
    summary: new Map(),
  };
  const leader = await leaderOf(cluster);
  console.log(`${all.units.count} units of ${UNIT_BYTES} bytes`);
  row(["phase", ...HEADS]);
  await phase(all, FILL, leader, cluster.others(leader), () => all.units.write(leader, all.units.count));
  // What the filling left behind, on the disk and in snapshots that are still written, is not the rounds'.
  await sleep(SETTLED_AFTER_FILL_MS);
  for (let round = 1; round <= ROUNDS; round++) {
    console.log(`round ${round} of ${ROUNDS}`);
    await oneRound(all);
  }
  console.log(`${"over the rounds".padEnd(58)}${["median", "max"].map((head) => head.padStart(9)).join("")}`);
  for (const [what, values] of all.summary) {
    const cells = [0.5, 1].map((share) => quantile(values, share).toFixed(0).padStart(9));
    console.log(what.padEnd(58) + cells.join(""));
  }
  await Promise.all([all.writes.stop(), all.pulses.stop(), all.disk.stop()]);
  return 0;
}

const perHost = fltConfigOf(3);
await bench(measure, { config: { verbosity: "1" }, configOf: perHost });
