/**
 * Units that the host itself has something against: masked, missing and broken files, names that are the host's own.
 *
 * Idea. Each case does to a running host what an operator or another program may do to it. A refusal must reach whoever runs
 * `flt start`, the host's own units and files must be as they were, and within a second list-units says what systemctl says.
 *
 * @module
 */
import { expect } from "bun:test";
import { untilAgreed } from "./lib/agreement.ts";
import type { Cluster } from "./lib/cluster.ts";
import { names, sleeper, startSleepers, unitsOf, waitActive, workloads, writeUnits } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import type { Outcome } from "./lib/shell.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually } from "./lib/wait.ts";

const only = ({ hosts: [host] }: Cluster): Host => host as Host;

/** `flt start` of this unit file, which is expected to fail or to succeed. */
async function start(host: Host, name: string, text: string): Promise<Outcome> {
  const [path = ""] = await writeUnits(host, { [name]: text });
  return await host.run(["flt", "start", path], { timeoutMs: 30_000 });
}

/** Ends a case: no unit of flt's is left, anywhere, and systemd has none of them. */
async function destroyAll(host: Host): Promise<void> {
  const all = (await unitsOf(host)).map(({ name }) => name);
  if (all.length > 0) await host.mustFlt("destroy", ...all);
  await eventually("an empty units directory", 10_000, async () => {
    const left = await host.mustRun(["ls", "/run/flt/units", "/run/flt/units/.launched", "/run/flt/units/.tmp"]);
    if (left.split("\n").every((line) => line === "" || line.endsWith(":"))) return true;
    throw new Error(left);
  });
}

/** Everything below these folders, with contents: what must not change. */
function fingerprint(host: Host, ...paths: string[]): Promise<string> {
  return host.mustRun([
    "sh",
    "-c",
    'find "$@" -exec ls -ldn --time-style=full-iso {} + ; find "$@" -type f -exec sha1sum {} +',
    "sh",
    ...paths,
  ]);
}

