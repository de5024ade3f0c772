/**
 * Fleet's rules of placement on three real hosts. Every rule, both as a choice and as a refusal with its
 * reason; what moves a running unit, and that nothing else does. Each case ends with no trace of its units on any host.
 *
 *   h1 disk=ssd zone=a     h2 disk=ssd zone=b     h3 disk=hdd zone=b
 *
 * @module
 */
import { expect } from "bun:test";
import type { Cluster } from "./lib/cluster.ts";
import {
  leaderOf,
  machinesOf,
  runningOn,
  sleeper,
  unitsOf,
  waitActive,
  whereRunning,
  workloads,
  writeUnits,
} from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { noRecords, nothingLeft } from "./lib/leftovers.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually, sleep } from "./lib/wait.ts";

const configOf = {
  h1: { metadata: "disk=ssd,zone=a" },
  h2: { metadata: "disk=ssd,zone=b" },
  h3: { metadata: "disk=hdd,zone=b" },
};
const MOVED_MS = 10_000;
/** An engine acts within milliseconds: what has not moved by then does not move. */
const SETTLED_MS = 700;

type Units = Readonly<Record<string, string>>;

/** Writes units with these lines in their placement section, and starts them without waiting. */
async function launch(host: Host, units: Units, ...flags: string[]): Promise<void> {
  const files = Object.entries(units).map(([name, lines]) => [name, sleeper(name, `\n[X-Fleet]\n${lines}\n`)]);
  await host.mustFlt("start", "--no-block", ...flags, ...(await writeUnits(host, Object.fromEntries(files))));
}

/** Resolves when just these hosts run the unit, as their systemds say. */
async function onlyOn(cluster: Cluster, unit: string, ...hosts: string[]): Promise<void> {
  await eventually(`${unit} on ${hosts.join(" ") || "no host"}`, MOVED_MS, async () => {
    const places = (await whereRunning(cluster, unit))[unit] ?? [];
    if (places.join(" ") === hosts.join(" ")) return true;
    throw new Error(`it is on ${places.join(" ") || "no host"}`);
  });
}

/** What `flt status` says of a unit that is nowhere: the reason of each host, by its name. */
async function reasons(cluster: Cluster, unit: string): Promise<Record<string, string>> {
  const asked = cluster.hosts.find((host) => host.isOn) as Host;
  return await eventually(`reasons of ${unit}`, MOVED_MS, async () => {
    const { code, stdout } = await asked.flt("status", unit);
    const lines = [...stdout.matchAll(/^ {2}[0-9a-f]{8}\.\.\.\/(\S+): (.*)$/gm)];
    const found = lines.map(([, address, reason]) => {
      return [cluster.hosts.find((host) => host.address === address)?.name, reason];
    });
    if (code !== 3 || found.length === 0) throw new Error(`exit status ${code}: ${stdout}`);
    return Object.fromEntries(found) as Record<string, string>;
  });
}

async function patch(host: Host, ...operations: readonly object[]): Promise<void> {
  const response = await host.api("/fleet/v1/machines", { method: "PATCH", body: operations });
  expect([response.status, await response.text()]).toEqual([204, ""]);
}

/** Ends a case: destroys every unit, and waits until no host shows a trace of any. */
async function destroyAll(cluster: Cluster, host: Host): Promise<void> {
  const names = (await unitsOf(host)).map((unit) => unit.name);
  await host.mustFlt("destroy", ...names);
  await nothingLeft(cluster.hosts, names);
}

const short = (host: Host) => host.machineId.slice(0, 8);

