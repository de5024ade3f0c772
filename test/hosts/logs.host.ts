/**
 * Every decision is one line in the journal of the machine that made it, found by its MESSAGE_ID, with its fields.
 *
 * @module
 */
import { expect } from "bun:test";
import { DECISIONS, type Decision } from "../../src/model/decisions.ts";
import type { Cluster } from "./lib/cluster.ts";
import { leaderOf, machinesOf, names, sleeper, startSleepers, statesOf, waitActive, writeUnits } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually, sleep } from "./lib/wait.ts";

type Line = Readonly<Record<string, string>>;

const UNITS = names("log", 6);

/** Lines of this decision on this host, the oldest first; of one unit. */
async function lines(host: Host, decision: Decision, ...matches: string[]): Promise<Line[]> {
  const id = `MESSAGE_ID=${DECISIONS[decision].messageId}`;
  const text = await host.mustRun(["journalctl", "--output=json", "--quiet", id, ...matches]);
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}

/** The newest such line; waits for it. */
function lineOf(host: Host, decision: Decision, ...matches: string[]): Promise<Line> {
  return eventually(`"${decision}" in the journal of ${host.name}`, 10_000, async () =>
    (await lines(host, decision, ...matches)).at(-1),
  );
}

async function unitsOn(host: Host): Promise<string[]> {
  const states = await statesOf(host);
  const names = states.filter((state) => state.machineID === host.machineId).map((state) => state.name);
  // One that was destroyed a moment ago may still be reported.
  return names.filter((name) => UNITS.includes(name));
}

async function aFollower(cluster: Cluster): Promise<{ leader: Host; follower: Host }> {
  const leader = await leaderOf(cluster);
  return { leader, follower: cluster.others(leader)[0] as Host };
}

