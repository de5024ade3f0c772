/**
 * systemctl's manners, beside systemctl itself: what flt says of a unit from anywhere is what systemctl says on the unit's host, with
 * the same exit statuses; and what it does on a terminal.
 *
 * @module
 */
import { expect } from "bun:test";
import type { Cluster } from "./lib/cluster.ts";
import { leaderOf, sleeper, statesOf, waitActive, writeUnits } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { linesOf } from "./lib/lines.ts";
import { readmeBlock } from "./lib/readme.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually } from "./lib/wait.ts";

const UNITS = {
  "web@.service": sleeper("web"),
  "db.service": sleeper("db", "[X-Flt]\nConflicts=web@9.service\n"),
  "busy.service": "[Service]\nExecStart=/bin/sh -c 'while :; do :; done'\nCPUQuota=20%%\n".replace("%%", "%"),
  "once.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
  "broken.service": "[Service]\nType=oneshot\nExecStart=/bin/false\n",
  "everywhere.service": sleeper("everywhere", "[X-Flt]\nGlobal=true\n"),
  "stuck.service": sleeper("stuck", "[X-Flt]\nMachineMetadata=disk=tape\n"),
};
const PLACED = ["web@1.service", "web@2.service", "db.service", "busy.service", "once.service", "broken.service"];

/** Where a unit is. */
async function holderOf(cluster: Cluster, unit: string): Promise<Host> {
  const states = await statesOf(cluster.host("h1"));
  return cluster.hostOfMachine(states.find(({ name }) => name === unit)?.machineID ?? "");
}

/** A command that goes on until it is interrupted, which gives its exit status. */
async function inBackground(host: Host, line: string) {
  const pidFile = `/tmp/${line.replaceAll(/\W+/g, "-")}.pid`;
  const process = host.spawn(["sh", "-c", `echo $$ >${pidFile}; exec ${line}`]);
  const pid = await eventually(`the start of ${line}`, 5_000, async () => {
    const { stdout } = await host.run(["cat", pidFile]);
    return stdout.endsWith("\n") ? stdout.trim() : undefined;
  });
  const interrupt = async (): Promise<number> => {
    await host.mustRun(["kill", "-INT", pid]);
    return await process.exited;
  };
  return { process, interrupt };
}

/** A command on a terminal of its own, which is where its stdout and stderr meet. */
async function onTerminal(host: Host, line: string): Promise<{ text: string; code: number }> {
  const { stdout, code } = await host.run(["script", "-qec", line, "/dev/null"], { env: { TERM: "xterm" } });
  return { text: stdout.replaceAll("\r\n", "\n"), code };
}