hostSuite("units that the host has something against", { hosts: 1 }, (suite) => {
  suite.case("masked while it runs: it runs on, flt says masked; unmasked, all is as before", async (cluster) => {
    const host = only(cluster);
    await startSleepers(host, ["masked.service"]);
    const before = await workloads(host, "masked.service");
    await host.mustRun(["systemctl", "mask", "masked.service"]);
    await untilAgreed(host);
    expect(await host.mustFlt("list-units", "--no-legend", "--fields=load,active")).toMatch(/^masked\s+active\n$/);
    await host.mustFlt("stop", "masked.service");
    await untilAgreed(host);
    const again = await host.flt("start", "masked.service");
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("is masked")]);
    expect((await host.flt("status", "masked.service")).stderr).toContain("is masked");
    await untilAgreed(host);
    await host.mustRun(["systemctl", "unmask", "masked.service"]);
    await untilAgreed(host);
    await host.mustFlt("stop", "masked.service");
    await host.mustFlt("start", "masked.service");
    await untilAgreed(host);
    expect(before).toContain("Id=masked.service");
    await destroyAll(host);
  });

  suite.case("masked before it is started: refused with that word; it starts once it is unmasked", async (cluster) => {
    const host = only(cluster);
    await host.mustRun(["systemctl", "mask", "barred.service"]);
    const { code, stderr } = await start(host, "barred.service", sleeper("barred"));
    expect([code, stderr]).toEqual([1, expect.stringMatching(/is masked.*systemctl unmask barred\.service/)]);
    expect((await host.flt("status", "barred.service")).stderr).toMatch(/is masked/);
    expect(await host.mustRun(["readlink", "/etc/systemd/system/barred.service"])).toBe("/dev/null\n");
    await host.mustRun(["systemctl", "unmask", "barred.service"]);
    await waitActive(host, ["barred.service"], 3_000);
    await untilAgreed(host);
    await destroyAll(host);
  });

  suite.case("its file is deleted: it is back at once, the process never stopped", async (cluster) => {
    const host = only(cluster);
    await startSleepers(host, ["gone1.service", "gone2.service"]);
    await host.mustFlt("stop", "gone2.service");
    const before = await workloads(host, "gone*");
    await host.mustRun(["rm", "/run/flt/units/gone1.service", "/run/flt/units/gone2.service"]);
    await untilAgreed(host);
    await eventually("the files", 1_000, async () => {
      return (await host.mustRun(["ls", "/run/flt/units"])) === "gone1.service\ngone2.service\n";
    });
    await host.mustRun(["systemctl", "daemon-reload"]);
    await untilAgreed(host);
    expect(await host.property("gone1.service", "LoadState")).toBe("loaded");
    expect(await workloads(host, "gone*")).toBe(before);
    for (const round of [1, 2]) {
      // Not rm: it would find files in a folder that it has just emptied.
      await host.mustRun(["mv", "/run/flt/units", `/run/away-${round}`]);
      await eventually(`the files, round ${round}`, 2_000, async () => {
        return (await host.mustRun(["ls", "/run/flt/units"])) === "gone1.service\ngone2.service\n";
      });
    }
    await untilAgreed(host);
    expect(await workloads(host, "gone*")).toBe(before);
    await host.mustFlt("start", "gone2.service");
    await destroyAll(host);
    expect(await host.property("gone1.service", "ActiveState")).toBe("inactive");
  });

  suite.case("its file is deleted while no daemon looks: it is adopted, or stopped, all the same", async (cluster) => {
    const host = only(cluster);
    await startSleepers(host, names("away", 3));
    await host.mustFlt("stop", "away3.service");
    const before = await workloads(host, "away*");
    await host.pauseDaemon();
    await host.mustRun(["sh", "-c", "rm -r /run/flt/units/* /run/flt/units/.launched/*"]);
    await host.mustRun(["systemctl", "daemon-reload"]);
    await host.killDaemon();
    await cluster.ready(host);
    await waitActive(host, ["away1.service", "away2.service"]);
    await untilAgreed(host);
    expect(await workloads(host, "away*")).toBe(before);
    await destroyAll(host);
    for (const name of names("away", 3)) expect(await host.property(name, "ActiveState")).toBe("inactive");
  });

  suite.case(
    "its link is taken away (systemctl disable): it is linked again, the process never stopped",
    async (cluster) => {
      const host = only(cluster);
      await startSleepers(host, ["linked.service"]);
      const before = await workloads(host, "linked*");
      await host.mustRun(["systemctl", "disable", "--runtime", "linked.service"]);
      await eventually("the link", 2_000, async () => {
        return (await host.run(["test", "-e", "/run/systemd/system/linked.service"])).code === 0;
      });
      await untilAgreed(host);
      expect(await workloads(host, "linked*")).toBe(before);
      await destroyAll(host);
    },
  );

  suite.case("a bad setting, no such executable, no such user: each is told by start and status", async (cluster) => {
    const host = only(cluster);
    const broken: readonly (readonly [string, string, RegExp])[] = [
      ["setting.service", "[Service]\nExecStart=\n", /bad unit file setting|lacks ExecStart|failed/],
      ["relative.service", "[Service]\nExecStart=no/such/path\n", /bad unit file setting/],
      ["nothing.service", "[Service]\nType=exec\nExecStart=/no/such/file\n", /exit-code|failed/],
      ["nobody.service", "[Service]\nType=exec\nUser=no-such-user\nExecStart=/bin/sleep 9\n", /failed/],
      ["needs.service", "[Unit]\nRequires=no-such-unit.service\n[Service]\nExecStart=/bin/sleep 9\n", /not found/],
    ];
    for (const [name, text, words] of broken) {
      const { code, stderr } = await start(host, name, text);
      expect([name, code, stderr]).toEqual([name, 1, expect.stringMatching(words)]);
      await untilAgreed(host);
      const status = await host.flt("status", name);
      expect([name, status.code]).toEqual([name, 3]);
    }
    await destroyAll(host);
  });

  suite.case(
    "an [Install] section that cannot be enabled: refused with systemd's words, nothing is left",
    async (cluster) => {
      const host = only(cluster);
      const text = `${sleeper("wrong")}\n[Install]\nWantedBy=multi-user.target\nWantedBy=/not/a/unit\n`;
      const { code, stderr } = await start(host, "wrong.service", text);
      expect([code, stderr]).toEqual([1, expect.stringContaining("systemd refuses")]);
      expect((await host.flt("status", "wrong.service")).stderr).toContain("systemd refuses");
      expect((await host.run(["find", "/run/systemd/system", "/run/flt/units", "-name", "wrong*"])).stdout).toBe("");
      await untilAgreed(host);
      await destroyAll(host);
    },
  );

  const OWN: Readonly<Record<string, string>> = {
    "dbus.service": "a service of the distribution's",
    "own.service": "a service in /etc/systemd/system",
    "sshd-alias.service": "an alias of one",
    "own@7.service": "an instance of a template of the host's",
    "transient.service": "a transient unit",
    "tmp.mount": "a mount that the host has",
    "system.slice": "a slice that systemd made itself",
  };
  suite.case("a name of the host's own: refused with the reason, the host's unit is not touched", async (cluster) => {
    const host = only(cluster);
    const etc = "/etc/systemd/system";
    await host.write(`${etc}/own.service`, "[Service]\nExecStart=/bin/sleep 1001\n");
    await host.write(`${etc}/own@.service`, "[Service]\nExecStart=/bin/sleep 1002\n");
    await host.mustRun(["ln", "-s", `${etc}/own.service`, `${etc}/sshd-alias.service`]);
    await host.mustRun(["systemctl", "daemon-reload"]);
    await host.mustRun(["systemctl", "start", "own.service", "own@8.service"]);
    await host.mustRun(["systemd-run", "--unit=transient", "/bin/sleep", "1003"]);
    const before = [await fingerprint(host, etc, "/run/systemd/system"), await workloads(host, "own* dbus*")];
    for (const [name, what] of Object.entries(OWN)) {
      const pid = name.endsWith(".service") ? await host.property(name, "MainPID") : "";
      const { code, stderr } = await start(host, name, sleeper("mine"));
      expect([what, code, stderr]).toEqual([what, 1, expect.stringContaining("this machine's own systemd")]);
      expect((await host.flt("status", name)).stderr).toContain("this machine's own systemd");
      if (pid !== "") expect([name, await host.property(name, "MainPID")]).toEqual([name, pid]);
    }
    await destroyAll(host);
    expect([await fingerprint(host, etc, "/run/systemd/system"), await workloads(host, "own* dbus*")]).toEqual(before);
  });

  suite.case(
    "a unit that fleet has left linked: refused with what to do, and taken up once that is done",
    async (cluster) => {
      const host = only(cluster);
      await host.mustRun(["mkdir", "-p", "/run/fleet/units"]);
      await host.write("/run/fleet/units/left.service", sleeper("fleets"));
      await host.mustRun(["systemctl", "link", "--runtime", "/run/fleet/units/left.service"]);
      await host.mustRun(["systemctl", "start", "left.service"]);
      const { code, stderr } = await start(host, "left.service", sleeper("mine"));
      expect([code, stderr]).toEqual([
        1,
        expect.stringContaining('fleet has left it on this machine, linked to "/run/fleet/units/left.service"'),
      ]);
      const [, command = ""] = /`(systemctl [^`]+)`/.exec(stderr) ?? [];
      await host.mustRun(command.split(" "));
      await waitActive(host, ["left.service"]);
      expect(await host.property("left.service", "FragmentPath")).toMatch(
        /^\/run\/(flt\/units|systemd\/system)\/left\.service$/,
      );
      await untilAgreed(host);
      await destroyAll(host);
    },
  );

  suite.case("an alias in [Install] that is the host's, or another unit's, name: refused", async (cluster) => {
    const host = only(cluster);
    await startSleepers(host, ["first.service"]);
    const before = await fingerprint(host, "/etc/systemd/system", "/run/systemd/system");
    for (const alias of ["dbus.service", "%p-x.service first.service"]) {
      const text = `${sleeper("alias")}\n[Install]\nAlias=${alias}\n`;
      const { code, stderr } = await start(host, "thief.service", text);
      expect([alias, code, stderr]).toEqual([alias, 1, expect.stringMatching(/Alias=/)]);
      expect(await fingerprint(host, "/etc/systemd/system", "/run/systemd/system")).toBe(before);
      await host.mustFlt("destroy", "thief.service");
    }
    expect(await host.property("dbus.service", "FragmentPath")).toBe("/lib/systemd/system/dbus.service");
    expect(await host.property("first.service", "FragmentPath")).toMatch(/\/first\.service$/);
    await destroyAll(host);
  });

  suite.case("a drop-in that the host has for it is in force, and stays", async (cluster) => {
    const host = only(cluster);
    await host.mustRun(["mkdir", "-p", "/etc/systemd/system/dropped.service.d"]);
    await host.write("/etc/systemd/system/dropped.service.d/local.conf", "[Service]\nEnvironment=LOCAL=1\n");
    await host.mustRun(["systemctl", "daemon-reload"]);
    const before = await fingerprint(host, "/etc/systemd/system");
    expect((await start(host, "dropped.service", sleeper("dropped"))).code).toBe(0);
    expect(await host.property("dropped.service", "Environment")).toBe("LOCAL=1");
    await untilAgreed(host);
    await destroyAll(host);
    expect(await fingerprint(host, "/etc/systemd/system")).toBe(before);
  });
});
