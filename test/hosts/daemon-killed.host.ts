/**
 * The daemon dies, stays away, or is restarted, and no unit notices.
 *
 * @module
 */
import { expect } from "bun:test";
import { allWorkloads, leaderOf, names, startSleepers, timeWrite, waitActive } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { bringBack, killForGood } from "./lib/service.ts";
import { hostSuite } from "./lib/suite.ts";
import { sleep, steadily } from "./lib/wait.ts";

const UNITS = names("kept", 6);
const DOWN_MS = 20_000;

hostSuite("the leader's daemon", { hosts: 3 }, (suite) => {
  suite.case(
    "kill -9: another leader writes within 2 s; units keep their processes and are adopted",
    async (cluster) => {
      const leader = await leaderOf(cluster);
      await startSleepers(leader, UNITS);
      await waitActive(leader, UNITS);
      const before = await allWorkloads(cluster, "kept*");
      await leader.killDaemon();
      const [witness] = cluster.others(leader) as [Host];
      expect(await timeWrite(witness, "after-kill.service", 5_000)).toBeLessThan(2_000);
      await cluster.ready(leader);
      const states = await waitActive(leader, UNITS);
      expect(states).toHaveLength(UNITS.length);
      expect(await allWorkloads(cluster, "kept*")).toEqual(before);
    },
  );

  suite.case("down for 20 s: its units stay where they are, and it adopts them", async (cluster) => {
    const leader = await leaderOf(cluster);
    const before = await allWorkloads(cluster, "kept*");
    await killForGood(leader);
    const [witness] = cluster.others(leader) as [Host];
    expect(await timeWrite(witness, "while-down.service", 5_000)).toBeLessThan(2_000);
    expect((await leaderOf(cluster, leader)).name).not.toBe(leader.name);
    await steadily("the units while the daemon is down", DOWN_MS, async () => {
      return JSON.stringify(await allWorkloads(cluster, "kept*"));
    });
    await bringBack(leader);
    await cluster.ready(leader);
    await waitActive(leader, UNITS);
    expect(await allWorkloads(cluster, "kept*")).toEqual(before);
  });

  suite.case("systemctl restart flt: no unit is touched, on any host", async (cluster) => {
    const before = await allWorkloads(cluster, "kept*");
    for (const host of cluster.hosts) {
      await host.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 60_000 });
      expect(await host.property("flt.service", "Result")).toBe("success");
    }
    await waitActive(cluster.host("h1"), UNITS);
    await sleep(1_000);
    expect(await allWorkloads(cluster, "kept*")).toEqual(before);
  });

  suite.case("paused for 5 s: no unit is touched, and the others go on", async (cluster) => {
    const leader = await leaderOf(cluster);
    const before = await allWorkloads(cluster, "kept*");
    await leader.pauseDaemon();
    const [witness] = cluster.others(leader) as [Host];
    expect(await timeWrite(witness, "while-paused.service", 8_000)).toBeLessThan(4_000);
    await sleep(5_000);
    await leader.resumeDaemon();
    await waitActive(leader, UNITS);
    expect(await allWorkloads(cluster, "kept*")).toEqual(before);
  });

  suite.case("systemctl stop flt: its units are handed over, and the service ended well", async (cluster) => {
    const leaving = cluster.host("h2");
    const before = await allWorkloads(cluster, "kept*");
    const others = cluster.others(leaving);
    await leaving.mustRun(["systemctl", "stop", "flt.service"], { timeoutMs: 60_000 });
    expect(await leaving.property("flt.service", "Result")).toBe("success");
    const [witness] = others as [Host];
    await waitActive(witness, UNITS, 10_000, (machine) => machine !== leaving.machineId);
    const after = await allWorkloads(cluster, "kept*");
    expect(after[leaving.name]).toBe("");
    for (const other of others) {
      // What ran there runs on, untouched, beside what came.
      const kept = (before[other.name] ?? "").split("\n\n").filter((unit) => unit !== "");
      expect(kept.every((unit) => after[other.name]?.includes(unit))).toBe(true);
    }
    await leaving.mustRun(["systemctl", "start", "flt.service"], { timeoutMs: 60_000 });
  });

  suite.case("systemctl start flt: when it returns the machine is in every host's list", async (cluster) => {
    const host = cluster.host("h2");
    for (let round = 0; round < 5; round++) {
      await host.mustRun(["systemctl", "stop", "flt.service"], { timeoutMs: 60_000 });
      const [asker] = cluster.others(host) as [Host];
      expect(await asker.mustFlt("list-machines", "--full")).not.toContain(host.machineId);
      await host.mustRun(["systemctl", "start", "flt.service"], { timeoutMs: 60_000 });
      for (const each of [asker, host]) expect(await each.mustFlt("list-machines", "--full")).toContain(host.machineId);
    }
  });
});
