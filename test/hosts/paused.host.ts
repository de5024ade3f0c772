/**
 * A daemon stands still for 5 s and for 60 s while the others go on, and wakes with clients at its door: what it then says of the cluster is
 * the present, never what it knew when it fell asleep, and it takes nobody's lease.
 *
 * Idea. Writes on another host are counted as they are acknowledged. Readers ask the sleeper, some while it sleeps, some as it wakes; what a
 * reader is told must hold every write that was acknowledged before it asked.
 *
 * @module
 */
import { expect } from "bun:test";
import type { Cluster } from "./lib/cluster.ts";
import { allWorkloads, leaderOf, machinesOf, names, startSleepers, waitActive } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { overrideService } from "./lib/service.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually, sleep } from "./lib/wait.ts";

const UNITS = names("steady", 6);
const OPTIONS = [{ section: "Service", name: "ExecStart", value: "/bin/true" }];
const WRITE_EVERY_MS = 20;
const READ_EVERY_MS = 5;
/** Readers at the door when it wakes, and after it. */
const QUEUED_READS = 20;
const WAKING_MS = 3_000;
const READ_TIMEOUT_MS = 10_000;

class Writer {
  readonly #prefix: string;
  #acknowledged = 0;
  #isOver = false;
  #running: Promise<void> = Promise.resolve();

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** The highest number that was acknowledged. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  begin(host: Host): void {
    this.#running = this.#write(host);
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  async #write(host: Host): Promise<void> {
    for (let number = 1; !this.#isOver; number++) {
      const name = `${this.#prefix}-${number}.service`;
      const body = { name, desiredState: "inactive", options: OPTIONS };
      const response = await host.api(`/fleet/v1/units/${name}`, { method: "PUT", body, timeoutMs: READ_TIMEOUT_MS });
      if (response.ok) this.#acknowledged = number;
      await sleep(WRITE_EVERY_MS);
    }
  }
}

interface Reads {
  answered: number;
  refused: number;
  readonly stale: string[];
}

/** Asks once; an answer must hold what was acknowledged before. A refusal is honest. */
async function read(host: Host, prefix: string, writer: Writer, reads: Reads): Promise<void> {
  const before = writer.acknowledged;
  const response = await host
    .api(`/flt/v1/unit-names?pattern=${prefix}-*`, { timeoutMs: READ_TIMEOUT_MS + 60_000 })
    .catch(() => undefined);
  if (response === undefined || !response.ok) {
    reads.refused += 1;
    return;
  }
  const { names: found } = (await response.json()) as { names: string[] };
  reads.answered += 1;
  const newest = Math.max(0, ...found.map((name) => Number(name.slice(prefix.length + 1, -".service".length))));
  if (newest < before) reads.stale.push(`${newest} although ${before} had been acknowledged`);
}

/** Machines that a lease was taken from, or that were given up, by the journals of all hosts. */
async function taken(cluster: Cluster, since: string): Promise<Set<string>> {
  const machines = new Set<string>();
  for (const host of cluster.hosts) {
    for (const decision of ["machine-away", "machine-lost"]) {
      const match = [`--since=@${since}`, "-u", "flt", `FLT_DECISION=${decision}`];
      const text = await host.mustRun(["journalctl", "--no-pager", "-q", "-o", "json", ...match]);
      for (const line of text.split("\n").filter((each) => each !== "")) {
        machines.add(`${(JSON.parse(line) as { MACHINE: string }).MACHINE} ${decision}`);
      }
    }
  }
  return machines;
}

async function settled(cluster: Cluster): Promise<void> {
  const leader = await leaderOf(cluster);
  await eventually("every machine to be there", 15_000, async () => {
    return (await machinesOf(leader)).length === cluster.hosts.length;
  });
}

