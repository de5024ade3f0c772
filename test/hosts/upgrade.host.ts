/**
 * A cluster is upgraded one host after the other while clients write: no write fails for good, and no unit notices.
 *
 * Idea. The next release is the same source under another version (lib/versions.ts). A client tries its write again for as long as the
 * answer says that it may, as whoever puts units would.
 *
 * @module
 */
import { expect } from "bun:test";
import { FORMAT_LEVEL } from "../../src/lib/format.ts";
import type { Cluster } from "./lib/cluster.ts";
import { EtcdOnHost, missingForEtcd } from "./lib/etcd.ts";
import { allWorkloads, leaderOf, machinesOf, names, startSleepers, unitsOf, waitActive } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { buildNextVersion, NEXT_VERSION } from "./lib/versions.ts";
import { eventually, sleep } from "./lib/wait.ts";

const UNITS = names("served", 12);
const WRITES_PER_SECOND = 20;
/** A client gives up after so long: a restart takes a second, an election another. */
const PATIENCE_MS = 10_000;
const OPTIONS = [{ section: "Service", name: "ExecStart", value: "/bin/true" }];

interface Tally {
  readonly written: string[];
  readonly failed: string[];
  tries: number;
  slowestMs: number;
}

/** Putting a unit twice is putting it once: every try may be repeated. */
async function write(host: Host, name: string, tally: Tally): Promise<void> {
  const begin = performance.now();
  let last = "";
  while (performance.now() - begin < PATIENCE_MS) {
    tally.tries++;
    try {
      const body = { name, desiredState: "inactive", options: OPTIONS };
      const response = await host.api(`/fleet/v1/units/${name}`, { method: "PUT", timeoutMs: 6_000, body });
      if (response.ok) {
        tally.slowestMs = Math.max(tally.slowestMs, performance.now() - begin);
        tally.written.push(name);
        return;
      }
      last = `${response.status} ${await response.text()}`;
    } catch (error) {
      // The daemon is not there for a moment.
      last = error instanceof Error ? error.message : String(error);
    }
    await sleep(100);
  }
  tally.failed.push(`${name}: ${last}`);
}

async function client(host: Host, isOver: () => boolean, tally: Tally): Promise<void> {
  const flying = new Set<Promise<void>>();
  for (let sequence = 1; !isOver(); sequence++) {
    const flight = write(host, `w-${host.name}-${sequence}.service`, tally).finally(() => flying.delete(flight));
    flying.add(flight);
    await sleep(1_000 / WRITES_PER_SECOND);
  }
  await Promise.all(flying);
}

async function versionOf(host: Host): Promise<string> {
  return ((await (await host.api("/flt/v1/version")).json()) as { version: string }).version;
}

async function upgrade(cluster: Cluster, host: Host, binary: string): Promise<void> {
  await host.install(binary);
  await host.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 60_000 });
  await cluster.ready(host);
  const [witness] = cluster.others(host) as [Host];
  await eventually(`${host.name} to be upgraded`, 15_000, async () => {
    const machines = await machinesOf(witness);
    return machines.length === cluster.hosts.length && (await versionOf(host)) === NEXT_VERSION;
  });
}

hostSuite("a rolling upgrade", { hosts: 3, config: { token_limit: "1000" } }, (suite) => {
  suite.case(
    "under load: no write fails after retries, no unit is restarted",
    async (cluster) => {
      const binary = await buildNextVersion();
      const asked = await leaderOf(cluster);
      await startSleepers(asked, UNITS);
      await waitActive(asked, UNITS);
      const before = await allWorkloads(cluster, "served*");
      const tally: Tally = { written: [], failed: [], tries: 0, slowestMs: 0 };
      let isOver = false;
      const clients = cluster.hosts.map((host) => client(host, () => isOver, tally));
      await sleep(1_000);
      for (const host of cluster.hosts) {
        await upgrade(cluster, host, binary);
        await sleep(1_000);
      }
      isOver = true;
      await Promise.all(clients);
      console.error(
        `${tally.written.length} writes in ${tally.tries} tries while three hosts were upgraded; slowest ${Math.round(tally.slowestMs)} ms`,
      );
      expect(tally.failed).toEqual([]);
      expect(tally.written.length).toBeGreaterThan(50);
      for (const host of cluster.hosts) {
        const found = new Set((await unitsOf(host)).map((unit) => unit.name));
        expect(tally.written.filter((name) => !found.has(name))).toEqual([]);
        expect(await versionOf(host)).toBe(NEXT_VERSION);
        expect(await (await host.api("/metrics")).text()).toContain(`flt_cluster_format_level ${FORMAT_LEVEL}\n`);
      }
      await waitActive(asked, UNITS);
      expect(await allWorkloads(cluster, "served*")).toEqual(before);
    },
    120_000,
  );
});

if (missingForEtcd() !== undefined) console.error(`An etcd on hosts: ${missingForEtcd()}`);

hostSuite("a registry that a later release wrote to", { hosts: 1, flt: "installed" }, (suite) => {
  suite.case("the daemon ends with advice, its units stay; once that is gone it is back", async (cluster) => {
    const host = cluster.host("h1");
    const etcd = await EtcdOnHost.install(host);
    await host.write("/etc/flt/flt.conf", `etcd_servers=${etcd.url}\n`);
    await host.mustRun(["systemctl", "start", "flt.service"], { timeoutMs: 30_000 });
    await startSleepers(host, UNITS);
    await waitActive(host, UNITS);
    const before = await allWorkloads(cluster, "served*");
    const key = "/_coreos.com/fleet/job/later.service";
    await etcd.ctl("put", key, '{"v":2,"files":[]}');
    await eventually("the daemon's advice", 10_000, async () => {
      return (await host.journal()).includes("upgrade flt on this machine");
    });
    expect(await host.journal()).toMatch(
      /units stay as they are: Cannot read a job in the registry: it has format 2, flt/,
    );
    // It is started again and again, and says the same.
    await sleep(3_000);
    expect(await allWorkloads(cluster, "served*")).toEqual(before);
    expect(await etcd.ctl("get", "--print-value-only", key)).toBe('{"v":2,"files":[]}\n');
    await etcd.ctl("del", key);
    await waitActive(host, UNITS);
    expect(await allWorkloads(cluster, "served*")).toEqual(before);
  });
});
