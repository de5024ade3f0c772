/**
 * Fence=strict on real hosts: whatever happens to the daemon or the network, the unit stops where it was before it runs anywhere
 * else; and while all is well nothing touches it.
 *
 * Idea. Both moments are in the hosts' journals, stamped by one clock.
 *
 * @module
 */
import { expect } from "bun:test";
import type { Cluster } from "./lib/cluster.ts";
import { allWorkloads, runningOn, sleeper, startSleepers, waitActive, whereRunning, writeUnits } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { bringBack, killForGood, overrideService } from "./lib/service.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually, sleep, steadily } from "./lib/wait.ts";

const FENCED = "held-strict.service";
const FREE = "held-loosely.service";
const EXAMPLE = "only-one.service";
/** Lease 4 s, then 10 s until it surely has stopped (src/model/fence.ts); a start, and a busy machine. */
const MOVED_MS = 22_000;
/** A hand-over lasts 30 s at most, and then it is placed elsewhere. */
const HANDED_OVER_MS = 40_000;
/** Longer than the fence takes to fire unless it is put off: lease 4 s, slack 3 s. */
const FENCE_MS = 9_000;
const FULL_RUN: Readonly<Record<string, string>> = {
  "no block left":
    "mount -o remount,size=$(($(df -k --output=used /run | tail -1) + 64))k /run; cat /dev/zero > /run/fill; df -k /run",
  "no inode left":
    "mount -o remount,nr_inodes=$(($(df --output=iused /run | tail -1) + 8)) /run; mkdir /run/fill; i=0; while touch /run/fill/$i; do i=$((i+1)); done",
};

async function holderOf(cluster: Cluster, unit: string): Promise<Host> {
  return await eventually(`${unit} to run once`, 15_000, async () => {
    const hosts = (await whereRunning(cluster, unit))[unit] ?? [];
    return hosts.length === 1 ? cluster.host(hosts[0] ?? "") : undefined;
  });
}

/** When systemd last said so of the fenced unit, in seconds. It forgets a unit that has stopped; its journal does not. */
async function saidAt(host: Host, what: "Started" | "Stopped"): Promise<number> {
  const command = ["journalctl", `--unit=${FENCED}`, "--output=short-unix", "--no-pager", `--grep=^${what}`];
  return await eventually(`${host.name} to say "${what}"`, 5_000, async () => {
    const last = (await host.mustRun(command)).trim().split("\n").at(-1) ?? "";
    return Number.parseFloat(last) || undefined;
  });
}

/** Resolves when another host runs the fenced unit; asserts that the first one had stopped it by then. */
async function movesAfterStop(cluster: Cluster, from: Host, withinMs = MOVED_MS): Promise<Host> {
  const to = await eventually(`${FENCED} to run elsewhere`, withinMs, async () => {
    for (const other of cluster.others(from)) if ((await runningOn(other, FENCED)).length > 0) return other;
    return undefined;
  });
  const [stopped, started] = [await saidAt(from, "Stopped"), await saidAt(to, "Started")];
  expect(stopped).toBeGreaterThan(await saidAt(from, "Started"));
  console.error(`stopped on ${from.name}, and ${(started - stopped).toFixed(3)} s later started on ${to.name}`);
  expect(started).toBeGreaterThan(stopped);
  return to;
}

async function settled(cluster: Cluster): Promise<void> {
  await waitActive(cluster.host("h1"), [FENCED, FREE]);
  await holderOf(cluster, FENCED);
}

/** Gives the label to one machine, and to no other. */
async function label(cluster: Cluster, holder: Host): Promise<void> {
  const body = cluster.hosts.map((host) => ({
    op: "add",
    path: `/${host.machineId}/metadata/place`,
    value: host === holder ? "here" : "not-here",
  }));
  const response = await holder.api("/fleet/v1/machines", { method: "PATCH", body });
  expect(response.status).toBe(204);
}

