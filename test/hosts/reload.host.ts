/**
 * SIGHUP on real hosts: what the daemon follows, what it refuses, and that neither a connection nor a unit notices.
 *
 * @module
 */
import { expect } from "bun:test";
import type { Cluster } from "./lib/cluster.ts";
import { leaderOf, runningOn, sleeper, startSleepers, waitActive, workloads, writeUnits } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually } from "./lib/wait.ts";

const configOf = { h1: { metadata: "disk=ssd" }, h2: { metadata: "disk=hdd" }, h3: { metadata: "disk=hdd" } };

const CONFIG = "/etc/flt/flt.conf";

/** Rewrites options in the host's flt.conf, reloads by systemctl, and returns what the daemon said about it. */
async function reload(host: Host, options: Readonly<Record<string, string>>): Promise<string> {
  const path = CONFIG;
  const kept = (await Bun.file(host.path(path)).text())
    .split("\n")
    .filter((line) => line !== "" && !Object.hasOwn(options, line.split("=", 1)[0] ?? ""));
  const added = Object.entries(options).map(([key, value]) => `${key}=${value}`);
  await host.write(path, `${[...kept, ...added].join("\n")}\n`);
  return await saidAfter(host, ["systemctl", "reload", "flt.service"]);
}

const SAID = /Read the configuration again|changed nothing/;

async function saidAfter(host: Host, command: readonly string[]): Promise<string> {
  const before = (await host.journal()).length;
  await host.mustRun(command);
  return await eventually("the end of the reload", 5_000, async () => {
    const said = (await host.journal()).slice(before);
    return SAID.test(said) ? said : undefined;
  });
}

/** Lines of an event stream, which says nothing for most of the time. */
async function follow(host: Host): Promise<{ readonly ended: () => boolean; readonly close: () => void }> {
  const abort = new AbortController();
  const response = await fetch("http://flt/flt/v1/events", { unix: host.path("/run/flt.sock"), signal: abort.signal });
  let ended = false;
  const read = async (): Promise<void> => {
    for await (const _ of response.body ?? []);
  };
  void read()
    .catch(() => {})
    .finally(() => {
      ended = true;
    });
  return { ended: () => ended, close: () => abort.abort() };
}

async function pids(cluster: Cluster): Promise<string> {
  return (await Promise.all(cluster.hosts.map((host) => host.mainPid("flt.service")))).join(" ");
}

