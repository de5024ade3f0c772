/**
 * All three daemons are killed at once and started again. Everything is as before.
 *
 * @module
 */
import { expect } from "bun:test";
import {
  allWorkloads,
  leaderOf,
  machinesOf,
  names,
  startSleepers,
  statesOf,
  unitsOf,
  waitActive,
} from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually, sleep } from "./lib/wait.ts";

const UNITS = names("whole", 9);

function sorted<T>(items: readonly T[]): string[] {
  return items.map((item) => JSON.stringify(item)).sort((left, right) => left.localeCompare(right));
}

async function everything(host: Host): Promise<unknown> {
  return {
    units: sorted(await unitsOf(host)),
    states: sorted(await statesOf(host)),
    machines: sorted(await machinesOf(host)),
  };
}

hostSuite("all daemons at once", { hosts: 3 }, (suite) => {
  suite.case("killed: every unit, state and machine is as before, and no unit was restarted", async (cluster) => {
    const host = await leaderOf(cluster);
    await startSleepers(host, UNITS);
    await waitActive(host, UNITS);
    await host.mustFlt("stop", UNITS[0] ?? "");
    const before = await everything(host);
    const running = await allWorkloads(cluster, "whole*");
    await Promise.all(cluster.hosts.map((each) => each.killDaemon()));
    await Promise.all(cluster.hosts.map((each) => cluster.ready(each)));
    await leaderOf(cluster);
    for (const each of cluster.hosts) {
      await eventually(`${each.name} to tell what it told before`, 15_000, async () =>
        Bun.deepEquals(await everything(each), before),
      );
    }
    // Past a full agent_ttl nothing has moved either.
    await sleep(6_000);
    expect(await everything(host)).toEqual(before);
    expect(await allWorkloads(cluster, "whole*")).toEqual(running);
  });

  suite.case("without power: units of all hosts run again, none twice", async (cluster) => {
    const host = cluster.host("h1");
    const before = sorted(
      await unitsOf(host).then((units) => units.map(({ name, desiredState }) => ({ name, desiredState }))),
    );
    await Promise.all(cluster.hosts.map((each) => each.powerOff()));
    await Promise.all(cluster.hosts.map((each) => each.powerOn()));
    await Promise.all(cluster.hosts.map((each) => cluster.ready(each)));
    await waitActive(host, UNITS.slice(1), 20_000);
    const after = sorted(
      await unitsOf(host).then((units) => units.map(({ name, desiredState }) => ({ name, desiredState }))),
    );
    expect(after).toEqual(before);
  });
});