hostSuite("Fence=strict", { hosts: 3 }, (suite) => {
  suite.case("restarts of daemons, of the bus and of PID 1 do not touch the unit", async (cluster) => {
    const host = cluster.host("h1");
    const [path = ""] = await writeUnits(host, { [FENCED]: sleeper(FENCED, "\n[X-Flt]\nFence=strict\n") });
    await host.mustFlt("start", path);
    await startSleepers(host, [FREE]);
    await settled(cluster);
    const before = await allWorkloads(cluster, "held-*.service");
    const holder = await holderOf(cluster, FENCED);
    for (const each of cluster.hosts) {
      await each.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 60_000 });
    }
    await holder.killDaemon();
    await holder.mustRun(["systemctl", "daemon-reload"]);
    await holder.mustRun(["systemctl", "daemon-reexec"]);
    await holder.mustRun(["systemctl", "restart", "dbus.service"]);
    await steadily("the units", 10_000, async () => JSON.stringify(await allWorkloads(cluster, "held-*.service")));
    expect(await allWorkloads(cluster, "held-*.service")).toEqual(before);
    // One timer, put off all the time.
    const timers = await holder.mustRun(["systemctl", "list-units", "--plain", "--no-legend", "flt-fence@*.timer"]);
    expect(timers.trim().split("\n").length).toBeLessThanOrEqual(2);
  });

  // Early: once a machine was lost, fenced units wait elsewhere until it surely has stopped its own.
  suite.case(
    "a move that a rule asks for: started only when it has stopped, however long that takes",
    async (cluster) => {
      const [from, to] = cluster.hosts as [Host, Host];
      await label(cluster, from);
      const slow = `[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 2\n`;
      const text = `${slow}\n[X-Flt]\nFence=strict\nMachineMetadata=place=here\n`;
      await from.mustFlt("destroy", FENCED);
      const [path = ""] = await writeUnits(from, { [FENCED]: text });
      await from.mustFlt("start", path);
      await waitActive(from, [FENCED], 15_000, (machine) => machine === from.machineId);
      const begin = performance.now();
      await label(cluster, to);
      expect(await movesAfterStop(cluster, from)).toBe(to);
      expect(await to.journal()).toContain(`waits to be started: machine ${from.machineId.slice(0, 8)} still holds it`);
      expect(performance.now() - begin).toBeGreaterThan(2_000);
      expect(performance.now() - begin).toBeLessThan(6_000);
      await from.mustFlt("destroy", FENCED);
      const [plain = ""] = await writeUnits(from, { [FENCED]: sleeper(FENCED, "\n[X-Flt]\nFence=strict\n") });
      await from.mustFlt("start", plain);
      await settled(cluster);
    },
  );

  suite.case("the example, as it is", async (cluster) => {
    const h1 = cluster.host("h1");
    await h1.write(`/root/${EXAMPLE}`, await Bun.file(`${import.meta.dir}/../../examples/${EXAMPLE}`).text());
    await h1.mustFlt("start", `/root/${EXAMPLE}`);
    await waitActive(h1, [EXAMPLE]);
    await h1.mustFlt("destroy", EXAMPLE);
  });

  for (const [what, fill] of Object.entries(FULL_RUN)) {
    suite.case(`/run is full, ${what}: the timer is put off all the same, also by the next daemon`, async (cluster) => {
      const holder = await holderOf(cluster, FENCED);
      const before = await allWorkloads(cluster, "held-*.service");
      await holder.run(["sh", "-c", fill]);
      await sleep(FENCE_MS);
      await holder.killDaemon();
      await sleep(FENCE_MS);
      await holder.mustRun(["sh", "-c", "rm -r /run/fill; mount -o remount,size=50%,nr_inodes=100k /run"]);
      await cluster.ready(holder);
      expect(await allWorkloads(cluster, "held-*.service")).toEqual(before);
      expect(await holder.journal()).not.toContain("Units with Fence=strict were stopped");
    });
  }

  suite.case("a daemon that is killed and stays away: stopped there, then started elsewhere", async (cluster) => {
    const holder = await holderOf(cluster, FENCED);
    await killForGood(holder);
    await movesAfterStop(cluster, holder);
    // The other unit's host lives, so it waits for the daemon.
    expect(Object.keys(await whereRunning(cluster, FREE))).toEqual([FREE]);
    await bringBack(holder);
    await cluster.ready(holder);
    await settled(cluster);
  });

  suite.case("a cut: stopped on the lonely host, then started elsewhere, and once after the cut", async (cluster) => {
    const holder = await holderOf(cluster, FENCED);
    await holder.cut();
    try {
      await movesAfterStop(cluster, holder);
    } finally {
      await holder.heal();
    }
    await eventually("the holder to be in line", 10_000, async () => (await runningOn(holder, FENCED)).length === 0);
    await settled(cluster);
    await sleep(2_000);
    await settled(cluster);
  });

  suite.case("a cut that ends in time: nothing moves, and a stopped unit runs again", async (cluster) => {
    const holder = await holderOf(cluster, FENCED);
    await holder.cut();
    await eventually("the fence to fire", 10_000, async () => (await runningOn(holder, FENCED)).length === 0);
    await holder.heal();
    await eventually("the unit to be back", 5_000, async () => (await runningOn(holder, FENCED)).length === 1);
    await settled(cluster);
  });

  suite.case("a daemon that is paused: stopped, then started elsewhere; it continues and obeys", async (cluster) => {
    const holder = await holderOf(cluster, FENCED);
    // The watchdog would kill it, and its successor be back in time.
    await overrideService(holder, "WatchdogSec=120s");
    await holder.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 60_000 });
    await settled(cluster);
    await holder.pauseDaemon();
    await movesAfterStop(cluster, holder);
    await holder.resumeDaemon();
    await cluster.ready(holder);
    await settled(cluster);
    expect(await runningOn(holder, FENCED)).toEqual([]);
  });

  suite.case(
    "a daemon that is stopped while the unit's own stop hangs: killed there, then started elsewhere",
    async (cluster) => {
      const hanging =
        "[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sleep infinity\nTimeoutStopSec=infinity\n";
      const h1 = cluster.host("h1");
      await h1.mustFlt("destroy", FENCED);
      const [path = ""] = await writeUnits(h1, { [FENCED]: `${hanging}\n[X-Flt]\nFence=strict\n` });
      await h1.mustFlt("start", path);
      const holder = await holderOf(cluster, FENCED);
      const stopping = holder.mustRun(["systemctl", "stop", "flt.service"], { timeoutMs: 60_000 });
      await movesAfterStop(cluster, holder, HANDED_OVER_MS);
      await stopping;
      expect(await holder.journal()).toContain("Left the cluster in order");
      const result = await holder.mustRun(["systemctl", "show", "--value", "--property=Result", "flt.service"]);
      expect(result.trim()).toBe("success");
    },
  );
});
