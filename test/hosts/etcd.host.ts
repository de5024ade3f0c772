/**
 * An etcd as the store, as fleet had it: a fleet.conf is taken over as it is, and the etcd's faults stop no unit.
 *
 * h1 to h3 run the daemon as fleetd; h4 runs the etcd, and nothing of flt until the last cases.
 *
 * @module
 */
import { expect } from "bun:test";
import type { Cluster } from "./lib/cluster.ts";
import { EtcdOnHost, missingForEtcd } from "./lib/etcd.ts";
import {
  leaderSeenBy,
  machinesOf,
  names,
  runningOn,
  startSleepers,
  timeWrite,
  waitActive,
  whereRunning,
  workloads,
} from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually, sleep, steadily } from "./lib/wait.ts";

const PREFIX = "/_coreos.com/fleet/";
const UNITS = names("kept", 6);
const TTL_MS = 4_000;
/** etcd looks for leases that are over every half second; a machine has 1.5 s to come back; then come a plan and a start. */
const AFTER_LEASE_MS = 4_000;

/** What a fleet.conf in the field says; nobody listens at 4001, which is asked first here. */
function fleetConf(host: Host, etcd: string, more = ""): string {
  return `# fleet's own
etcd_servers=["http://${etcd}:4001","http://${etcd}:2379"]
etcd_request_timeout=1.0
etcd_key_prefix="${PREFIX}"
public_ip="${host.address}"
metadata="name=${host.name}"
agent_ttl="4s"
engine_reconcile_interval=2
disable_engine=false
# flt's own, so that both sockets serve
listen_api=/run/fleet.sock,/run/flt.sock
${more}`;
}

/** As fleetd, with its file, by flt's service. */
const DROP_IN = "[Service]\nExecStart=\nExecStart=@/usr/local/bin/flt fleetd --config=/etc/flt/fleet.conf\n";

async function configure(host: Host, conf: string): Promise<void> {
  await host.write("/etc/flt/fleet.conf", conf);
  await host.mustRun(["mkdir", "-p", "/etc/systemd/system/flt.service.d"]);
  await host.write("/etc/systemd/system/flt.service.d/fleetd.conf", DROP_IN);
  await host.mustRun(["systemctl", "daemon-reload"]);
}

const daemonsOf = (cluster: Cluster): Host[] => cluster.hosts.filter((host) => host.name !== "h4" && host.isOn);

/** The machine whose engine decides, agreed on by all of these hosts. */
function leaderAmong(cluster: Cluster, hosts: readonly Host[], not?: Host): Promise<Host> {
  return eventually("an engine that all agree on", 15_000, async () => {
    const [first, ...others] = await Promise.all(hosts.map((host) => leaderSeenBy(host).catch(() => undefined)));
    const isOne = first !== undefined && others.every((other) => other === first);
    return isOne && first !== not?.machineId ? cluster.hostOfMachine(first) : undefined;
  });
}

async function workloadsOf(hosts: readonly Host[]): Promise<string> {
  return JSON.stringify(await Promise.all(hosts.map((host) => workloads(host, "kept*"))));
}

async function allMachines(hosts: readonly Host[], count: number): Promise<void> {
  for (const host of hosts) {
    await eventually(`${count} machines, asked on ${host.name}`, 15_000, async () => {
      return (await machinesOf(host)).length === count;
    });
  }
}

