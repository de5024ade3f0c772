/**
 * The wall clock jumps, hours ahead and back: no lease ends, no leader falls, no unit is touched.
 *
 * Idea. CLOCK_REALTIME has no namespace, so a host cannot have its own. libfaketime gives the daemons another wall clock, one that
 * jumps when a file says so; their monotonic clock stays the kernel's. One daemon after the other jumps, then all together.
 *
 * @module
 */
import { expect } from "bun:test";
import { untilAllAgreed } from "./lib/agreement.ts";
import type { Cluster } from "./lib/cluster.ts";
import { allWorkloads, leaderOf, machinesOf, names, startSleepers, waitActive } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually, sleep } from "./lib/wait.ts";

const TOOLS = `${import.meta.dir}/../../.tools/faketime/usr/lib`;
const LIBRARY = "/var/lib/flt/libfaketime.so";
const CLOCK = "/run/wall-clock";
const DROP_IN = `[Service]
Environment=LD_PRELOAD=${LIBRARY}
Environment=FAKETIME_TIMESTAMP_FILE=${CLOCK} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1
`;
/** Longer than agent_ttl (4 s): a lease that counts by the wall clock would be over. */
const SETTLE_MS = 6_000;
const JUMPS = ["+5h", "-5h", "+400d", "-3s"];

async function jump(hosts: readonly Host[], to: string): Promise<void> {
  await Promise.all(hosts.map((host) => host.write(CLOCK, `${to}\n`)));
}

/** Unix time of the daemon's process as it counts it: its start, by the metric that tells it. */
async function wallClock(host: Host): Promise<number> {
  const metrics = await (await host.api("/metrics")).text();
  return Number(
    /^process_start_time_seconds (\S+)/m.exec(metrics)?.[1] ?? /^\w*start_time_seconds (\S+)/m.exec(metrics)?.[1],
  );
}

async function fakeClocks(cluster: Cluster): Promise<void> {
  const [library] = await Array.fromAsync(new Bun.Glob("*/faketime/libfaketimeMT.so.1").scan({ cwd: TOOLS }));
  if (library === undefined) throw new Error("libfaketime is not unpacked; run scripts/setup");
  for (const host of cluster.hosts) {
    await Bun.write(host.path(LIBRARY), Bun.file(`${TOOLS}/${library}`));
    await host.mustRun(["mkdir", "-p", "/etc/systemd/system/flt.service.d"]);
    await host.write("/etc/systemd/system/flt.service.d/clock.conf", DROP_IN);
    await host.write(CLOCK, "+0\n");
    await host.mustRun(["systemctl", "daemon-reload"]);
    await host.mustRun(["systemctl", "start", "--no-block", "flt.service"]);
  }
  await Promise.all(cluster.hosts.map((host) => cluster.ready(host)));
}

hostSuite("wall clocks that jump", { hosts: 3, flt: "installed" }, (suite) => {
  suite.case(
    "one daemon's and all daemons', ahead and back: nothing happens",
    async (cluster) => {
      await fakeClocks(cluster);
      const [h1] = cluster.hosts as [Host, Host, Host];
      const leader = await leaderOf(cluster);
      const units = names("still", 9);
      await startSleepers(h1, units);
      await waitActive(h1, units);
      const before = await allWorkloads(cluster, "still*");
      const lost = async (): Promise<string[]> => {
        const journals = await Promise.all(cluster.hosts.map((host) => host.journal()));
        return journals.flatMap(
          (text) => text.match(/.*(lease is over|Gave up|leads no longer|not registered any more).*/g) ?? [],
        );
      };
      for (const [index, to] of JUMPS.entries()) {
        const jumping = index % 2 === 0 ? [leader] : cluster.hosts;
        await jump(jumping, to);
        await sleep(SETTLE_MS);
        expect([to, await lost()]).toEqual([to, []]);
        expect((await machinesOf(h1)).length).toBe(3);
        await startSleepers(h1, [`after${index}.service`]);
      }
      expect((await leaderOf(cluster)).name).toBe(leader.name);
      expect(await allWorkloads(cluster, "still*")).toEqual(before);
      await untilAllAgreed(cluster);
      // The clock did jump for them: what is counted in Unix time says so.
      await jump(cluster.hosts, "+5h");
      await leader.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 60_000 });
      await eventually(
        "the jumped clock",
        5_000,
        async () => (await wallClock(leader)) > Date.now() / 1_000 + 4 * 3_600,
      );
      expect(await allWorkloads(cluster, "still*")).toEqual(before);
    },
    120_000,
  );
});
