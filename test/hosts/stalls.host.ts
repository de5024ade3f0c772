/**
 * Time passes by: the network is dead for a while, all daemons stand still, the quorum is gone. Nothing moves that comes back, and a
 * leader that was away doubts itself before it takes a lease from anybody.
 *
 * @module
 */
import { expect } from "bun:test";
import type { Cluster } from "./lib/cluster.ts";
import {
  allWorkloads,
  leaderOf,
  machinesOf,
  names,
  runningOn,
  startSleepers,
  timeWrite,
  waitActive,
} from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { bringBack, killForGood } from "./lib/service.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually, sleep, steadily } from "./lib/wait.ts";

const UNITS = names("steady", 9);
/** Longer than a lease, and than anything that could be remembered of one. */
const AFTERMATH_MS = 8_000;

async function fingerprint(cluster: Cluster): Promise<string> {
  return JSON.stringify(await allWorkloads(cluster, "steady*"));
}

async function nothingHappened(cluster: Cluster, before: string): Promise<void> {
  const leader = await leaderOf(cluster);
  await eventually("every machine to be there", 15_000, async () => {
    return (await machinesOf(leader)).length === cluster.hosts.length;
  });
  expect(await timeWrite(leader, "afterwards.service", 5_000)).toBeLessThan(3_000);
  await steadily("the units afterwards", AFTERMATH_MS, () => fingerprint(cluster));
  expect(await fingerprint(cluster)).toBe(before);
  await waitActive(leader, UNITS);
}

hostSuite("time that passes by", { hosts: 3 }, (suite) => {
  suite.case("the whole network is dead for 10 s: nothing moves", async (cluster) => {
    const leader = await leaderOf(cluster);
    await startSleepers(leader, UNITS);
    await waitActive(leader, UNITS);
    const before = await fingerprint(cluster);
    await Promise.all(cluster.hosts.map((host) => host.cut()));
    await sleep(10_000);
    await Promise.all(cluster.hosts.map((host) => host.heal()));
    await nothingHappened(cluster, before);
  });

  suite.case("one host is cut off for 2 s, the leader, too: nothing moves", async (cluster) => {
    const before = await fingerprint(cluster);
    for (const host of cluster.hosts) {
      await host.cut();
      await sleep(2_000);
      await host.heal();
      await sleep(3_000);
    }
    await nothingHappened(cluster, before);
  });

  suite.case("all daemons stand still for 6 s, as in a paused machine: nothing moves", async (cluster) => {
    const before = await fingerprint(cluster);
    await Promise.all(cluster.hosts.map((host) => host.pauseDaemon()));
    await sleep(6_000);
    await Promise.all(cluster.hosts.map((host) => host.resumeDaemon()));
    await nothingHappened(cluster, before);
  });

  suite.case(
    "no quorum: units go on; systemctl stop flt unloads them after a short try, with success",
    async (cluster) => {
      const [last, ...others] = cluster.hosts as [Host, Host, Host];
      await Promise.all(others.map(killForGood));
      const before = await fingerprint(cluster);
      await steadily("the units without a quorum", 6_000, () => fingerprint(cluster));
      expect(await fingerprint(cluster)).toBe(before);
      expect((await runningOn(last, "steady*")).length).toBeGreaterThan(0);
      const begin = performance.now();
      await last.mustRun(["systemctl", "stop", "flt.service"], { timeoutMs: 60_000 });
      const tookMs = performance.now() - begin;
      console.error(`systemctl stop flt without a quorum took ${Math.round(tookMs)} ms`);
      expect(tookMs).toBeLessThan(12_000);
      expect(await last.property("flt.service", "Result")).toBe("success");
      expect(await runningOn(last, "steady*")).toEqual([]);
      await Promise.all(others.map(bringBack));
      await last.mustRun(["systemctl", "start", "flt.service"], { timeoutMs: 60_000 });
      await Promise.all(cluster.hosts.map((host) => cluster.ready(host)));
      // What ran there was not given back, so it comes back with its machine.
      await waitActive(last, UNITS, 20_000);
    },
  );

  suite.case("all hosts shut down at once: each is down soon, and each daemon ended well", async (cluster) => {
    const begin = performance.now();
    await Promise.all(cluster.hosts.map((host) => host.shutdown()));
    const tookMs = performance.now() - begin;
    console.error(`all hosts were down after ${Math.round(tookMs)} ms`);
    expect(tookMs).toBeLessThan(20_000);
    for (const host of cluster.hosts) {
      const journal = await host.journal();
      const end = journal.slice(journal.lastIndexOf("Stopping: units are handed over"));
      expect(end).toContain("flt.service: Deactivated successfully");
      expect(end).not.toContain("Failed with result");
    }
    await Promise.all(cluster.hosts.map((host) => host.powerOn()));
    await Promise.all(cluster.hosts.map((host) => cluster.ready(host)));
    await waitActive(cluster.host("h1"), UNITS, 20_000);
  });
});