hostSuite("an etcd as the store", { hosts: 4, flt: "installed", missing: missingForEtcd() }, (suite) => {
  let etcd: EtcdOnHost;

  suite.case(
    "three fleetds with their fleet.conf: a cluster, without a port and without a disk of its own",
    async (cluster) => {
      etcd = await EtcdOnHost.install(cluster.host("h4"));
      for (const host of daemonsOf(cluster)) {
        await configure(host, fleetConf(host, cluster.host("h4").address));
        await host.mustRun(["systemctl", "enable", "--now", "flt.service"], { timeoutMs: 30_000 });
      }
      await allMachines(daemonsOf(cluster), 3);
      const [host] = daemonsOf(cluster) as [Host];
      const listeners = await host.mustRun(["ss", "-Hltn"]);
      expect(listeners).toBe("");
      expect((await host.run(["ls", "/var/lib/flt"])).stdout).toBe("identity.json\n");
      expect(await etcd.ctl("get", "--prefix", "--keys-only", PREFIX)).toContain(
        `${PREFIX}machine/${host.machineId}\n`,
      );
      expect(await etcd.ctl("get", "--keys-only", "--from-key", "")).not.toMatch(/^(?!\/_coreos.com\/fleet\/|$)/m);
    },
  );

  suite.case("start, list, status, stop, destroy", async (cluster) => {
    const [host, other] = daemonsOf(cluster) as [Host, Host];
    await startSleepers(host, UNITS);
    await waitActive(other, UNITS);
    const spread = Object.values(await whereRunning(cluster, "kept*")).map(([name]) => name);
    expect(new Set(spread).size).toBe(3);
    expect(await other.mustFlt("list-units", "--no-legend")).toMatch(/^kept1\.service\t.*\tactive\trunning$/m);
    await startSleepers(host, ["once.service"]);
    expect((await host.flt("stop", "once.service")).stderr).toContain("Successfully stopped units [once.service]");
    expect(await host.mustFlt("destroy", "once.service")).toBe("Destroyed once.service\n");
    expect(await etcd.ctl("get", "--prefix", "--keys-only", `${PREFIX}job/once`)).toBe("");
  });

  suite.case("status of a unit elsewhere goes by SSH: there is no peer port to ask", async (cluster) => {
    const [host] = daemonsOf(cluster) as [Host];
    const places = await whereRunning(cluster, "kept*");
    const here = UNITS.find((unit) => places[unit]?.[0] === host.name) ?? "";
    const elsewhere = UNITS.find((unit) => places[unit]?.[0] !== host.name) ?? "";
    expect((await host.flt("status", here)).stdout).toContain("Active: active (running)");
    const answer = await host.api(`/flt/v1/units/${elsewhere}/status`);
    expect([answer.status, await answer.text()]).toEqual([501, expect.stringContaining("has no peer port")]);
    // Nobody listens on port 22 of these hosts: that it was tried shows the way taken.
    expect((await host.flt("--ssh-username=root", "status", elsewhere)).stderr).toContain(
      "port 22: Connection refused",
    );
  });

  suite.case("restarted daemons touch no unit, and are the machines that they were", async (cluster) => {
    const hosts = daemonsOf(cluster);
    const before = await workloadsOf(hosts);
    for (const host of hosts) await host.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 30_000 });
    await allMachines(hosts, 3);
    await waitActive(hosts[0] as Host, UNITS);
    expect(await workloadsOf(hosts)).toEqual(before);
  });

  suite.case("a daemon that leads resigns: another engine is there at once", async (cluster) => {
    const hosts = daemonsOf(cluster);
    const leader = await leaderAmong(cluster, hosts);
    const [witness] = hosts.filter((host) => host !== leader) as [Host];
    const before = await workloadsOf(hosts);
    await leader.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 30_000 });
    const begin = performance.now();
    await startSleepers(witness, ["after-resignation.service"]);
    expect(performance.now() - begin).toBeLessThan(2_000);
    expect(await workloadsOf(hosts)).toEqual(before);
  });

  suite.case("a daemon that leads is killed: an engine is there again soon, and no unit notices", async (cluster) => {
    const hosts = daemonsOf(cluster);
    const leader = await leaderAmong(cluster, hosts);
    const [witness] = hosts.filter((host) => host !== leader) as [Host];
    const before = await workloadsOf(hosts);
    const held = await etcd.ctl("get", "--write-out=fields", `${PREFIX}leader`);
    await leader.killDaemon();
    expect(await timeWrite(witness, "after-kill.service", 2_000)).toBeLessThan(1_000);
    await eventually("another term", TTL_MS + AFTER_LEASE_MS, async () => {
      const now = await etcd.ctl("get", "--write-out=fields", `${PREFIX}leader`);
      return now.includes('"CreateRevision"') && createRevision(now) !== createRevision(held);
    });
    await startSleepers(witness, ["after-kill-2.service"]);
    await allMachines(hosts, 3);
    expect(await workloadsOf(hosts)).toEqual(before);
  });

  suite.case("a host loses its power: its units are elsewhere soon after its lease", async (cluster) => {
    const hosts = daemonsOf(cluster);
    const leader = await leaderAmong(cluster, hosts);
    for (const victim of [hosts.find((host) => host !== leader) as Host, leader]) {
      const [witness] = hosts.filter((host) => host !== victim && host.isOn) as [Host];
      expect((await runningOn(victim, "kept*")).length).toBeGreaterThan(0);
      const begin = performance.now();
      await victim.powerOff();
      const patienceMs = TTL_MS + AFTER_LEASE_MS + 1_500;
      await waitActive(witness, UNITS, patienceMs, (machine) => machine !== victim.machineId);
      console.error(`units of ${victim.name} active elsewhere after ${Math.round(performance.now() - begin)} ms`);
      const places = await whereRunning(cluster, "kept*");
      await victim.powerOn();
      await cluster.ready(victim);
      await allMachines(daemonsOf(cluster), 3);
      await sleep(1_500);
      expect(await runningOn(victim, "kept*")).toEqual([]);
      expect(await whereRunning(cluster, "kept*")).toEqual(places);
      // It gets units again, for the next round.
      const [some] = UNITS.filter((unit) => places[unit]?.[0] === witness.name) as [string];
      await witness.mustFlt("unload", some);
      await witness.mustFlt("start", some);
      await waitActive(witness, UNITS);
    }
  });

  suite.case(
    "etcd stopped for 20 s: no unit is touched, writes are refused with the reason, then all agree",
    async (cluster) => {
      const hosts = daemonsOf(cluster);
      const before = await workloadsOf(hosts);
      await etcd.stop();
      const refusal = await eventually("a refusal", 10_000, async () => {
        const body = {
          desiredState: "launched",
          options: [{ section: "Service", name: "ExecStart", value: "/bin/true" }],
        };
        const answer = await (hosts[0] as Host).api("/fleet/v1/units/refused.service", { method: "PUT", body });
        return answer.status === 503 ? await answer.text() : undefined;
      });
      expect(refusal).toContain("The cluster cannot answer now");
      const told = await (hosts[0] as Host).flt("list-machines");
      expect([told.code, told.stderr]).toEqual([1, expect.stringMatching(/cannot answer now/)]);
      await steadily("the units without etcd", 20_000, () => workloadsOf(hosts));
      await etcd.start();
      await allMachines(hosts, 3);
      await startSleepers(hosts[1] as Host, ["after-etcd.service"]);
      await waitActive(hosts[2] as Host, [...UNITS, "after-etcd.service"]);
      await steadily("the units with etcd again", 6_000, () => workloadsOf(hosts));
      expect(await workloadsOf(hosts)).toEqual(before);
      for (const host of hosts) {
        const lines = (await host.journal()).split("\n");
        expect(lines.filter((line) => line.includes("Lost the watch on the registry")).length).toBeLessThan(6);
      }
    },
    120_000,
  );

  suite.case(
    "etcd paused for 10 s: the same, although no connection breaks",
    async (cluster) => {
      const hosts = daemonsOf(cluster);
      const before = await workloadsOf(hosts);
      await etcd.pause();
      await steadily("the units while etcd hangs", 10_000, () => workloadsOf(hosts));
      await etcd.resume();
      await allMachines(hosts, 3);
      await startSleepers(hosts[1] as Host, ["after-pause.service"]);
      await steadily("the units with etcd again", 6_000, () => workloadsOf(hosts));
      expect(await workloadsOf(hosts)).toEqual(before);
    },
    120_000,
  );

  suite.case(
    "etcd out of everybody's reach for 15 s: every lease ends, and no unit is touched",
    async (cluster) => {
      const hosts = daemonsOf(cluster);
      const before = await workloadsOf(hosts);
      await cluster.host("h4").cut();
      await steadily("the units while etcd is out of reach", 15_000, () => workloadsOf(hosts));
      expect(await etcd.ctl("get", "--prefix", "--keys-only", `${PREFIX}machine/`)).toBe("");
      await cluster.host("h4").heal();
      await allMachines(hosts, 3);
      await startSleepers(hosts[1] as Host, ["after-cut.service"]);
      await steadily("the units with etcd again", 6_000, () => workloadsOf(hosts));
      expect(await workloadsOf(hosts)).toEqual(before);
    },
    120_000,
  );

  suite.case(
    "a machine cut off for longer than its lease: its units are given away, and it stops them when it is back",
    async (cluster) => {
      const hosts = daemonsOf(cluster);
      const [witness, victim] = hosts as [Host, Host];
      const held = await runningOn(victim, "kept*");
      expect(held.length).toBeGreaterThan(0);
      await victim.cut();
      await waitActive(witness, UNITS, 15_000, (machine) => machine !== victim.machineId);
      expect(await runningOn(victim, "kept*")).toEqual(held);
      await victim.heal();
      await eventually("each unit to run once", 15_000, async () => {
        const places = Object.values(await whereRunning(cluster, "kept*"));
        return places.length === UNITS.length && places.every((place) => place.length === 1);
      });
      await allMachines(hosts, 3);
    },
  );

  suite.case(
    "systemctl stop: its units are handed over at once, it leaves, and the service ended well",
    async (cluster) => {
      const hosts = daemonsOf(cluster);
      const leader = await leaderAmong(cluster, hosts);
      const [witness] = hosts.filter((host) => host !== leader) as [Host];
      await leader.mustRun(["systemctl", "stop", "flt.service"], { timeoutMs: 60_000 });
      await waitActive(witness, UNITS, 2_000, (machine) => machine !== leader.machineId);
      expect(await leader.property("flt.service", "Result")).toBe("success");
      expect((await machinesOf(witness)).length).toBe(2);
      await leader.mustRun(["systemctl", "start", "flt.service"], { timeoutMs: 30_000 });
      await allMachines(hosts, 3);
    },
  );

  suite.case(
    "with listen_peer: status without SSH, and a daemon that is gone is told from a dead host",
    async (cluster) => {
      const hosts = daemonsOf(cluster);
      for (const host of hosts) {
        await configure(host, fleetConf(host, cluster.host("h4").address, `listen_peer=${host.address}:7001\n`));
        await host.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 30_000 });
      }
      await allMachines(hosts, 3);
      const places = await whereRunning(cluster, "kept*");
      const [unit = "", [holder = ""] = []] =
        Object.entries(places).find(([, [name]]) => name !== hosts[0]?.name) ?? [];
      expect((await (hosts[0] as Host).flt("status", unit)).stdout).toContain("Active: active (running)");
      const before = await workloadsOf(hosts);
      const quiet = cluster.host(holder);
      await quiet.mustRun(["systemctl", "kill", "--signal=SIGSTOP", "--kill-who=main", "flt.service"]);
      const [witness] = hosts.filter((host) => host !== quiet) as [Host];
      await eventually("the machine to be missing", 12_000, async () => (await machinesOf(witness)).length === 2);
      await steadily("the units of a host whose kernel answers", 3_000, () => workloadsOf(hosts));
      await quiet.resumeDaemon();
      await allMachines(hosts, 3);
      expect(await workloadsOf(hosts)).toEqual(before);
    },
  );

  suite.case(
    "an etcd that has lost its data stops no unit: its orders are not taken; with its data all is as before",
    async (cluster) => {
      const hosts = daemonsOf(cluster);
      const [host] = hosts as [Host];
      const before = await workloadsOf(hosts);
      await etcd.stop();
      await etcd.setDataAside();
      await etcd.start();
      await eventually("the empty registry to be refused", 15_000, async () => {
        const journals = await Promise.all(hosts.map((each) => each.journal()));
        return journals.every((journal) => journal.includes("Cannot take orders from this store"));
      });
      await steadily("the units on an empty etcd", 6_000, () => workloadsOf(hosts));
      expect(await machinesOf(host)).toEqual([]);
      await host.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 30_000 });
      await steadily("the units after a restart", 3_000, () => workloadsOf(hosts));
      await etcd.stop();
      await etcd.bringDataBack();
      await etcd.start();
      await allMachines(hosts, 3);
      await waitActive(host, UNITS);
      expect(await workloadsOf(hosts)).toEqual(before);
    },
    120_000,
  );

  suite.case("a wrong address: the client and the log say what is wrong, and nothing else happens", async (cluster) => {
    const host = cluster.host("h4");
    await configure(host, `etcd_servers=http://${host.address}:2378\nlisten_api=/run/flt.sock\n`);
    await host.mustRun(["systemctl", "start", "flt.service"], { timeoutMs: 30_000 });
    const told = await host.flt("list-machines");
    expect([told.code, told.stderr]).toEqual([1, expect.stringContaining(`http://${host.address}:2378`)]);
    const answer = await host.api("/fleet/v1/machines");
    expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining("etcd_servers")]);
    expect((await host.journal()).match(/Cannot use any etcd server/g)).toHaveLength(1);
    await host.mustRun(["systemctl", "stop", "flt.service"], { timeoutMs: 30_000 });
    expect(await host.property("flt.service", "Result")).toBe("success");
  });

  suite.case("what cannot be right is one line at the start", async (cluster) => {
    const host = cluster.host("h4");
    const servers = `--etcd-servers=https://${host.address}:2379`;
    await host.write("/run/nonsense.pem", "hunter2\n");
    const cases: readonly (readonly [string[], RegExp])[] = [
      [[servers, "--initial-cluster=10.77.0.14:2380"], /etcd_servers .* together with initial_cluster/],
      [[servers, "--etcd-keyfile=/run/nonsense.pem"], /etcd_keyfile .* without etcd_certfile/],
      [[servers, "--etcd-cafile=/run/nowhere.pem"], /etcd_cafile "\/run\/nowhere.pem" failed: no such file/],
      [
        [servers, "--etcd-cafile=/run/nonsense.pem"],
        /etcd_cafile "\/run\/nonsense.pem" failed: it holds no certificate/,
      ],
      [[servers, "--etcd-password=hunter2"], /etcd_password .* without etcd_username/],
    ];
    for (const [flags, words] of cases) {
      const refused = await host.run(["flt", "daemon", "--config=/dev/null", "--data-dir=/run/other", ...flags]);
      expect([refused.code, refused.stderr.trim().split("\n").at(-1)]).toEqual([1, expect.stringMatching(words)]);
      expect(refused.stderr).not.toContain("hunter2");
    }
  });
});

function createRevision(fields: string): string | undefined {
  return /"CreateRevision" : (\d+)/.exec(fields)?.[1];
}
