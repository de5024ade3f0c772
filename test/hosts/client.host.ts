/**
 * The command line against a real systemd: what it says and how it ends when units fail, finish, wait and are stopped.
 *
 * @module
 */
import { expect } from "bun:test";
import { sleeper, writeUnits } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually } from "./lib/wait.ts";

const service = (text: string): string => `[Service]\n${text}\n`;
const UNITS = {
  "ok.service": sleeper("ok"),
  "broken.service": service("ExecStart=/bin/false\nType=oneshot"),
  "crashing.service": service("Type=notify\nExecStart=/bin/sh -c 'sleep 0.2; exit 7'"),
  "dying.service": `[Unit]\nStartLimitIntervalSec=0\n${service("ExecStart=/bin/false")}`,
  "once.service": service("Type=oneshot\nExecStart=/bin/sh -c 'sleep 0.5; echo done'"),
  "slow-stop.service": service("ExecStart=/bin/sh -c 'trap \"sleep 0.5; exit 0\" TERM; while :; do sleep 0.1; done'"),
  "choosy.service": sleeper("choosy", "[X-Flt]\nMachineMetadata=disk=ssd\n"),
  "bad.service": service("ExecStart=relative/path"),
  "everywhere.service": sleeper("everywhere", "[X-Flt]\nGlobal=true\n"),
  "talking.service": service("ExecStart=/bin/sh -c 'i=0; while sleep 0.2; do i=$((i+1)); echo line $i; done'"),
};

const legend = (host: Host): string => `${host.machineId.slice(0, 8)}.../${host.address}`;