hostSuite("placement on three hosts", { hosts: 3, config: { agent_ttl: "4s" }, configOf }, (suite) => {
  suite.case("MachineID: full, short, and of no machine", async (cluster) => {
    const [h1, h2, h3] = cluster.hosts as [Host, Host, Host];
    await leaderOf(cluster);
    await eventually("three machines", 10_000, async () => (await machinesOf(h1)).length === 3);
    await launch(h1, {
      "id-full.service": `MachineID=${h2.machineId}`,
      "id-short.service": `MachineID=${short(h3)}`,
      "id-old.service": `X-ConditionMachineID="${h1.machineId}"`,
      "id-boot.service": `X-ConditionMachineBootID=${h3.machineId}`,
      "id-none.service": "MachineID=99999999",
    });
    await onlyOn(cluster, "id-full.service", "h2");
    await onlyOn(cluster, "id-short.service", "h3");
    await onlyOn(cluster, "id-old.service", "h1");
    await onlyOn(cluster, "id-boot.service", "h3");
    const refusal = "The unit asks for machine 99999999";
    expect(await reasons(cluster, "id-none.service")).toEqual({ h1: refusal, h2: refusal, h3: refusal });
    await destroyAll(cluster, h1);
  });

  suite.case("MachineMetadata: one key any value, several keys all of them", async (cluster) => {
    const h1 = cluster.host("h1");
    await launch(h1, {
      "md-or.service": 'MachineMetadata="zone=a" "zone=c"',
      "md-and.service": 'MachineMetadata="disk=ssd" "zone=b"',
      "md-both.service": 'MachineMetadata=disk=hdd\nX-ConditionMachineMetadata="zone=a" "zone=b"',
      "md-none.service": "MachineMetadata=disk=hdd\nMachineMetadata=zone=a",
      "md-key.service": "MachineMetadata=rack=7",
    });
    await onlyOn(cluster, "md-or.service", "h1");
    await onlyOn(cluster, "md-and.service", "h2");
    await onlyOn(cluster, "md-both.service", "h3");
    expect(await reasons(cluster, "md-none.service")).toEqual({
      h1: "Has disk=ssd: the unit needs disk=hdd",
      h2: "Has disk=ssd: the unit needs disk=hdd",
      h3: "Has zone=b: the unit needs zone=a",
    });
    const noRack = "No metadata rack: the unit needs rack=7";
    expect(await reasons(cluster, "md-key.service")).toEqual({ h1: noRack, h2: noRack, h3: noRack });
    const start = await h1.run(["flt", "start", "--block-attempts=1", "md-key.service"]);
    expect(start.code).toBe(1);
  });

  suite.case(
    "metadata changed at run time: what waits fits, what no longer fits moves, the rest stays",
    async (cluster) => {
      const [h1, h2, h3] = cluster.hosts as [Host, Host, Host];
      await launch(h1, {
        "md-stays.service": "MachineMetadata=zone=b",
        "md-plain.service": "",
        "md-global.service": "Global=true\nMachineMetadata=rack=7",
      });
      await waitActive(h1, ["md-stays.service", "md-plain.service"]);
      const untouched = ["md-or.service", "md-both.service", "md-stays.service", "md-plain.service"];
      const processes = () =>
        Promise.all(untouched.map((unit) => Promise.all(cluster.hosts.map((h) => workloads(h, unit)))));
      const before = await processes();
      // From another host than the one it is about, as a plain string and as fleet read it.
      await patch(h3, { op: "add", path: `/${h2.machineId}/metadata/rack`, value: { value: "7" } });
      await onlyOn(cluster, "md-key.service", "h2");
      await onlyOn(cluster, "md-global.service", "h2");
      await patch(h1, { op: "replace", path: `/${h2.machineId}/metadata/disk`, value: "nvme" });
      expect(await reasons(cluster, "md-and.service")).toEqual({
        h1: "Has zone=a: the unit needs zone=b",
        h2: "Has disk=nvme: the unit needs disk=ssd",
        h3: "Has disk=hdd: the unit needs disk=ssd",
      });
      await onlyOn(cluster, "md-and.service");
      await patch(
        h2,
        { op: "remove", path: `/${h2.machineId}/metadata/rack` },
        { op: "add", path: `/${h3.machineId}/metadata/rack`, value: "7" },
      );
      await onlyOn(cluster, "md-key.service", "h3");
      await onlyOn(cluster, "md-global.service", "h3");
      await sleep(SETTLED_MS);
      expect(await processes()).toEqual(before);
      expect(await h1.mustFlt("list-machines", "--full", "--no-legend")).toMatch(
        /10\.77\.0\.13\s+disk=hdd,rack=7,zone=b\n/,
      );
      await patch(
        h1,
        { op: "replace", path: `/${h2.machineId}/metadata/disk`, value: "ssd" },
        { op: "remove", path: `/${h3.machineId}/metadata/rack` },
      );
      await onlyOn(cluster, "md-key.service");
      await onlyOn(cluster, "md-global.service");
      await destroyAll(cluster, h1);
    },
  );

  suite.case(
    "Conflicts: one-way, both ways round, several globs, never with itself, with a global",
    async (cluster) => {
      const h1 = cluster.host("h1");
      // The placed one keeps the newcomer off, although only the newcomer or only the placed one says so.
      await launch(h1, {
        "db.service": "MachineMetadata=zone=a",
        "loner.service": "MachineMetadata=zone=b\nMachineMetadata=disk=ssd\nX-Conflicts=c*.service",
      });
      await waitActive(h1, ["db.service", "loner.service"]);
      await launch(h1, {
        "app.service": "MachineMetadata=disk=ssd\nConflicts=x?.service d[ab].service\nConflicts=app*",
        "cache.service": "MachineMetadata=disk=ssd\nMachineMetadata=zone=b",
      });
      await onlyOn(cluster, "app.service", "h2");
      expect(await reasons(cluster, "cache.service")).toEqual({
        h1: "Has zone=a: the unit needs zone=b",
        h2: 'Holds "loner.service", which conflicts with "c*.service"',
        h3: "Has disk=hdd: the unit needs disk=ssd",
      });
      // One after the other: decided together, the shy one might have come first and kept the global one off.
      await launch(h1, { "everywhere.service": "Global=YES\nMachineMetadata=zone=b" });
      await onlyOn(cluster, "everywhere.service", "h2", "h3");
      await launch(h1, { "shy.service": "Conflicts=every*" });
      await onlyOn(cluster, "shy.service", "h1");
      await launch(h1, { "shy2.service": "Conflicts=every* shy.service" });
      const holds = (host: string, glob: string) => `Holds "${host}": the unit conflicts with "${glob}"`;
      expect(await reasons(cluster, "shy2.service")).toEqual({
        h1: holds("shy.service", "shy.service"),
        h2: holds("everywhere.service", "every*"),
        h3: holds("everywhere.service", "every*"),
      });
      await launch(h1, { "proud.service": "Global=on\nConflicts=db.service", "humble.service": "" });
      await onlyOn(cluster, "proud.service", "h2", "h3");
      // Who was in the way goes: who waited comes.
      await h1.mustFlt("destroy", "loner.service", "db.service", "shy.service");
      await onlyOn(cluster, "cache.service", "h2");
      await onlyOn(cluster, "proud.service", "h1", "h2", "h3");
      const subs = async () => {
        const table = await h1.mustFlt("list-units", "--no-legend", "--fields=unit,sub");
        return [...table.matchAll(/^proud\.service\s+(\S+)$/gm)].map(([, sub]) => sub).join(" ");
      };
      for (const [verb, sub, times] of [
        ["stop", "dead", 3],
        ["start", "running", 3],
        ["unload", "", 0],
      ] as const) {
        await h1.mustFlt(verb, "proud.service");
        const wanted = Array.from({ length: times }, () => sub).join(" ");
        await eventually(`${verb} of a global unit on all`, MOVED_MS, async () => (await subs()) === wanted);
      }
      await onlyOn(cluster, "shy2.service", "h1");
      await destroyAll(cluster, h1);
    },
  );

  suite.case(
    "Replaces: the other one moves away; fits nowhere else: waits with its reasons; circles stay",
    async (cluster) => {
      const h1 = cluster.host("h1");
      await launch(h1, { "old.service": "MachineMetadata=disk=ssd" });
      const [state] = await waitActive(h1, ["old.service"]);
      const first = cluster.hostOfMachine(state?.machineID ?? "");
      const second = cluster.others(first).find((host) => host.name !== "h3") as Host;
      await launch(h1, {
        "new.service": `Replaces=ol*.service\nMachineMetadata=zone=${first.name === "h1" ? "a" : "b"}\nMachineMetadata=disk=ssd`,
      });
      await onlyOn(cluster, "new.service", first.name);
      await onlyOn(cluster, "old.service", second.name);
      await launch(h1, {
        "newer.service": `Replaces=old.service\nMachineMetadata=zone=${second.name === "h1" ? "a" : "b"}\nMachineMetadata=disk=ssd`,
      });
      await onlyOn(cluster, "newer.service", second.name);
      expect(await reasons(cluster, "old.service")).toEqual({
        [first.name]: 'Holds "new.service", which replaces the unit',
        [second.name]: 'Holds "newer.service", which replaces the unit',
        h3: "Has disk=hdd: the unit needs disk=ssd",
      });
      await h1.mustFlt("destroy", "new.service");
      await onlyOn(cluster, "old.service", first.name);
      await launch(h1, {
        "ring1.service": "Replaces=ring2.service\nMachineMetadata=disk=hdd",
        "ring2.service": "Replaces=ring1.service\nMachineMetadata=disk=hdd",
      });
      await waitActive(h1, ["ring1.service", "ring2.service"]);
      const before = await workloads(cluster.host("h3"), "ring*");
      await sleep(SETTLED_MS);
      expect(await workloads(cluster.host("h3"), "ring*")).toBe(before);
      expect(await runningOn(cluster.host("h3"), "ring*")).toEqual(["ring1.service", "ring2.service"]);
      await destroyAll(cluster, h1);
    },
  );

  suite.case("a file replaced by one that no longer fits there moves the unit", async (cluster) => {
    const h1 = cluster.host("h1");
    await launch(h1, { "again.service": "MachineMetadata=zone=a" });
    await onlyOn(cluster, "again.service", "h1");
    await launch(h1, { "again.service": "MachineMetadata=disk=hdd" }, "--replace");
    await onlyOn(cluster, "again.service", "h3");
    await destroyAll(cluster, h1);
  });

  suite.case(
    "MachineOf follows its target, also from a host that loses its power; globals join one that comes",
    async (cluster) => {
      const leader = await leaderOf(cluster);
      const victim = cluster.others(leader)[0] as Host;
      const pairs = {
        "lead.service": "",
        "follow.service": "MachineOf=lead.service",
        "tail.service": "X-ConditionMachineOf=follow.service",
      };
      await launch(leader, { "tail.service": pairs["tail.service"] });
      const missing = 'The unit must be with "follow.service", which does not exist';
      expect(await reasons(cluster, "tail.service")).toEqual({ h1: missing, h2: missing, h3: missing });
      await launch(leader, {
        "lead.service": `MachineID=${victim.machineId}`,
        "follow.service": pairs["follow.service"],
      });
      for (const unit of Object.keys(pairs)) await onlyOn(cluster, unit, victim.name);
      // Back to one that may go anywhere, which is no reason to move.
      await launch(leader, { "lead.service": "" }, "--replace");
      await waitActive(leader, Object.keys(pairs));

      const begin = performance.now();
      await victim.powerOff();
      const states = await waitActive(leader, Object.keys(pairs), MOVED_MS, (machine) => machine !== victim.machineId);
      console.error(`three units that go together elsewhere after ${Math.round(performance.now() - begin)} ms`);
      expect(new Set(states.map((state) => state.machineID)).size).toBe(1);
      const home = cluster.hostOfMachine(states[0]?.machineID ?? "");
      await launch(leader, {
        "late.service": "Global=true",
        "late-hdd.service": `Global=1\nMachineMetadata=shelf=${victim.name}`,
      });
      await onlyOn(cluster, "late.service", ...cluster.others(victim).map((host) => host.name));
      // Accepted while the machine is away, and kept for it.
      await patch(leader, { op: "add", path: `/${victim.machineId}/metadata/shelf`, value: victim.name });

      await victim.powerOn();
      await cluster.ready(victim);
      await onlyOn(cluster, "late.service", "h1", "h2", "h3");
      await onlyOn(cluster, "late-hdd.service", victim.name);
      for (const unit of Object.keys(pairs)) await onlyOn(cluster, unit, home.name);
      await leader.mustFlt("unload", "lead.service");
      const nowhere = 'The unit must be with "follow.service", which is placed nowhere';
      expect(await reasons(cluster, "tail.service")).toEqual({ h1: nowhere, h2: nowhere, h3: nowhere });
      for (const unit of Object.keys(pairs)) await onlyOn(cluster, unit);
      await leader.mustFlt("start", "lead.service");
      await waitActive(leader, Object.keys(pairs));
      const places = await whereRunning(cluster, "*.service");
      expect(new Set(Object.keys(pairs).map((unit) => places[unit]?.join())).size).toBe(1);
      await destroyAll(cluster, leader);
      await noRecords(victim);
    },
  );
});
