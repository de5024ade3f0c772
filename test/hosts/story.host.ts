/**
 * Three hosts, one binary. A unit started from any of them runs on one, and all three tell the same.
 *
 * @module
 */
import { expect } from "bun:test";
import type { Cluster } from "./lib/cluster.ts";
import {
  leaderOf,
  names,
  runningOn,
  sleeper,
  startSleepers,
  waitActive,
  whereRunning,
  writeUnits,
} from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually } from "./lib/wait.ts";

const EXAMPLES = `${import.meta.dir}/../../examples`;

async function copyExample(host: Host, name: string): Promise<string> {
  const [path = ""] = await writeUnits(host, { [name]: await Bun.file(`${EXAMPLES}/${name}`).text() });
  return path;
}

/** Output of a command on each host; they must all be alike. */
async function sameEverywhere(cluster: Cluster, ...words: string[]): Promise<string> {
  return await eventually(`all hosts to agree on "flt ${words.join(" ")}"`, 5_000, async () => {
    const outputs = await Promise.all(cluster.hosts.map((host) => host.mustFlt(...words)));
    return new Set(outputs).size === 1 ? outputs[0] : undefined;
  });
}

const config = { agent_ttl: "4s" };
const configOf = { h1: { metadata: "disk=ssd" }, h2: { metadata: "disk=ssd" }, h3: { metadata: "disk=hdd,rack=7" } };