/** @param isDeaf It wakes while nobody reaches it over the network, and is reached a while later. */
async function pauseAndWake(cluster: Cluster, sleeper: Host, pauseMs: number, isDeaf = false): Promise<void> {
  const prefix = `w${pauseMs / 1000}${sleeper.name}${Math.round(performance.now())}`;
  const before = JSON.stringify(await allWorkloads(cluster, "steady*"));
  const since = (await sleeper.mustRun(["date", "+%s"])).trim();
  const writer = new Writer(prefix);
  const reads: Reads = { answered: 0, refused: 0, stale: [] };
  await sleeper.pauseDaemon();
  if (isDeaf) await sleeper.cut();
  // One who leads is missed for a second or two.
  const witness = await leaderOf(cluster, sleeper);
  writer.begin(witness);
  await sleep(Math.max(0, pauseMs - 1_000));
  const asked: Promise<void>[] = [];
  const ask = () => asked.push(read(sleeper, prefix, writer, reads));
  const askFor = async (ms: number) => {
    for (const end = performance.now() + ms; performance.now() < end; ) {
      ask();
      await sleep(READ_EVERY_MS);
    }
  };
  for (let i = 0; i < QUEUED_READS; i++) ask();
  await sleep(500);
  await sleeper.resumeDaemon();
  await askFor(WAKING_MS);
  if (isDeaf) {
    await sleeper.heal();
    await askFor(WAKING_MS);
  }
  await Promise.all(asked);
  await writer.end();
  console.error(
    `${sleeper.name} slept ${pauseMs / 1000} s: ${writer.acknowledged} writes elsewhere, ${reads.answered} reads answered, ${reads.refused} refused, ${reads.stale.length} stale`,
  );
  expect(reads.stale).toEqual([]);
  expect(reads.answered).toBeGreaterThan(QUEUED_READS);
  expect(writer.acknowledged).toBeGreaterThan(pauseMs / 1_000);
  await settled(cluster);
  const others = cluster.others(sleeper).map(({ machineId }) => machineId);
  const lost = [...(await taken(cluster, since))];
  expect(lost.filter((entry) => others.some((machine) => entry.startsWith(machine)))).toEqual([]);
  // A host that nobody reaches for that long is dead to the others, and its units go elsewhere.
  if (isDeaf) return void (await waitActive(cluster.host("h1"), UNITS, 30_000));
  expect(lost.filter((entry) => entry.endsWith("machine-lost"))).toEqual([]);
  expect(JSON.stringify(await allWorkloads(cluster, "steady*"))).toBe(before);
}

// A daemon's host answers for it; it shall have time enough to come back.
hostSuite("a daemon that stood still", { hosts: 3, config: { daemon_grace: "3m" } }, (suite) => {
  suite.case("no watchdog shortens the pauses", async (cluster) => {
    await startSleepers(await leaderOf(cluster), UNITS);
    for (const host of cluster.hosts) {
      await overrideService(host, "WatchdogSec=0");
      await host.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 60_000 });
      await cluster.ready(host);
    }
    await settled(cluster);
    await waitActive(cluster.host("h1"), UNITS);
  });

  for (const pauseMs of [5_000, 60_000]) {
    const what = `${pauseMs / 1000} s`;
    suite.case(
      `a follower for ${what}`,
      async (cluster) => {
        const leader = await leaderOf(cluster);
        await pauseAndWake(cluster, cluster.others(leader)[0] as Host, pauseMs);
      },
      pauseMs + 90_000,
    );
    suite.case(
      `the leader for ${what}`,
      async (cluster) => pauseAndWake(cluster, await leaderOf(cluster), pauseMs),
      pauseMs + 90_000,
    );
  }

  suite.case(
    "the leader for 5 s, and it wakes while nobody can tell it of its successor",
    async (cluster) => pauseAndWake(cluster, await leaderOf(cluster), 5_000, true),
    90_000,
  );

  suite.case(
    "all of them for 60 s: every lease is overdue, and none is taken",
    async (cluster) => {
      await settled(cluster);
      const before = JSON.stringify(await allWorkloads(cluster, "steady*"));
      const since = (await cluster.host("h1").mustRun(["date", "+%s"])).trim();
      await Promise.all(cluster.hosts.map((host) => host.pauseDaemon()));
      await sleep(60_000);
      await Promise.all(cluster.hosts.map((host) => host.resumeDaemon()));
      await settled(cluster);
      // Longer than a lease.
      await sleep(6_000);
      expect([...(await taken(cluster, since))]).toEqual([]);
      expect(JSON.stringify(await allWorkloads(cluster, "steady*"))).toBe(before);
    },
    150_000,
  );
});
