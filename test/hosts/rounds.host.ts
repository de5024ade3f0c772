/**
 * Everything that can happen to a daemon on a host that works, over and over: no process of a unit notices, and the cluster knows
 * the states again at once.
 *
 * Six rounds, one of each kind; FLT_ROUNDS=30 is the full run (`bun run test:rounds`), with ten orderly stops instead of three.
 *
 * @module
 */
import { expect } from "bun:test";
import { VERSION } from "../../src/lib/version.ts";
import { untilAgreed } from "./lib/agreement.ts";
import type { Cluster } from "./lib/cluster.ts";
import {
  leaderOf,
  machinesOf,
  names,
  runningOn,
  sleeper,
  startSleepers,
  waitActive,
  workloads,
  writeUnits,
} from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { overrideService } from "./lib/service.ts";
import { hostSuite } from "./lib/suite.ts";
import { buildNextVersion, NEXT_VERSION } from "./lib/versions.ts";
import { eventually } from "./lib/wait.ts";

const ROUNDS = Number(process.env.FLT_ROUNDS ?? 6);
const STOPS = ROUNDS >= 30 ? 10 : 3;
const ROUND_MS = 20_000;
const AGREE_MS = 2_000;
const HANDED_OVER_MS = 2_000;

const PIN = "\n[X-Flt]\nMachineMetadata=busy=yes\n";
const RUNNING = names("busy", 50);
/** Units that do not run all the time, whose states are as easy to get wrong. */
const OTHERS: Readonly<Record<string, string>> = {
  "busy-failed.service": `[Service]\nType=oneshot\nExecStart=/bin/false\n${PIN}`,
  "busy-done.service": `[Service]\nType=oneshot\nExecStart=/bin/true\n${PIN}`,
  "busy-stays.service": `[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n${PIN}`,
  "flipping.service": `[Service]\nExecStart=/bin/sleep infinity\n${PIN}`,
};
const ALL = [...RUNNING, ...Object.keys(OTHERS)];

type Round = "restart" | "upgrade" | "SIGKILL" | "watchdog" | "daemon-reexec" | "dbus";
const KINDS: readonly Round[] = ["restart", "upgrade", "SIGKILL", "watchdog", "daemon-reexec", "dbus"];

async function invocation(host: Host): Promise<string> {
  return await host.property("flt.service", "InvocationID");
}

/** Resolves when another process of the daemon is ready. */
async function anotherDaemon(cluster: Cluster, host: Host, before: string): Promise<void> {
  await eventually(`another daemon on ${host.name}`, ROUND_MS, async () => {
    const now = await invocation(host);
    return now !== before && now !== "";
  });
  await cluster.ready(host);
}

/** Each ends when the daemon is there again. */
const FAULTS: Readonly<Record<Round, (cluster: Cluster, host: Host, round: number) => Promise<void>>> = {
  async restart(_, host) {
    await host.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 60_000 });
  },
  async upgrade(_, host, round) {
    const isNext = Math.floor(round / KINDS.length) % 2 === 0;
    await host.install(isNext ? await buildNextVersion() : host.firstBinary);
    await host.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 60_000 });
    const { version } = (await (await host.api("/flt/v1/version")).json()) as { version: string };
    expect(version).toBe(isNext ? NEXT_VERSION : VERSION);
  },
  async SIGKILL(cluster, host) {
    const before = await invocation(host);
    await host.killDaemon();
    await anotherDaemon(cluster, host, before);
  },
  async watchdog(cluster, host) {
    const before = await invocation(host);
    await host.pauseDaemon();
    await anotherDaemon(cluster, host, before);
    const journal = await host.journal();
    expect(journal).toContain("Failed with result 'watchdog'");
    // What the runtime says of an abort reads like a crash of its own.
    expect(journal).not.toContain("Bun has crashed");
  },
  async "daemon-reexec"(_, host) {
    await host.mustRun(["systemctl", "daemon-reexec"]);
  },
  async dbus(_, host) {
    await host.mustRun(["systemctl", "restart", "dbus.service"]);
  },
};

/** @returns After how many milliseconds flt and systemd said the same of every unit, wherever flt is asked. */
async function agreement(cluster: Cluster, host: Host): Promise<number> {
  const begin = performance.now();
  await Promise.all(cluster.hosts.map((asked) => untilAgreed(host, AGREE_MS, asked)));
  return performance.now() - begin;
}

function table(title: string, values: readonly number[]): void {
  const sorted = [...values].sort((left, right) => left - right);
  const at = (share: number) =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0);
  console.error(`${title}: ${values.length} rounds, p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, max ${at(1)} ms`);
}