hostSuite("the client", { hosts: 1 }, (suite) => {
  suite.case("a start that fails says so with the unit's result, exit 1", async (cluster) => {
    const host = cluster.host("h1");
    await writeUnits(host, UNITS);
    for (const [unit, words] of [
      ["broken", "exit-code"],
      ["crashing", "exit-code"],
      ["bad", "bad unit file setting"],
    ]) {
      const { code, stdout, stderr } = await host.flt("start", `/tmp/${unit}.service`);
      expect(stdout).toBe(`Unit ${unit}.service inactive\n`);
      expect(stderr).toStartWith(`Unit ${unit}.service failed on ${legend(host)}: `);
      expect(stderr).toContain(words ?? "");
      expect(code).toBe(1);
      expect((await host.flt("start", `${unit}.service`)).code).toBe(1);
      expect((await host.flt("status", unit ?? "")).code).toBe(3);
    }
  });

  suite.case("a service that dies at once is no started one, and the reason is told", async (cluster) => {
    const host = cluster.host("h1");
    const words =
      `Unit dying.service failed on ${legend(host)}: systemd says failed/failed (Result: exit-code). ` +
      "Look at `flt journal dying.service`\n";
    let noticed = 0;
    for (let round = 0; round < 5; round++) {
      const command = round === 0 ? ["start", "/tmp/dying.service"] : ["restart", "dying"];
      const { code, stdout, stderr } = await host.flt(...command);
      // On a host that is busy it may live to be seen: systemd itself says that it was started.
      if (code === 0) continue;
      noticed++;
      expect([code, stdout, stderr]).toEqual([1, expect.not.stringContaining("launched"), words]);
    }
    expect(noticed).toBeGreaterThanOrEqual(3);
    expect((await host.flt("destroy", "dying")).code).toBe(0);
  });

  suite.case("a oneshot is started when it is done", async (cluster) => {
    const host = cluster.host("h1");
    const { code, stdout } = await host.flt("start", "/tmp/once.service");
    expect([code, stdout]).toEqual([0, `Unit once.service inactive\nUnit once.service launched on ${legend(host)}\n`]);
    expect(await host.property("once.service", "Result")).toBe("success");
    expect(await host.property("once.service", "ActiveState")).toBe("inactive");
    expect(await host.flt("start", "once")).toMatchObject({ code: 0, stdout: "" });
  });

  suite.case("a failed unit can be stopped, restarted, destroyed", async (cluster) => {
    const host = cluster.host("h1");
    expect((await host.flt("restart", "broken")).code).toBe(1);
    expect(await host.flt("stop", "broken")).toMatchObject({ code: 0 });
    expect(await host.flt("start", "broken")).toMatchObject({ code: 1 });
    expect((await host.flt("destroy", "broken", "crashing", "bad", "once")).code).toBe(0);
  });

  suite.case("a load that fails, then a start that fails the same way: each is told at once", async (cluster) => {
    const host = cluster.host("h1");
    // The host has a unit of this name itself.
    const name = "systemd-journald.service";
    await writeUnits(host, { [name]: sleeper("an impostor") });
    const said: string[] = [];
    for (const words of [
      ["load", `/tmp/${name}`],
      ["start", name],
      ["load", name],
      ["start", name],
    ]) {
      const begin = performance.now();
      const { code, stderr } = await host.flt(...words);
      expect([words, code]).toEqual([words, 1]);
      expect(performance.now() - begin).toBeLessThan(3_000);
      said.push(stderr);
    }
    expect(said[0]).toContain("own systemd has a unit of this name");
    expect(new Set(said).size).toBe(1);
    expect((await host.flt("destroy", name)).code).toBe(0);
    expect(await host.property(name, "ActiveState")).toBe("active");
  });

  suite.case("stop returns when systemd has stopped it, restart gives it another process", async (cluster) => {
    const host = cluster.host("h1");
    expect((await host.flt("start", "/tmp/slow-stop.service")).code).toBe(0);
    const before = await host.mainPid("slow-stop.service");
    expect((await host.flt("restart", "slow-stop")).code).toBe(0);
    expect(await host.mainPid("slow-stop.service")).not.toBe(before);
    expect((await host.flt("stop", "slow-stop")).code).toBe(0);
    expect(await host.property("slow-stop.service", "ActiveState")).toBe("inactive");
    expect((await host.flt("unload", "slow-stop")).stdout).toBe("Unit slow-stop.service inactive\n");
    expect(await host.property("slow-stop.service", "LoadState")).toBe("not-found");
    expect((await host.flt("stop", "slow-stop")).code).toBe(1);
    expect((await host.flt("destroy", "slow-stop")).code).toBe(0);
  });

  suite.case("a unit that fits nowhere: why, and Ctrl-C", async (cluster) => {
    const host = cluster.host("h1");
    const { code, stderr } = await host.run([
      "timeout",
      "--preserve-status",
      "-s",
      "INT",
      "1",
      "flt",
      "start",
      "/tmp/choosy.service",
    ]);
    expect(stderr).toContain(`Unit choosy.service cannot be placed yet:\n  ${legend(host)}: `);
    expect(stderr).toContain("Stopped waiting for [choosy.service]");
    expect(code).toBe(130);
    const status = await host.flt("status", "choosy");
    expect(status.stdout).toContain("choosy.service is on no machine; desired state: launched\nIn its way:\n");
    expect(status.code).toBe(3);
    expect((await host.flt("stop", "choosy")).stdout).toBe("Unit choosy.service inactive\n");
    expect((await host.flt("destroy", "choosy")).code).toBe(0);
  });

  suite.case("globals are triggered, not waited for; status and journal show them", async (cluster) => {
    const host = cluster.host("h1");
    expect((await host.flt("start", "/tmp/everywhere.service")).stdout).toEndWith(
      "Triggered global unit everywhere.service start\n",
    );
    const before = await eventually("its process", 5_000, () => host.mainPid("everywhere.service"));
    expect((await host.flt("restart", "everywhere")).code).toBe(0);
    await eventually("another process", 5_000, async () => {
      const pid = await host.mainPid("everywhere.service");
      return pid !== 0 && pid !== before;
    });
    expect((await host.flt("list-unit-files", "--no-legend")).stdout).toMatch(
      /everywhere\.service\t\w{7}\tlaunched\t-\tglobal\n/,
    );
    expect((await host.flt("destroy", "everywhere")).code).toBe(0);
  });

  suite.case("a global unit that fits nowhere says why; an inactive one is not stopped into being", async (cluster) => {
    const host = cluster.host("h1");
    const name = "choosy-everywhere.service";
    const placement = "[X-Flt]\nGlobal=true\nMachineMetadata=disk=ssd\n";
    await writeUnits(host, { [name]: sleeper("choosy", placement) });
    expect((await host.flt("start", `/tmp/${name}`)).code).toBe(0);
    const words = `${legend(host)}: No metadata disk: the unit needs disk=ssd\n`;
    await eventually("the reason", 5_000, async () => {
      const { code, stdout } = await host.flt("status", name);
      return code === 3 && stdout.endsWith(`desired state: launched\nIn its way:\n  ${words}`);
    });
    expect((await host.flt("unload", name)).code).toBe(0);
    expect(await host.flt("stop", name)).toMatchObject({
      code: 1,
      stdout: "",
      stderr: `Unable to stop unit ${name} in state inactive\n`,
    });
    expect((await host.flt("list-unit-files", "--no-legend", "--fields=unit,dstate")).stdout).toContain(
      `${name}\tinactive\n`,
    );
    expect((await host.flt("destroy", name)).code).toBe(0);
  });

  suite.case("journal -f goes on with new lines until it is interrupted", async (cluster) => {
    const host = cluster.host("h1");
    expect((await host.flt("start", "/tmp/talking.service")).code).toBe(0);
    const { stdout } = await host.run([
      "timeout",
      "-s",
      "INT",
      "2",
      "flt",
      "journal",
      "-f",
      "--lines=1",
      "--output=cat",
      "talking",
    ]);
    expect(stdout.match(/^line \d+$/gm)?.length).toBeGreaterThan(4);
    await eventually("journalctl to end with its reader", 5_000, async () => {
      return (await host.run(["pgrep", "-x", "journalctl"])).code === 1;
    });
    const status = await host.flt("status", "talking.service");
    expect(status.stdout).toContain("Active: active (running)");
    expect(status.code).toBe(0);
    expect((await host.flt("destroy", "talking")).code).toBe(0);
  });

  suite.case("no daemon: one line, exit 1", async (cluster) => {
    const host = cluster.host("h1");
    await host.mustRun(["systemctl", "stop", "flt.service"]);
    const { code, stderr } = await host.flt("list-units");
    expect(code).toBe(1);
    expect(stderr).toStartWith(
      "Cannot reach flt at unix:///run/flt.sock: there is no such socket. Is `flt daemon` running",
    );
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });
});