hostSuite("decisions in the journal", { hosts: 3 }, (suite) => {
  suite.case("leader gained, machine found, placed, ordered: once each, and under the unit", async (cluster) => {
    const { leader } = await aFollower(cluster);
    expect(await lineOf(leader, "leader-gained")).toMatchObject({
      MACHINE: leader.machineId,
      PRIORITY: "5",
      SYSLOG_IDENTIFIER: "flt",
      FLT_DECISION: "leader-gained",
      _SYSTEMD_UNIT: "flt.service",
    });
    await startSleepers(leader, UNITS);
    await waitActive(leader, UNITS);
    for (const host of cluster.hosts) {
      const own = await unitsOn(host);
      expect(own.length).toBe(2);
      for (const unit of own) {
        const placed = await lines(leader, "placed", `UNIT=${unit}`);
        expect(placed).toHaveLength(1);
        expect(placed[0]).toMatchObject({ UNIT: unit, MACHINE: host.machineId, PRIORITY: "6" });
        expect(placed[0]?.MESSAGE).toMatch(/^Placed "log\d\.service" on \w{8}: It was placed nowhere; fits on/);
        const ordered = await lines(host, "ordered", `UNIT=${unit}`);
        expect(ordered.map((line) => [line.MACHINE, line.MESSAGE])).toEqual([
          [host.machineId, expect.stringMatching(/load, .*; start, /)],
        ]);
        expect(await host.mustRun(["journalctl", "--unit", unit, "--output=cat"])).toContain(
          ordered[0]?.MESSAGE ?? "-",
        );
      }
    }
  });

  suite.case("refused by the leader, and by a machine: why, once", async (cluster) => {
    const { leader } = await aFollower(cluster);
    const paths = await writeUnits(leader, {
      "nowhere.service": sleeper("nowhere", "\n[X-Flt]\nMachineMetadata=disk=none\n"),
      "dbus.service": sleeper("not the bus"),
    });
    await leader.mustFlt("start", "--no-block", ...paths);
    const nowhere = await lineOf(leader, "refused", "UNIT=nowhere.service");
    expect(nowhere.PRIORITY).toBe("5");
    expect(nowhere.MESSAGE).toMatch(
      /^Found no machine for "nowhere.service": 11111111: .*disk=none.*; 22222222: .*; 33333333: /,
    );
    const found = await eventually("the machine's refusal", 5_000, async () => {
      const all = await Promise.all(cluster.hosts.map((host) => lines(host, "refused", "UNIT=dbus.service")));
      return all.flat().length > 0 ? all.flat() : undefined;
    });
    expect(found.map((line) => line.PRIORITY)).toEqual(["4"]);
    expect(found[0]?.MESSAGE).toContain("this machine's own systemd has a unit of this name");
    expect(await lines(leader, "refused", "UNIT=nowhere.service")).toHaveLength(1);
    await leader.mustFlt("destroy", "nowhere.service", "dbus.service");
  });

  suite.case("failed: a job that systemd ended badly", async (cluster) => {
    const { leader } = await aFollower(cluster);
    const [path = ""] = await writeUnits(leader, { "bad.service": "[Service]\nType=oneshot\nExecStart=/bin/false\n" });
    expect((await leader.flt("start", path)).code).toBe(1);
    const all = await Promise.all(cluster.hosts.map((host) => lines(host, "failed", "UNIT=bad.service")));
    expect(all.flat().map((line) => [line.PRIORITY, line.FLT_RESULT])).toEqual([["4", "failed"]]);
    await leader.mustFlt("destroy", "bad.service");
  });

  suite.case("adopted: each unit, by the daemon that comes back", async (cluster) => {
    const { follower } = await aFollower(cluster);
    const own = await unitsOn(follower);
    await follower.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 60_000 });
    for (const unit of own) {
      const line = await lineOf(follower, "adopted", `UNIT=${unit}`);
      expect(line).toMatchObject({ MACHINE: follower.machineId, PRIORITY: "6" });
      expect(line.MESSAGE).toContain("started by flt, loaded, active (running)");
      expect(await lines(follower, "adopted", `UNIT=${unit}`)).toHaveLength(1);
    }
  });

  suite.case("machine away, lost, and found again; its units moved, and why", async (cluster) => {
    const { leader, follower } = await aFollower(cluster);
    const own = await unitsOn(follower);
    await follower.powerOff();
    const machine = `MACHINE=${follower.machineId}`;
    expect((await lineOf(leader, "machine-away", machine)).PRIORITY).toBe("5");
    const lost = await lineOf(leader, "machine-lost", machine);
    expect([lost.PRIORITY, lost.MESSAGE]).toEqual(["4", expect.stringMatching(/did not answer/)]);
    await waitActive(leader, own);
    for (const unit of own) {
      const moved = await lineOf(leader, "moved", `UNIT=${unit}`);
      expect(moved).toMatchObject({ FLT_FROM: follower.machineId, PRIORITY: "5" });
      expect(moved.MACHINE).not.toBe(follower.machineId);
      expect(moved.MESSAGE).toContain("is dead; fits on");
    }
    const before = (await lines(leader, "machine-found", machine)).length;
    await follower.powerOn();
    await cluster.ready(follower);
    await eventually("the machine", 10_000, async () => (await machinesOf(leader)).length === 3);
    expect(await lines(leader, "machine-found", machine)).toHaveLength(before + 1);
    expect(await lines(leader, "machine-lost", machine)).toHaveLength(1);
  });

  suite.case("handed over: each unit, by the machine that leaves; leader lost, and why", async (cluster) => {
    const leader = await leaderOf(cluster);
    const own = await unitsOn(leader);
    expect(own.length).toBeGreaterThan(0);
    await leader.mustRun(["systemctl", "stop", "flt.service"], { timeoutMs: 60_000 });
    for (const unit of own) {
      const [line, ...others] = await lines(leader, "handed-over", `UNIT=${unit}`);
      expect([line?.MACHINE, others]).toEqual([leader.machineId, []]);
    }
    const lost = await lines(leader, "leader-lost");
    expect(lost.map((line) => [line.PRIORITY, line.MACHINE])).toEqual([["5", leader.machineId]]);
    expect(lost[0]?.MESSAGE).toMatch(/^The engine stopped, this machine leads no longer: /);
    const next = await leaderOf(cluster, leader);
    await lineOf(next, "leader-gained");
    await leader.mustRun(["systemctl", "start", "flt.service"], { timeoutMs: 60_000 });
    await cluster.ready(leader);
  });

  suite.case("withdrawn: a unit that may not stay, and fits nowhere else", async (cluster) => {
    const { leader, follower } = await aFollower(cluster);
    const patch = async (op: "add" | "remove"): Promise<void> => {
      const body = [{ op, path: `/${follower.machineId}/metadata/role`, ...(op === "add" ? { value: "web" } : {}) }];
      expect((await leader.api("/fleet/v1/machines", { method: "PATCH", body })).status).toBe(204);
    };
    await patch("add");
    const [path = ""] = await writeUnits(leader, {
      "web.service": sleeper("web", "\n[X-Flt]\nMachineMetadata=role=web\n"),
    });
    await leader.mustFlt("start", path);
    await patch("remove");
    const line = await lineOf(leader, "withdrawn", "UNIT=web.service");
    expect([line.MACHINE, line.PRIORITY]).toEqual([follower.machineId, "6"]);
    expect(line.MESSAGE).toMatch(/Cannot stay on \w{8} \(.*role.*\); fits on no machine/);
    await lineOf(leader, "refused", "UNIT=web.service");
    await leader.mustFlt("destroy", "web.service");
  });

  suite.case(
    "a journal that hangs, or is killed, keeps no decision waiting; its lines go on afterwards",
    async (cluster) => {
      const { follower } = await aFollower(cluster);
      const signal = async (name: string): Promise<void> => {
        const command = ["systemctl", "kill", `--signal=${name}`, "systemd-journald.service"];
        await Promise.all(cluster.hosts.map((host) => host.mustRun(command)));
      };
      for (const harm of ["SIGSTOP", "SIGKILL"]) {
        await signal(harm);
        for (let round = 0; round < 5; round += 1) {
          const begin = performance.now();
          await follower.mustFlt("stop", ...UNITS);
          await follower.mustFlt("start", ...UNITS);
          expect(performance.now() - begin).toBeLessThan(5_000);
        }
        if (harm === "SIGSTOP") await signal("SIGCONT");
        // So long the daemons leave the journal alone after a failure.
        await sleep(5_500);
        const count = async (): Promise<number> => {
          const all = await Promise.all(cluster.hosts.map((host) => lines(host, "ordered", "--boot")));
          return all.flat().length;
        };
        const before = await count();
        await follower.mustFlt("stop", ...UNITS);
        await eventually("lines with fields again", 10_000, async () => (await count()) >= before + UNITS.length);
        await follower.mustFlt("start", ...UNITS);
      }
    },
  );
});