hostSuite("three hosts", { hosts: 3, config, configOf }, (suite) => {
  suite.case("list-machines shows all three, the same from each", async (cluster) => {
    await leaderOf(cluster);
    const machines = await eventually("three machines", 10_000, async () => {
      const output = await cluster.host("h2").mustFlt("list-machines", "--full");
      return output.trim().split("\n").length === 4 ? output : undefined;
    });
    expect(machines).toStartWith("MACHINE\t");
    for (const host of cluster.hosts) {
      expect(machines).toContain(host.machineId);
      expect(machines).toContain(host.address);
    }
    expect(machines).toContain("disk=hdd,rack=7");
    await sameEverywhere(cluster, "list-machines");
  });

  suite.case("the API's socket belongs to root and group flt", async (cluster) => {
    expect(await cluster.host("h1").mustRun(["stat", "--format=%U %G %a", "/run/flt.sock"])).toBe("root flt 660\n");
  });

  suite.case("a unit started from any of the three runs on one, and all list the same", async (cluster) => {
    for (const host of cluster.hosts) {
      const unit = `from-${host.name}.service`;
      const [path = ""] = await writeUnits(host, { [unit]: sleeper(unit) });
      const { code, stdout } = await host.flt("start", path);
      expect(code).toBe(0);
      expect(stdout).toMatch(
        new RegExp(`^Unit ${unit} inactive\nUnit ${unit} launched on [0-9a-f]{8}\\.\\.\\./10\\.77\\.0\\.1[123]\n$`),
      );
    }
    const units = cluster.hosts.map((host) => `from-${host.name}.service`);
    const states = await waitActive(cluster.host("h1"), units);
    const places = await whereRunning(cluster, "from-*");
    for (const state of states) {
      expect(places[state.name]).toEqual([cluster.hostOfMachine(state.machineID).name]);
    }
    // Least loaded first: three units, three machines.
    expect(new Set(states.map((state) => state.machineID)).size).toBe(3);
    const table = await sameEverywhere(cluster, "list-units");
    expect(table.split("\n")[0]).toMatch(/^UNIT\t+MACHINE\t+ACTIVE\t+SUB$/);
    expect(table.match(/\tactive\trunning\n/g)).toHaveLength(3);
    await sameEverywhere(cluster, "list-unit-files");
  });

  suite.case("examples/hello.service: cat, hash, status and journal from another host", async (cluster) => {
    const here = cluster.host("h1");
    await here.mustFlt("start", await copyExample(here, "hello.service"));
    const [state] = await waitActive(here, ["hello.service"]);
    const there = cluster.hostOfMachine(state?.machineID ?? "");
    const asker = cluster.others(there)[0] ?? here;
    expect(await asker.mustFlt("cat", "hello.service")).toBe(await Bun.file(`${EXAMPLES}/hello.service`).text());
    expect(await asker.mustFlt("list-unit-files", "--fields=unit,hash", "--no-legend")).toMatch(
      /hello\.service\s+e55c0ae\n/,
    );
    const status = await asker.flt("status", "hello.service");
    expect(status.stdout).toContain("hello.service - Hello World");
    expect(status.stdout).toContain("active (running)");
    await eventually("a line in the journal", 5_000, async () => {
      return (await asker.mustFlt("journal", "--lines=5", "hello.service")).includes("Hello, world");
    });
    const follower = asker.spawn(["flt", "journal", "-f", "--lines=0", "hello.service"]);
    const reader = follower.stdout.getReader();
    const first = await Promise.race([reader.read(), Bun.sleep(10_000)]);
    follower.kill();
    expect(new TextDecoder().decode(first?.value)).toContain("Hello, world");
  });

  suite.case("stop keeps it loaded, start runs it again, unload and destroy end it", async (cluster) => {
    const host = cluster.host("h2");
    const stop = await host.flt("stop", "hello.service");
    expect([stop.code, stop.stderr]).toEqual([
      0,
      expect.stringContaining("Successfully stopped units [hello.service]."),
    ]);
    expect(await whereRunning(cluster, "hello.service")).toEqual({});
    expect(await host.mustFlt("list-units", "--no-legend", "--fields=unit,active")).toMatch(
      /hello\.service\s+inactive/,
    );
    await host.mustFlt("start", "hello.service");
    await waitActive(host, ["hello.service"]);
    await host.mustFlt("unload", "hello.service");
    expect(await host.mustFlt("list-units", "--no-legend")).not.toContain("hello.service");
    expect(await host.mustFlt("destroy", "hello.service")).toBe("Destroyed hello.service\n");
    expect(await sameEverywhere(cluster, "list-unit-files", "--no-legend")).not.toContain("hello.service");
  });

  suite.case("examples/pong.service runs where examples/ping.service runs", async (cluster) => {
    const host = cluster.host("h3");
    await host.mustFlt("start", await copyExample(host, "ping.service"), await copyExample(host, "pong.service"));
    const states = await waitActive(host, ["ping.service", "pong.service"]);
    expect(new Set(states.map((state) => state.machineID)).size).toBe(1);
    await host.mustFlt("destroy", "ping.service", "pong.service");
  });

  suite.case("examples/web@.service: instances keep away from each other; the fourth is told why", async (cluster) => {
    const host = cluster.host("h1");
    await host.mustFlt("submit", await copyExample(host, "web@.service"));
    const instances = ["web@1.service", "web@2.service", "web@3.service"];
    await host.mustFlt("start", ...instances);
    const states = await waitActive(host, instances);
    expect(new Set(states.map((state) => state.machineID)).size).toBe(3);
    const fourth = await host.run(["flt", "start", "--block-attempts=1", "web@4.service"]);
    expect(fourth.code).toBe(1);
    expect(fourth.stderr).toMatch(/Holds "web@[123]\.service": the unit conflicts with/);
    await host.mustFlt("destroy", ...instances, "web@4.service", "web@.service");
  });

  suite.case("examples/everywhere.service runs on every machine", async (cluster) => {
    const host = cluster.host("h1");
    expect(await host.mustFlt("start", await copyExample(host, "everywhere.service"))).toContain(
      "Triggered global unit everywhere.service start",
    );
    await eventually("a beat on all three", 10_000, async () => {
      return (await whereRunning(cluster, "everywhere.service"))["everywhere.service"]?.length === 3;
    });
    await host.mustFlt("destroy", "everywhere.service");
    await eventually("the end of all three", 10_000, async () => {
      return (await whereRunning(cluster, "everywhere.service"))["everywhere.service"] === undefined;
    });
  });

  suite.case("MachineMetadata and MachineID are obeyed", async (cluster) => {
    const host = cluster.host("h1");
    const target = cluster.host("h2");
    const paths = await writeUnits(host, {
      "hdd.service": sleeper("hdd", "\n[X-Flt]\nMachineMetadata=disk=hdd\n"),
      "pinned.service": sleeper("pinned", `\n[X-Fleet]\nMachineID=${target.machineId}\n`),
    });
    await host.mustFlt("start", ...paths);
    expect(await runningOn(cluster.host("h3"), "hdd.service")).toEqual(["hdd.service"]);
    expect(await runningOn(target, "pinned.service")).toEqual(["pinned.service"]);
  });

  suite.case("30 units at once are spread evenly", async (cluster) => {
    const host = cluster.host("h3");
    const units = names("many", 30);
    await startSleepers(host, units);
    await waitActive(host, units);
    const places = await whereRunning(cluster, "many*");
    expect(Object.values(places).every((hosts) => hosts.length === 1)).toBe(true);
    const counts = cluster.hosts.map((each) => Object.values(places).filter(([name]) => name === each.name).length);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(3);
  });
});
