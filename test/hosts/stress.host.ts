/**
 * Hosts whose processors are busy to the last: no machine is taken for lost, no unit moves, no daemon is killed by its watchdog.
 *
 * Idea. Each host gets a part of one processor, and processes that take all of it: the daemons have to fight for every slice, and the
 * machine that runs the test stays usable. A minute; FLT_STRESS_MINUTES=20 is the full run (`bun run test:stress`).
 *
 * @module
 */
import { expect } from "bun:test";
import type { Cluster } from "./lib/cluster.ts";
import { allWorkloads, leaderOf, machinesOf, names, startSleepers, waitActive } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { sleep } from "./lib/wait.ts";

const MINUTES = Number(process.env.FLT_STRESS_MINUTES ?? 1);
const UNITS = names("calm", 12);
const CPU_PERCENT = 40;
const HOGS = 3;
const LOOK_EVERY_MS = 5_000;

/** What a daemon says when a machine was, or might have been, lost. */
const ALARMS = [
  /Ended leases that were not renewed/,
  /is not registered any more/,
  /Gave up machine/,
  /lease is over, registering again/,
  /Watchdog timeout/,
];

async function hog(host: Host): Promise<void> {
  for (let index = 1; index <= HOGS; index++) {
    const command = ["systemd-run", "--quiet", `--unit=hog${index}`, "/bin/sh", "-c", "while :; do :; done"];
    await host.mustRun(command, { timeoutMs: 60_000 });
  }
}

async function cpuSeconds(host: Host): Promise<number> {
  const nanoseconds = await host.property("flt.service", "CPUUsageNSec");
  return Number(nanoseconds) / 1e9;
}

async function alarms(cluster: Cluster, since: readonly number[]): Promise<string[]> {
  const found: string[] = [];
  for (const [index, host] of cluster.hosts.entries()) {
    const lines = (await host.journal("flt.service", 100_000)).split("\n").slice(since[index]);
    found.push(
      ...lines.filter((line) => ALARMS.some((alarm) => alarm.test(line))).map((line) => `${host.name}: ${line}`),
    );
  }
  return found;
}

hostSuite("hosts at 100 % CPU", { hosts: 3, cpuPercent: CPU_PERCENT }, (suite) => {
  suite.case(
    `for ${MINUTES} min: no machine lost, no unit touched`,
    async (cluster) => {
      const asked = await leaderOf(cluster);
      await startSleepers(asked, UNITS);
      await waitActive(asked, UNITS);
      const before = await allWorkloads(cluster, "calm*");
      const since = await Promise.all(
        cluster.hosts.map(async (host) => (await host.journal("flt.service", 100_000)).split("\n").length - 1),
      );
      await Promise.all(cluster.hosts.map(hog));
      // Their start is not to cost a lease either; what the daemons take is counted behind it.
      await sleep(LOOK_EVERY_MS);
      const used = await Promise.all(cluster.hosts.map(cpuSeconds));
      const begin = performance.now();
      let slowestMs = 0;
      while (performance.now() - begin < MINUTES * 60_000) {
        const askedAt = performance.now();
        expect(await machinesOf(asked)).toHaveLength(cluster.hosts.length);
        slowestMs = Math.max(slowestMs, performance.now() - askedAt);
        await sleep(LOOK_EVERY_MS);
      }
      const seconds = (performance.now() - begin) / 1_000;
      const shares = await Promise.all(
        cluster.hosts.map(async (host, index) => {
          const share = ((await cpuSeconds(host)) - (used[index] ?? 0)) / seconds;
          return `${host.name} ${(share * 100).toFixed(1)} %`;
        }),
      );
      console.error(
        `${Math.round(seconds)} s with ${HOGS} busy processes and ${CPU_PERCENT} % of a processor each; ` +
          `daemons took of one processor: ${shares.join(", ")}; slowest list ${Math.round(slowestMs)} ms`,
      );
      expect(await alarms(cluster, since)).toEqual([]);
      expect(await allWorkloads(cluster, "calm*")).toEqual(before);
    },
    MINUTES * 60_000 + 120_000,
  );
});