hostSuite("a reload", { hosts: 3, configOf }, (suite) => {
  suite.case(
    "metadata: units that no longer fit move, the others are not touched, streams stay open",
    async (cluster) => {
      const [one, two] = cluster.hosts as [Host, Host, Host];
      await leaderOf(cluster);
      await startSleepers(one, ["free1.service", "free2.service", "free3.service"]);
      const paths = await writeUnits(one, { "ssd.service": sleeper("ssd", "\n[X-Flt]\nMachineMetadata=disk=ssd\n") });
      await one.mustFlt("start", ...paths);
      await waitActive(one, ["ssd.service"], 5_000, (machine) => machine === one.machineId);
      const free = () => Promise.all(cluster.hosts.map((host) => workloads(host, "free*")));
      const before = { free: await free(), pids: await pids(cluster) };
      const streams = await Promise.all(cluster.hosts.map((host) => follow(host)));

      expect(await reload(one, { metadata: "disk=hdd,rack=9" })).toContain("changed=metadata");
      expect(await reload(two, { metadata: "disk=ssd" })).toContain("changed=metadata");

      await waitActive(one, ["ssd.service"], 5_000, (machine) => machine === two.machineId);
      expect(await runningOn(one, "ssd*")).toEqual([]);
      expect(await one.mustFlt("list-machines", "--full")).toContain("disk=hdd,rack=9");
      expect({ free: await free(), pids: await pids(cluster) }).toEqual(before);
      expect(streams.map((stream) => stream.ended())).toEqual([false, false, false]);
      for (const stream of streams) stream.close();
    },
  );

  suite.case("the rest of what can change: page size, verbosity, grace, ttl, engine, address", async (cluster) => {
    const host = cluster.host("h1");
    const leader = await leaderOf(cluster);
    const options = { token_limit: "1", verbosity: "1", daemon_grace: "90s", agent_ttl: "6s", public_ip: "10.77.0.99" };
    expect(await reload(host, options)).toContain("public_ip,agent_ttl,daemon_grace,token_limit,verbosity");
    const page = (await (await host.api("/fleet/v1/units")).json()) as { units: unknown[]; nextPageToken?: string };
    expect(page.units).toHaveLength(1);
    expect(page.nextPageToken).toBeDefined();
    await eventually("the new address", 5_000, async () =>
      (await host.mustFlt("list-machines")).includes("10.77.0.99"),
    );
    await reload(leader, { disable_engine: "true" });
    await eventually("the engine's end", 5_000, async () => (await leader.journal()).includes("The engine stopped"));
    await reload(leader, { disable_engine: "false" });
    await startSleepers(host, ["after.service"]);
  });

  suite.case("listen_api: added and removed, the socket of before untouched", async (cluster) => {
    const host = cluster.host("h3");
    const stream = await follow(host);
    const curl = () => host.run(["curl", "-s", "http://127.0.0.1:8080/flt/v1/version"]);
    await reload(host, { listen_api: "/run/flt.sock,http://127.0.0.1:8080" });
    expect((await curl()).stdout).toContain(host.machineId);
    await reload(host, { listen_api: "/run/flt.sock" });
    expect((await curl()).code).toBe(7);
    // One that cannot be opened keeps nothing else from changing.
    const said = await reload(host, { listen_api: "/run/flt.sock,http://10.9.9.9:8080,http://127.0.0.1:8081" });
    expect(said).toContain("Listening for the API on http://10.9.9.9:8080 failed");
    expect((await host.run(["curl", "-s", "http://127.0.0.1:8081/flt/v1/version"])).code).toBe(0);
    expect(stream.ended()).toBe(false);
    stream.close();
  });

  suite.case("what cannot change is named and stays", async (cluster) => {
    const host = cluster.host("h2");
    const pid = await host.mainPid("flt.service");
    const options = { data_dir: "/var/lib/other", units_directory: "/run/other", token_limit: "7" };
    const said = await reload(host, options);
    expect(said).toMatch(/Cannot change data_dir to "\/var\/lib\/other" .*line \d+.* it stays "\/var\/lib\/flt"/);
    expect(said).toMatch(/Cannot change units_directory to "\/run\/other"/);
    expect(said).toContain("changed=token_limit");
    expect((await host.run(["ls", "/var/lib/other"])).code).not.toBe(0);
    await reload(host, { data_dir: "/var/lib/flt", units_directory: "/run/flt/units" });
    expect(await host.mainPid("flt.service")).toBe(pid);
  });

  suite.case(
    "a mistake, be it a mistyped name: the reload fails and says why, a bare SIGHUP is refused in the log, no unit moves",
    async (cluster) => {
      const host = cluster.host("h2");
      const right = await Bun.file(host.path(CONFIG)).text();
      expect(right).toMatch(/^metadata=disk=ssd$/m);
      const kept = async () => [await host.mustFlt("list-machines", "--full"), await workloads(host, "ssd*")];
      const before = await kept();
      const mistakes: [string, string][] = [
        [right.replace("metadata=", "metdata="), 'Cannot use "metdata" in "/etc/flt/flt.conf" line '],
        [`${right}this is no option\n`, 'Cannot read "/etc/flt/flt.conf": line '],
      ];
      for (const [text, words] of mistakes) {
        await host.write(CONFIG, text);
        const length = (await host.journal()).length;
        const { code, stderr } = await host.run(["systemctl", "reload", "flt.service"]);
        expect([code, stderr]).toEqual([1, expect.stringContaining("flt.service")]);
        await eventually("the line in the log", 5_000, async () =>
          (await host.journal()).slice(length).includes(words),
        );
        expect((await host.journal()).slice(length)).not.toMatch(SAID);
        const pid = await host.mainPid("flt.service");
        expect(await saidAfter(host, ["kill", "-HUP", `${pid}`])).toContain(`changed nothing: ${words}`);
        expect(await host.run(["flt", "daemon", "--check-config"])).toEqual({
          code: 1,
          stdout: "",
          stderr: expect.stringContaining(words),
        });
      }
      await host.write(CONFIG, right);
      expect(await saidAfter(host, ["systemctl", "reload", "flt.service"])).toContain("changed=nothing");
      expect(await kept()).toEqual(before);
      expect(await host.property("flt.service", "ActiveState")).toBe("active");
      expect(await host.property("flt.service", "NRestarts")).toBe("0");
    },
  );
});