hostSuite("rounds", { hosts: 3, configOf: { h1: { metadata: "busy=yes" } } }, (suite) => {
  suite.case(
    `${ROUNDS} of ${KINDS.join(", ")}: no process of 50 units notices, and states agree within 2 s`,
    async (cluster) => {
      const host = cluster.host("h1");
      await leaderOf(cluster);
      await overrideService(host, "WatchdogSec=3s");
      await host.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 60_000 });
      const files = { ...Object.fromEntries(RUNNING.map((name) => [name, sleeper(name, PIN)])), ...OTHERS };
      await host.run(["flt", "start", ...(await writeUnits(host, files))], { timeoutMs: 60_000 });
      await waitActive(host, RUNNING);
      await agreement(cluster, host);
      const before = await workloads(host, "busy*");
      expect(before.match(/^MainPID=[1-9]/gm)).toHaveLength(RUNNING.length);
      const took: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const kind = KINDS[round % KINDS.length] as Round;
        // Its state changes while the daemon is away, or busy with coming back.
        const flip = host.run(["systemctl", round % 2 === 0 ? "stop" : "start", "flipping.service"]);
        await FAULTS[kind](cluster, host, round);
        await flip;
        took.push(await agreement(cluster, host));
        expect({
          kind,
          round,
          workloads: await workloads(host, "busy*"),
        }).toEqual({
          kind,
          round,
          workloads: before,
        });
      }
      table("flt and systemd agree after", took);
      for (const unit of ALL) await host.api(`/fleet/v1/units/${unit}`, { method: "DELETE" });
    },
    ROUNDS * ROUND_MS + 60_000,
  );

  suite.case(
    `systemctl stop flt, ${STOPS} times: units active elsewhere within 2 s, the machine gone, success`,
    async (cluster) => {
      const units = names("given", 12);
      await startSleepers(cluster.host("h1"), units);
      await waitActive(cluster.host("h1"), units);
      const took: number[] = [];
      for (let round = 0; round < STOPS; round++) {
        const leaving = cluster.hosts[round % cluster.hosts.length] as Host;
        const [witness] = cluster.others(leaving) as [Host];
        const begin = performance.now();
        const stop = leaving.mustRun(["systemctl", "stop", "flt.service"], { timeoutMs: 60_000 });
        await waitActive(witness, units, 15_000, (machine) => machine !== leaving.machineId);
        took.push(performance.now() - begin);
        await stop;
        expect(await leaving.property("flt.service", "Result")).toBe("success");
        expect((await machinesOf(witness)).map((machine) => machine.id)).not.toContain(leaving.machineId);
        expect(await runningOn(leaving, "given*")).toEqual([]);
        await leaving.mustRun(["systemctl", "start", "flt.service"], { timeoutMs: 60_000 });
        await eventually(`${leaving.name} to be a machine again`, 10_000, async () => {
          return (await machinesOf(witness)).some((machine) => machine.id === leaving.machineId);
        });
        await leaderOf(cluster);
      }
      table("units active elsewhere after systemctl stop flt", took);
      expect(Math.max(...took)).toBeLessThan(HANDED_OVER_MS);
    },
    STOPS * ROUND_MS + 60_000,
  );

  suite.case("systemctl poweroff: units handed over, the machine leaves, systemd saw success", async (cluster) => {
    const leaving = cluster.hosts.find((host) => host !== cluster.host("h1")) as Host;
    const [witness] = cluster.others(leaving) as [Host];
    const units = names("given", 12);
    await waitActive(witness, units);
    await startSleepers(witness, names("given-more", 6));
    const all = [...units, ...names("given-more", 6)];
    await waitActive(witness, all);
    expect((await runningOn(leaving, "given*")).length).toBeGreaterThan(0);
    const begin = performance.now();
    const down = leaving.shutdown();
    await waitActive(witness, all, 15_000, (machine) => machine !== leaving.machineId);
    const tookMs = performance.now() - begin;
    console.error(`units active elsewhere ${Math.round(tookMs)} ms after the shutdown of ${leaving.name} began`);
    expect(tookMs).toBeLessThan(4_000);
    await down;
    expect((await machinesOf(witness)).map((machine) => machine.id)).not.toContain(leaving.machineId);
    const journal = await leaving.journal();
    expect(journal).toContain("Left the cluster in order");
    expect(journal.slice(journal.lastIndexOf("Left the cluster"))).toContain("Deactivated successfully");
  });
});
