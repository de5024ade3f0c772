/**
 * One host of three is cut from the network. The majority goes on; the lonely one keeps what it runs, says
 * clearly that it cannot write, and falls in line when the cut heals.
 *
 * @module
 */
import { expect } from "bun:test";
import {
  allWorkloads,
  leaderOf,
  leaderSeenBy,
  machinesOf,
  names,
  runningOn,
  startSleepers,
  timeWrite,
  unitsOf,
  waitActive,
  whereRunning,
  workloads,
} from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually, steadily } from "./lib/wait.ts";

const UNITS = names("held", 9);
const MORE = names("held-more", 6);
const ANSWER_MS = 5_000;

/** One of each kind, on a machine: none of them may be done later. */
function writesFor(machineId: string): Readonly<Record<string, { path: string; method: string; body?: unknown }>> {
  const options = [{ section: "Service", name: "ExecStart", value: "/bin/true" }];
  const edit = { op: "add", path: `/${machineId}/metadata/cut`, value: "yes" };
  return {
    create: { path: "units/never.service", method: "PUT", body: { desiredState: "launched", options } },
    change: { path: `units/${UNITS[1]}`, method: "PUT", body: { desiredState: "loaded" } },
    destroy: { path: `units/${UNITS[2]}`, method: "DELETE" },
    metadata: { path: "machines", method: "PATCH", body: [edit] },
  };
}