hostSuite("systemctl's manners", { hosts: 2 }, (suite) => {
  suite.case("patterns: start by name, then everything by pattern, and nothing else", async (cluster) => {
    await leaderOf(cluster);
    const host = cluster.host("h1");
    await writeUnits(host, UNITS);
    const start = ["/tmp/web@1", "/tmp/web@2", "/tmp/db", "/tmp/busy", "/tmp/once", "/tmp/everywhere"];
    await host.mustFlt("start", ...start);
    expect((await host.flt("start", "/tmp/broken")).code).toBe(1);
    await waitActive(host, ["web@1.service", "web@2.service", "db.service"]);
    expect((await host.mustFlt("stop", "web@*")).trim().split("\n")).toHaveLength(2);
    expect(await host.flt("is-active", "web@*")).toMatchObject({ code: 3, stdout: "inactive\ninactive\n" });
    expect((await host.flt("is-active", "db")).code).toBe(0);
    await host.mustFlt("start", "web@?.service");
    await waitActive(host, ["web@1.service", "web@2.service", "db.service"]);
    // The shell finds no file, and hands the pattern over.
    const { code, stderr } = await host.run(["sh", "-c", "cd / && flt destroy nowhere/*"]);
    expect([code, stderr]).toEqual([1, expect.stringContaining('Cannot use "nowhere/*"')]);
    expect((await host.mustFlt("list-unit-files", "--no-legend")).trim().split("\n")).toHaveLength(7);
  });

  suite.case("is-active, is-failed: systemctl's words and statuses", async (cluster) => {
    for (const unit of [...PLACED, "nobody.service"]) {
      const holder = unit === "nobody.service" ? cluster.host("h2") : await holderOf(cluster, unit);
      for (const verb of ["is-active", "is-failed"]) {
        const systemd = await holder.run(["systemctl", verb, unit]);
        for (const host of cluster.hosts) {
          const own = await host.flt(verb, unit);
          expect([unit, verb, own.stdout, own.code]).toEqual([unit, verb, systemd.stdout, systemd.code]);
        }
        expect(await holder.flt(verb, "-q", unit)).toEqual({ code: systemd.code, stdout: "", stderr: "" });
      }
    }
    expect((await cluster.host("h2").flt("is-active", "everywhere")).stdout).toBe("active\n");
  });

  suite.case("show: the properties that systemctl shows, from any host, and flt's own", async (cluster) => {
    const steady =
      "Id,Names,LoadState,ActiveState,SubState,FragmentPath,MainPID,ExecMainStartTimestamp,ExecStart,Restart";
    for (const unit of ["web@1.service", "db.service", "broken.service"]) {
      const holder = await holderOf(cluster, unit);
      const systemd = await holder.mustRun(["systemctl", "show", "-p", steady, unit]);
      for (const host of cluster.hosts) expect(await host.mustFlt("show", "-p", steady, unit)).toBe(systemd);
      const pid = (await holder.mustRun(["systemctl", "show", "-P", "MainPID", unit])).trim();
      expect((await cluster.host("h2").mustFlt("show", "-P", "MainPID", unit)).trim()).toBe(pid);
      const all = await cluster.host("h1").mustFlt("show", unit);
      expect(all.split("\n").length).toBeGreaterThan(200);
      expect(all).toContain(`\nMachine=${holder.machineId}\nMachineIP=${holder.address}\nDesiredState=launched\n`);
    }
    expect(await cluster.host("h1").mustFlt("show", "-p", "LoadState", "nobody")).toBe("LoadState=not-found\n");
  });

  suite.case("list-dependencies: systemctl's tree, and what binds the unit in the cluster", async (cluster) => {
    const holder = await holderOf(cluster, "db.service");
    for (const flags of [["--plain"], ["--reverse"], ["--plain", "--all"]]) {
      const systemd = await holder.mustRun(["systemctl", "list-dependencies", "--no-pager", ...flags, "db.service"]);
      for (const host of cluster.hosts) expect(await host.mustFlt("list-dependencies", ...flags, "db")).toBe(systemd);
    }
    const tree = await cluster.host("h1").mustFlt("list-dependencies", "db");
    expect(tree).toMatch(/^db\.service\n● ├─system\.slice\n/);
    expect(tree).toEndWith("In the cluster:\n  Conflicts=web@9.service\n");
  });

  suite.case(
    "journal: -n all and --since as journalctl there, from any host; a time that is none is refused",
    async (cluster) => {
      const holder = await holderOf(cluster, "web@1.service");
      for (const flags of [
        ["-n", "all"],
        ["--since=-1h"],
        ["--since=today", "-n", "1"],
        ["--since=1h ago"],
        ["--lines=2"],
      ]) {
        const words = ["--no-pager", "-o", "cat", ...flags];
        const systemd = await holder.mustRun(["journalctl", "-u", "web@1.service", ...words]);
        for (const host of cluster.hosts) expect(await host.mustFlt("journal", ...words, "web@1")).toBe(systemd);
      }
      for (const host of cluster.hosts) {
        for (const follow of [[], ["-f"]]) {
          expect(await host.flt("journal", "--since=soon", ...follow, "web@1")).toEqual({
            code: 1,
            stdout: "",
            stderr: expect.stringMatching(
              /Cannot read the journal of "web@1.service": Failed to parse timestamp: soon\n$/,
            ),
          });
        }
      }
    },
  );

  suite.case("lists as data, narrowed as systemctl narrows them", async (cluster) => {
    const host = cluster.host("h2");
    const rows = JSON.parse(await host.mustFlt("list-units", "-o", "json")) as {
      unit: string;
      machine: string;
      sub: string;
    }[];
    expect(rows).toHaveLength(PLACED.length + 2);
    for (const { unit, machine, sub } of rows) {
      expect([unit, sub]).toEqual([unit, await cluster.hostOfMachine(machine).property(unit, "SubState")]);
    }
    expect(Bun.YAML.parse(await host.mustFlt("list-units", "-o", "yaml"))).toEqual(rows);
    // What the host's systemctl takes, flt takes, and a newer systemd's words beside them.
    const groups = (text: string): string[] => text.trim().split("\n\n");
    const own = groups(await host.mustFlt("list-units", "--state=help"));
    for (const group of groups(await host.mustRun(["systemctl", "--no-pager", "--state=help"]))) {
      const [heading = "", ...words] = group.split("\n");
      if (heading === "Available unit file states:") continue;
      const known = own.find((each) => each.startsWith(heading))?.split("\n");
      expect([heading, words.filter((word) => known?.includes(word) !== true)]).toEqual([heading, []]);
    }
    const failed = await host.mustFlt("list-units", "--no-legend", "--fields=unit", "--state=failed");
    expect(failed).toBe("broken.service\n");
    for (const each of cluster.hosts) {
      const names = `--no-legend --fields=unit -t service --state=running -M ${each.machineId.slice(0, 8)}`.split(" ");
      const there = await each.mustRun([
        "systemctl",
        "list-units",
        "--plain",
        "--no-legend",
        "-t",
        "service",
        "--state=running",
        "[de]*",
        "busy*",
        "web*",
      ]);
      const systemds = there.split("\n").map((line) => line.split(" ")[0] ?? "");
      const expected = systemds.filter((name) => rows.some(({ unit }) => unit === name)).sort();
      expect((await host.mustFlt("list-units", ...names)).trim().split("\n").sort()).toEqual(expected);
    }
    expect((await host.flt("list-unit-files", "nobody*")).code).toBe(1);
  });

  suite.case("top: systemd's own accounting, of all hosts from one", async (cluster) => {
    const host = cluster.host("h1");
    const holder = await holderOf(cluster, "busy.service");
    const before = Number(await holder.property("busy.service", "CPUUsageNSec"));
    const picture = JSON.parse(await host.mustFlt("top", "-n", "1", "-d", "1", "-o", "json")) as {
      machines: { machine: string; cpu: number; problem: string | null }[];
      units: { unit: string; machine: string; cpu: number; cpuNs: number }[];
    };
    const after = Number(await holder.property("busy.service", "CPUUsageNSec"));
    expect(picture.machines.map(({ machine }) => machine)).toEqual(cluster.hosts.map(({ machineId }) => machineId));
    const busy = picture.units.find(({ unit }) => unit === "busy.service");
    expect(busy?.machine).toBe(holder.machineId);
    expect(busy?.cpuNs).toBeGreaterThanOrEqual(before);
    expect(busy?.cpuNs).toBeLessThanOrEqual(after);
    expect(busy?.cpu).toBeGreaterThan(1);
    expect(picture.units.filter(({ unit }) => unit === "everywhere.service")).toHaveLength(2);
    // The busiest is on top.
    expect(picture.units[0]?.unit).toBe("busy.service");
    expect(await host.mustFlt("top", "-d", "0.5", "busy")).toMatch(
      /^MACHINE .*\n(.*\n){2}\nUNIT .*\nbusy\.service +\d/,
    );
  });

  suite.case(
    "events -f: what happens on another host, as it happens; the machines let go when the reader does",
    async (cluster) => {
      const [host, other] = [cluster.host("h1"), cluster.host("h2")];
      const following = await inBackground(host, "flt events -f 'web@*'");
      const top = await inBackground(host, "flt top -b -n 0 -d 0.5");
      let text = "";
      const reading = (async () => {
        for await (const chunk of following.process.stdout) text += new TextDecoder().decode(chunk);
      })();
      await eventually("the stream to be open", 5_000, async () => {
        await other.mustFlt("restart", "web@1");
        return text.includes("web@1.service");
      });
      await other.mustFlt("stop", "web@2", "db");
      await eventually("the stop to be told", 5_000, () => text.includes("web@2.service inactive (dead)"));
      expect(text).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d web@2\.service wanted loaded on [0-9a-f]{8}\.\.\.\/10\./m);
      expect(text).not.toContain("db.service");
      const connections = async (): Promise<number> => {
        const sockets = await other.mustRun(["ss", "--no-header", "--unix", "state", "connected"]);
        return sockets.split("\n").filter((line) => line.includes("/run/systemd/private")).length;
      };
      const watched = await connections();
      expect([await following.interrupt(), await top.interrupt()]).toEqual([130, 130]);
      await reading;
      // The watcher had a connection to systemd on each host.
      await eventually("the host to be left alone", 5_000, async () => (await connections()) === watched - 1);
      await other.mustFlt("start", "web@2", "db");
    },
  );

  suite.case(
    "top goes on over a daemon that dies: says why its machine has no figures, and has them again",
    async (cluster) => {
      const [host, other] = [cluster.host("h1"), cluster.host("h2")];
      const top = await inBackground(host, "flt top -b -n 0 -d 0.5 -o json");
      const problems: (string | null)[] = [];
      const reading = (async () => {
        for await (const line of linesOf(top.process.stdout)) {
          const { machines } = JSON.parse(line) as { machines: { machine: string; problem: string | null }[] };
          problems.push(machines.find(({ machine }) => machine === other.machineId)?.problem ?? null);
        }
      })();
      await eventually("a first picture", 10_000, () => problems.length > 0);
      expect(problems[0]).toBeNull();
      await other.killDaemon();
      await eventually("the loss to be told", 10_000, () => problems.some((problem) => problem !== null));
      await eventually("figures again", 20_000, () => problems.at(-1) === null);
      expect(await top.interrupt()).toBe(130);
      await reading;
      await leaderOf(cluster);
    },
  );

  suite.case("validate: the same verdict as a start, without a daemon", async (cluster) => {
    const host = cluster.host("h1");
    await host.write(
      "/tmp/bad.service",
      "[Service]\nExecStart=/bin/true\n[X-Fleet]\nGlobal=true\nMachineOf=db.service\n",
    );
    const { code, stdout } = await host.flt(
      "--endpoint=unix:///nowhere",
      "validate",
      "/tmp/bad.service",
      "/tmp/db.service",
    );
    expect([code, stdout]).toEqual([1, expect.stringMatching(/^\/tmp\/bad\.service:5: error: .*MachineOf/)]);
    expect((await host.flt("start", "/tmp/bad.service")).code).toBe(1);
    expect(await host.run(["flt", "validate", "-"], { stdin: UNITS["db.service"] })).toMatchObject({
      code: 0,
      stdout: "",
    });
  });

  suite.case("on a terminal: colours, a pager, a line for a long wait; elsewhere none of it", async (cluster) => {
    const host = cluster.host("h1");
    const { text } = await onTerminal(host, "flt --no-pager list-units --state=failed");
    expect(text).toContain("\x1b[1;31mfailed\x1b[0m");
    expect((await onTerminal(host, "NO_COLOR=1 flt --no-pager list-units")).text).not.toContain("\x1b");
    await onTerminal(host, "SYSTEMD_PAGER='tee /tmp/paged' flt list-machines --fields=ip --no-legend");
    expect(await host.mustRun(["cat", "/tmp/paged"])).toBe(cluster.hosts.map(({ address }) => `${address}\n`).join(""));
    // less leaves by itself what fits on one screen, and passes the exit status on.
    const status = await onTerminal(host, "stty rows 50 cols 200; flt status broken");
    expect(status.text).toContain("Active: \x1b[1;31mfailed (Result: exit-code)");
    expect(status.code).toBe(3);
    // Ctrl-C is the pager's own while it is open, and q ends both.
    const keys = "(sleep 1; printf '\\003'; sleep 0.5; printf q)";
    const line = `${keys} | script -qec 'trap : INT; stty rows 20 cols 80; flt show db; echo "left with $?"' /dev/null`;
    const left = await host.run(["sh", "-c", line], { env: { TERM: "xterm" }, timeoutMs: 15_000 });
    expect(left.stdout).toContain("left with 0");
    expect(left.stdout).not.toContain("Interrupted");
    expect(left.stdout).not.toContain("DesiredState=");
    expect(await host.mustFlt("list-units")).not.toContain("\x1b");
    const wait = "timeout --foreground -s INT 2.5 flt start /tmp/stuck.service";
    const waiting = await onTerminal(host, wait);
    expect(waiting.text).toMatch(/Waiting for stuck\.service \(1 s\)\r\x1b\[K/);
    expect(waiting.text).toContain("Stopped waiting for [stuck.service]");
    expect((await host.run(wait.split(" "))).stderr).not.toContain("Waiting");
    const screen = await onTerminal(host, "timeout --foreground -s INT 1 flt top");
    expect(screen.text).toStartWith("\x1b[?1049h");
    expect(screen.text).toMatch(/busy\.service/);
    expect(screen.text.slice(-60)).toContain("\x1b[?1049l");
  });

  suite.case("the examples of README, In the shell", async (cluster) => {
    const host = cluster.host("h1");
    const examples = readmeBlock("In the shell", 0)
      .split("\n")
      .map((text) => text.replace(/ +#.*/, ""))
      .filter((text) => text !== "");
    expect(examples.length).toBeGreaterThan(6);
    await host.mustRun(["sh", "-c", "mkdir -p /tmp/readme/units && cp /tmp/db.service /tmp/readme/units"]);
    for (const example of examples) {
      const isEndless = example.includes("events -f");
      const { code, stderr } = await host.run([
        ...["timeout", "--preserve-status", "-s", "INT", isEndless ? "1" : "15"],
        ...["sh", "-c", `cd /tmp/readme; exec ${example.replace(/ && .*/, "")}`],
      ]);
      expect([example, code, stderr]).toEqual([example, isEndless ? 130 : 0, expect.any(String)]);
    }
  });

  suite.case("destroy '*' does what is asked, and prints each", async (cluster) => {
    const printed = (await cluster.host("h2").mustFlt("destroy", "*")).trim().split("\n");
    expect(printed).toHaveLength(8);
    expect(printed.every((line) => line.startsWith("Destroyed "))).toBe(true);
    await eventually("the end of all units", 15_000, async () => (await statesOf(cluster.host("h1"))).length === 0);
  });
});
