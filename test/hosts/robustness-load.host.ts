/**
 * A host that is itself in trouble: stops that hang, what a crash left behind, a full /run, systemd and the bus restarted in the
 * middle of many starts, five hundred units.
 *
 * Idea. After each of these list-units says within a second what systemctl says, unit by unit, and what ran before runs on.
 *
 * @module
 */
import { expect } from "bun:test";
import { untilAgreed } from "./lib/agreement.ts";
import type { Cluster } from "./lib/cluster.ts";
import { names, runningOn, sleeper, startSleepers, unitsOf, waitActive, workloads, writeUnits } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually, sleep } from "./lib/wait.ts";

const LONG_MS = 120_000;
const MANY = 500;
/** What the agent may have in systemd's queue (job-limit.ts), and a few of systemd's own. */
const JOBS_MAX = 256 + 8;
/** Ignores SIGTERM, so that systemd kills it once its patience is over. */
const STUBBORN = `[Service]
ExecStart=/bin/sh -c 'trap "" TERM; while :; do sleep 1; done'
TimeoutStopSec=3
`;

const only = ({ hosts: [host] }: Cluster): Host => host as Host;

async function destroyAll(host: Host): Promise<void> {
  const all = (await unitsOf(host)).map(({ name }) => name);
  if (all.length > 0) await host.mustRun(["flt", "destroy", ...all], { timeoutMs: LONG_MS });
  await eventually("an empty units directory", 30_000, async () => {
    return (
      (await host.mustRun(["ls", "/run/flt/units", "/run/flt/units/.launched", "/run/flt/units/.ordering"]))
        .split("\n")
        .filter(isName).length === 0
    );
  });
}

const isName = (line: string): boolean => line !== "" && !line.endsWith(":");

/** Does something to the host again and again while the work goes on, and once more at its end. */
async function during(work: Promise<unknown>, pauseMs: number, disturb: () => Promise<unknown>): Promise<number> {
  let isOver = false;
  const end = Promise.allSettled([work]).then(() => {
    isOver = true;
  });
  let times = 0;
  while (!isOver) {
    await sleep(pauseMs);
    await disturb();
    times += 1;
  }
  await end;
  await work;
  return times;
}

/** Starts and stops as many units as these while systemd, or its bus, is disturbed; nothing else may be touched. */
async function underLoad(host: Host, disturb: () => Promise<unknown>): Promise<void> {
  await startSleepers(host, names("calm", 5));
  const before = await workloads(host, "calm*");
  const load = names("load", 120);
  const paths = await writeUnits(host, Object.fromEntries(load.map((name) => [name, sleeper(name)])));
  const started = host.mustRun(["flt", "start", ...paths], { timeoutMs: LONG_MS });
  expect(await during(started, 150, disturb)).toBeGreaterThan(1);
  await untilAgreed(host);
  expect(await runningOn(host, "load*")).toHaveLength(load.length);
  const stopped = host.mustRun(["flt", "stop", ...load], { timeoutMs: LONG_MS });
  await during(stopped, 150, disturb);
  await untilAgreed(host);
  expect(await runningOn(host, "load*")).toEqual([]);
  expect(await workloads(host, "calm*")).toBe(before);
  await destroyAll(host);
}