hostSuite("a cut-off host", { hosts: 3 }, (suite) => {
  suite.case("keeps its units, refuses writes clearly, and agrees after the cut", async (cluster) => {
    const leader = await leaderOf(cluster);
    await startSleepers(leader, UNITS);
    await waitActive(leader, UNITS);
    const [lonely, witness] = [leader, cluster.others(leader)[0] as Host];
    const theirs = await runningOn(lonely, "held*");
    const before = await workloads(lonely, "held*");
    expect(theirs.length).toBeGreaterThan(0);
    await lonely.cut();
    try {
      expect(await timeWrite(witness, "by-majority.service", 10_000)).toBeLessThan(5_000);
      const begin = performance.now();
      const refused = await lonely.run(["flt", "unload", "--no-block", UNITS[0] ?? ""], { timeoutMs: 15_000 });
      expect(performance.now() - begin).toBeLessThan(ANSWER_MS);
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toContain("no quorum");
      expect(refused.stderr).not.toMatch(/\n\s+at /);
      // The last leader is not the present one.
      expect(await leaderSeenBy(lonely)).toBeUndefined();
      expect((await leaderOf(cluster, lonely)).name).not.toBe(lonely.name);

      // The majority takes it for dead and starts its units; it cannot know, and keeps them.
      await waitActive(witness, UNITS, 15_000, (machine) => machine !== lonely.machineId);
      await steadily("the units of the lonely host", 3_000, () => workloads(lonely, "held*"));
      expect(await workloads(lonely, "held*")).toBe(before);
    } finally {
      await lonely.heal();
    }
    await eventually("each unit to run once", 15_000, async () => {
      const places = await whereRunning(cluster, "held*");
      return Object.keys(places).length === UNITS.length && Object.values(places).every((hosts) => hosts.length === 1);
    });
    const assigned = (await unitsOf(lonely))
      .filter((unit) => unit.machineID === lonely.machineId)
      .map((unit) => unit.name);
    expect(await runningOn(lonely, "held*")).toEqual(assigned.filter((name) => name.startsWith("held")));
    expect((await unitsOf(lonely)).map((unit) => unit.name)).toContain("by-majority.service");
  });

  suite.case(
    "a follower that is cut off refuses writes and reads clearly, and does none of them later",
    async (cluster) => {
      const leader = await leaderOf(cluster);
      const [lonely, witness] = cluster.others(leader) as [Host, Host];
      const before = await workloads(lonely, "held*");
      const known = (await unitsOf(lonely)).map((unit) => unit.name);
      await lonely.cut();
      try {
        // It may believe for a moment that the leader is there, and must not call a write undone that it has sent.
        const first = await lonely.run(["flt", "unload", "--no-block", UNITS[0] ?? ""], { timeoutMs: 15_000 });
        expect(first.code).toBe(1);
        expect(first.stderr).toMatch(/no quorum|may or may not/);
        await eventually("the follower to miss its leader", 5_000, async () => {
          return (await (await lonely.api("/metrics")).text()).includes("flt_raft_has_leader 0\n");
        });
        const begin = performance.now();
        const refusals = Object.entries(writesFor(lonely.machineId)).map(async ([name, write]) => {
          const answer = await lonely.api(`/fleet/v1/${write.path}`, { ...write, timeoutMs: 15_000 });
          const { error } = (await answer.json()) as { error: { message: string } };
          expect([name, answer.status]).toEqual([name, 503]);
          expect(error.message).toMatch(/^The cluster cannot answer now: .*no quorum/);
          expect(error.message.split("nothing was done, try again")).toHaveLength(2);
        });
        await Promise.all(refusals);
        expect(performance.now() - begin).toBeLessThan(ANSWER_MS);
        const listed = await lonely.run(["flt", "list-units"], { timeoutMs: 15_000 });
        expect([listed.code, listed.stdout]).toEqual([1, ""]);
        expect(listed.stderr).toContain("no quorum");
        const stale = (await (await lonely.api("/flt/v1/units?stale=true")).json()) as { units: { name: string }[] };
        expect(stale.units.map((unit) => unit.name)).toEqual(known);
        expect(await timeWrite(witness, "without-follower.service", 10_000)).toBeLessThan(1_000);
        expect(await workloads(lonely, "held*")).toBe(before);
      } finally {
        await lonely.heal();
      }
      await eventually("a write on the follower", 10_000, async () => {
        const outcome = await lonely.run(["flt", "unload", "--no-block", "without-follower.service"]);
        return outcome.code === 0;
      });
      const after = (await unitsOf(lonely)).map((unit) => unit.name);
      expect(after.filter((name) => !known.includes(name))).toEqual(["without-follower.service"]);
      expect(known.filter((name) => !after.includes(name))).toEqual([]);
      expect((await machinesOf(witness)).find(({ id }) => id === lonely.machineId)?.metadata?.cut).toBeUndefined();
    },
  );

  suite.case("two followers that cannot see each other: nothing moves, writes go on", async (cluster) => {
    const leader = await leaderOf(cluster);
    const [left, right] = cluster.others(leader) as [Host, Host];
    const places = await whereRunning(cluster, "held*");
    await cluster.network.cutPair(left.name, right.name);
    try {
      await steadily("the places", 8_000, async () => JSON.stringify(await whereRunning(cluster, "held*")));
      expect(await timeWrite(right, "half-cut.service", 5_000)).toBeLessThan(1_000);
      expect((await leaderOf(cluster)).name).toBe(leader.name);
    } finally {
      await cluster.network.healPair(left.name, right.name);
    }
    expect(await whereRunning(cluster, "held*")).toEqual(places);
  });

  suite.case("a follower that cannot see the leader: the third vouches for it, nothing moves", async (cluster) => {
    const leader = await leaderOf(cluster);
    const [follower, witness] = cluster.others(leader) as [Host, Host];
    // The emptiest machines get these: whichever host was cut off before has something to lose again.
    await startSleepers(leader, MORE);
    await waitActive(leader, MORE);
    const before = await allWorkloads(cluster, "held*");
    expect(before[follower.name]).not.toBe("");
    await cluster.network.cutPair(leader.name, follower.name);
    try {
      // One voter less is no reason to elect: the leader stays, since the third member hears it.
      expect(await timeWrite(witness, "one-less.service", 5_000)).toBeLessThan(1_000);
      await eventually("the end of the follower's lease", 10_000, async () => {
        return (await machinesOf(witness)).every((machine) => machine.id !== follower.machineId);
      });
      // Far longer than a host without power has.
      await steadily("the units", 10_000, async () => JSON.stringify(await allWorkloads(cluster, "held*")));
      expect((await leaderOf(cluster)).name).toBe(leader.name);
      expect(await leader.journal()).toContain(`its kernel answers ${witness.address}:2380`);
    } finally {
      await cluster.network.healPair(leader.name, follower.name);
    }
    await waitActive(leader, [...UNITS, ...MORE]);
    expect(await allWorkloads(cluster, "held*")).toEqual(before);
  });
});
