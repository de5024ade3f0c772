/**
 * Many units at once, by the commands and by the API under a dying leader; how long that takes is the bench's (test/bench/bulk.ts).
 *
 * Idea. What the commands and the API say is held against what the hosts' own systemds have. Nothing that was destroyed may leave
 * a trace: no unit, no file, no failed state, no key.
 *
 * @module
 */
import { expect } from "bun:test";
import type { Cluster } from "./lib/cluster.ts";
import {
  leaderOf,
  names,
  sleeper,
  statesOf,
  unitsOf,
  waitActive,
  whereRunning,
  workloads,
  writeUnits,
} from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually, sleep } from "./lib/wait.ts";

const COUNT = 300;
const UNITS = names("bulk", COUNT);
const LONG_MS = 60_000;
const CASE_MS = 300_000;

interface Outcome {
  readonly name: string;
  readonly status: number;
  readonly error?: { readonly message: string };
}

async function batch(host: Host, units: readonly object[], timeoutMs = 10_000): Promise<Outcome[]> {
  const response = await host.api("/flt/v1/units:batch", { method: "POST", body: { units }, timeoutMs });
  if (!response.ok) throw new Error(`batch on ${host.name}: ${response.status} ${await response.text()}`);
  return ((await response.json()) as { units: Outcome[] }).units;
}

const file = (name: string): object[] => [
  { section: "Unit", name: "Description", value: name },
  { section: "Service", name: "ExecStart", value: "/bin/sleep infinity" },
];

/** What is left of units of this glob, anywhere. */
async function traces(cluster: Cluster, glob: string): Promise<string[]> {
  const found: string[] = [];
  for (const host of cluster.hosts) {
    const list = ["--all", "--plain", "--no-legend", "--no-pager", glob];
    found.push(await host.mustRun(["systemctl", "list-units", ...list]));
    // Its exit status is 1 when there is none.
    found.push((await host.run(["systemctl", "list-unit-files", "--no-legend", "--no-pager", glob])).stdout);
    found.push(
      await host.mustRun(["find", "/run/flt/units", "/run/systemd/system", "/etc/systemd/system", "-name", glob]),
    );
    const metrics = await (await host.api("/metrics")).text();
    found.push(/^flt_registry_orphan_unit_files [1-9].*$/m.exec(metrics)?.[0] ?? "");
  }
  const [host] = cluster.hosts as [Host];
  found.push(...(await unitsOf(host)).map(({ name }) => name), ...(await statesOf(host)).map(({ name }) => name));
  return found.filter((text) => text.trim() !== "" && !text.startsWith("0 "));
}

function untilNothingIsLeft(cluster: Cluster, glob: string): Promise<true> {
  return eventually("the end of every unit, file and key", LONG_MS, async () => {
    const left = await traces(cluster, glob);
    if (left.length === 0) return true;
    throw new Error(left.join("\n").slice(0, 2_000));
  });
}

hostSuite("many units at once", { hosts: 3 }, (suite) => {
  suite.case(
    `${COUNT} by the commands: started, restarted, stopped, destroyed, and nothing is left`,
    async (cluster) => {
      const [h1, h2, h3] = cluster.hosts as [Host, Host, Host];
      await leaderOf(cluster);
      const paths = await writeUnits(h1, Object.fromEntries(UNITS.map((unit) => [unit, sleeper(unit)])));
      const said = await h1.mustRun(["flt", "start", ...paths], { timeoutMs: LONG_MS });
      expect(said.split("\n").filter((line) => / launched on /.test(line))).toHaveLength(COUNT);
      const states = await waitActive(h2, UNITS, LONG_MS);
      const perMachine = Object.values(Object.groupBy(states, ({ machineID }) => machineID));
      expect(perMachine.map((list) => list?.length)).toEqual([100, 100, 100]);

      const before = await Promise.all(cluster.hosts.map((host) => workloads(host, "bulk*")));
      await h2.mustRun(["flt", "restart", ...UNITS], { timeoutMs: LONG_MS });
      await waitActive(h3, UNITS, LONG_MS);
      const after = await Promise.all(cluster.hosts.map((host) => workloads(host, "bulk*")));
      const ids = (texts: readonly string[]): string[] =>
        texts.flatMap((text) => [...text.matchAll(/InvocationID=(\w+)/g)].map(([, id]) => id ?? ""));
      expect(ids(after)).toHaveLength(COUNT);
      expect(ids(after).filter((id) => ids(before).includes(id))).toEqual([]);

      await h3.mustRun(["flt", "stop", ...UNITS], { timeoutMs: LONG_MS });
      expect(await whereRunning(cluster, "bulk*")).toEqual({});
      await h1.mustRun(["flt", "destroy", ...UNITS], { timeoutMs: LONG_MS });
      await untilNothingIsLeft(cluster, "bulk*");
    },
    CASE_MS,
  );

  const mixed = async (cluster: Cluster): Promise<void> => {
    const [h1, h2] = cluster.hosts as [Host, Host];
    const good = names("good", 30);
    const outcomes = await batch(h1, [
      ...good.map((name) => ({ name, desiredState: "launched", options: file(name) })),
      { name: "bad", options: file("bad") },
      { name: "gone.service", delete: true },
      { name: "unknown.service", desiredState: "launched" },
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual([...good.map(() => 201), 400, 404, 409]);
    await waitActive(h2, good);
    const deleted = await batch(
      h2,
      [...good, "gone.service"].map((name) => ({ name, delete: true })),
    );
    expect(deleted.map(({ status }) => status)).toEqual([...good.map(() => 204), 404]);
    await untilNothingIsLeft(cluster, "good*");
  };
  suite.case("the wrong ones among many are told, and hide nothing", mixed, CASE_MS);

  suite.case(
    "while leaders are killed, what the answer says of each unit is so",
    async (cluster) => {
      const told = new Map<string, Outcome>();
      for (let round = 1; round <= 4; round += 1) {
        const leader = await leaderOf(cluster);
        const [asked] = cluster.others(leader) as [Host];
        let isKilled = false;
        const killed = sleep(50 * round).then(async () => {
          await leader.killDaemon();
          isKilled = true;
        });
        // Where ten parts are done before that, others follow until one was begun after it.
        let isLast = false;
        for (let part = 1; part <= 10 || !isLast; part += 1) {
          isLast = isKilled;
          const group = names(`round${round}-${part}-`, 50);
          const changes = group.map((name) => ({ name, desiredState: "inactive", options: file(name) }));
          for (const outcome of await batch(asked, changes)) told.set(outcome.name, outcome);
        }
        await killed;
        // A kill is noticed by nobody at once: neither by its systemd nor by the others, who would name it as their leader.
        await leaderOf(cluster, leader);
        await cluster.ready(leader);
      }
      const [host] = cluster.hosts as [Host];
      const known = new Set((await unitsOf(host)).map(({ name }) => name));
      for (const { name, status, error } of told.values()) {
        if (status === 201) expect(known).toContain(name);
        else if (status === 503) expect(known).not.toContain(name);
        else expect(`${name} ${status} ${error?.message}`).toMatch(/ 504 .*may or may not/);
      }
      const statuses = [...told.values()].map(({ status }) => status);
      expect(statuses.filter((status) => status === 201).length).toBeGreaterThan(500);
      expect(statuses.filter((status) => status >= 500).length).toBeGreaterThan(0);
      const all = [...known].map((name) => ({ name, delete: true }));
      for (let first = 0; first < all.length; first += 500) await batch(host, all.slice(first, first + 500));
      await untilNothingIsLeft(cluster, "round*");
    },
    CASE_MS,
  );
});