hostSuite("a host in trouble", { hosts: 1 }, (suite) => {
  suite.case(
    "a stop that hangs: told as it is, others do not wait, and it ends when systemd ends it",
    async (cluster) => {
      const host = only(cluster);
      const [path = ""] = await writeUnits(host, { "stubborn.service": STUBBORN });
      await host.mustFlt("start", path);
      await host.mustFlt("stop", "--no-block", "stubborn.service");
      await eventually("the stop to hang", 2_000, async () => {
        return (await host.property("stubborn.service", "ActiveState")) === "deactivating";
      });
      await untilAgreed(host);
      const begin = performance.now();
      await startSleepers(host, ["other.service"]);
      expect(performance.now() - begin).toBeLessThan(1_500);
      expect(await host.property("stubborn.service", "ActiveState")).toBe("deactivating");
      await eventually("systemd to kill it", 10_000, async () => {
        return (await host.property("stubborn.service", "ActiveState")) === "failed";
      });
      await untilAgreed(host);
      expect(await host.mustFlt("list-unit-files", "--no-legend", "--fields=unit,state")).toMatch(
        /stubborn.service\s+loaded/,
      );
      // In the middle of the next one it is destroyed.
      await host.mustFlt("start", "stubborn.service");
      await host.mustFlt("stop", "--no-block", "stubborn.service");
      await destroyAll(host);
    },
  );

  suite.case("what a crash left: strangers are stopped and cleared away, the scheduled run on", async (cluster) => {
    const host = only(cluster);
    await startSleepers(host, ["kept.service"]);
    const before = await workloads(host, "kept*");
    const units = "/run/flt/units";
    await host.pauseDaemon();
    for (const name of ["away.service", "bare.service", "linkless.service"]) {
      await host.write(`${units}/${name}`, sleeper("given away while the daemon was dead"));
    }
    for (const name of ["away.service", "bare.service"]) {
      await host.mustRun(["systemctl", "link", "--runtime", `${units}/${name}`]);
      await host.mustRun(["systemctl", "start", name]);
    }
    await host.mustRun(["touch", `${units}/.launched/away.service`, `${units}/.launched/nothing.service`]);
    await host.mustRun(["rm", `${units}/bare.service`]);
    await host.write(`${units}/.tmp/half.service`, "[Serv");
    await host.mustRun(["touch", `${units}/.ordering/half.service`]);
    await host.killDaemon();
    await cluster.ready(host);
    await eventually("the end of the strangers", 5_000, async () => {
      const found = await host.mustRun(["find", units, "/run/systemd/system", "-name", "*.service"]);
      const left = found.split("\n").filter((file) => isName(file) && !file.endsWith("/kept.service"));
      if (left.length > 0) throw new Error(left.join(" "));
      return true;
    });
    for (const name of ["away.service", "bare.service"])
      expect(await host.property(name, "ActiveState")).toBe("inactive");
    await untilAgreed(host);
    expect(await workloads(host, "kept*")).toBe(before);
    await destroyAll(host);
  });

  const fills: Readonly<Record<string, string>> = {
    "no block left":
      "mount -o remount,size=$(($(df -k --output=used /run | tail -1) + 512))k /run; cat /dev/zero > /run/fill; df -k /run",
    "no inode left":
      "mount -o remount,nr_inodes=$(($(df --output=iused /run | tail -1) + 40)) /run; mkdir /run/fill; i=0; while touch /run/fill/$i; do i=$((i+1)); done",
  };
  for (const [what, fill] of Object.entries(fills)) {
    suite.case(
      `/run is full, ${what}: what runs is not touched, a start says why, and goes on once there is room`,
      async (cluster) => {
        const host = only(cluster);
        await startSleepers(host, ["ran.service", "stops.service"]);
        const before = await workloads(host, "ran*");
        const paths = await writeUnits(host, {
          "late.service": sleeper("late"),
          "once.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo once >> /root/once'\n",
        });
        await host.run(["sh", "-c", fill]);
        const { code, stderr } = await host.run(["flt", "start", ...paths], { timeoutMs: 30_000 });
        expect([code, stderr]).toEqual([
          1,
          expect.stringMatching(/late\.service failed.*no space left|No space left/i),
        ]);
        expect((await host.flt("status", "late.service")).stderr).toMatch(/no space left/i);
        await untilAgreed(host);
        await host.mustFlt("stop", "stops.service");
        expect(await host.property("stops.service", "ActiveState")).toBe("inactive");
        await untilAgreed(host);
        await sleep(2_000);
        expect(await workloads(host, "ran*")).toBe(before);
        const pid = await host.mainPid("flt.service");
        await host.mustRun(["sh", "-c", "rm -r /run/fill; mount -o remount,size=50%,nr_inodes=100k /run"]);
        await waitActive(host, ["late.service"], 30_000);
        await untilAgreed(host);
        await eventually(
          "the oneshot",
          10_000,
          async () => (await host.run(["cat", "/root/once"])).stdout === "once\n",
        );
        expect(await host.mainPid("flt.service")).toBe(pid);
        await host.mustRun(["rm", "/root/once"]);
        await destroyAll(host);
      },
    );
  }

  suite.case(
    "systemctl daemon-reexec in the middle of many starts and stops",
    (cluster) => underLoad(only(cluster), () => only(cluster).mustRun(["systemctl", "daemon-reexec"])),
    LONG_MS,
  );

  suite.case(
    "D-Bus killed and restarted in the middle of many starts and stops",
    (cluster) =>
      underLoad(only(cluster), () => only(cluster).mustRun(["systemctl", "kill", "--signal=SIGKILL", "dbus.service"])),
    LONG_MS,
  );

  suite.case(
    "systemctl daemon-reload in the middle of many starts and stops",
    (cluster) => underLoad(only(cluster), () => only(cluster).mustRun(["systemctl", "daemon-reload"])),
    LONG_MS,
  );

  suite.case(
    `${MANY} units that take their time: systemd's queue and bus are not overrun`,
    async (cluster) => {
      const host = only(cluster);
      const many = names("many", MANY);
      const text = "[Service]\nType=exec\nExecStartPre=/bin/sleep 4\nExecStart=/bin/sleep infinity\n";
      const paths = await writeUnits(host, Object.fromEntries(many.map((name) => [name, text])));
      const since = (await host.mustRun(["date", "+@%s"])).trim();
      let most = 0;
      const started = host.mustRun(["flt", "start", ...paths], { timeoutMs: LONG_MS });
      await during(started, 100, async () => {
        const [, jobs = "0"] = /NJobs=(\d+)/.exec(await host.mustRun(["systemctl", "show", "--property=NJobs"])) ?? [];
        most = Math.max(most, Number(jobs));
      });
      expect(most).toBeGreaterThan(64);
      expect(most).toBeLessThanOrEqual(JOBS_MAX);
      await untilAgreed(host);
      expect(await runningOn(host, "many*")).toHaveLength(MANY);
      await host.mustRun(["systemctl", "kill", "--signal=SIGKILL", "many7.service", "many99.service"]);
      await untilAgreed(host);
      await host.killDaemon();
      await cluster.ready(host);
      await eventually("every unit to be reported again", 5_000, async () => (await unitsOf(host)).length === MANY);
      await untilAgreed(host, 5_000);
      await host.mustRun(["flt", "stop", ...many], { timeoutMs: LONG_MS });
      await untilAgreed(host);
      await destroyAll(host);
      const systemd = await host.mustRun(["journalctl", "-b", "_PID=1", `--since=${since}`, "-o", "cat"]);
      expect(systemd).not.toMatch(/disconnect on API bus|Too many|LimitsExceeded/i);
      expect(await host.journal()).not.toMatch(/LimitsExceeded|without an answer/);
    },
    LONG_MS,
  );
});
