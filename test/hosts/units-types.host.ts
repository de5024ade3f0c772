/**
 * spec/fleet.md section 3 on a real systemd: every type of unit, [Install] sections, and units that hang on each other. Each
 * case ends with no trace of its units on the host.
 *
 * A host of ours is a container: systemd supports no automount, swap and device units there. That is what those show.
 *
 * @module
 */
import { expect } from "bun:test";
import { sleeper, statesOf, unitsOf, waitActive, writeUnits } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { noRecords, nothingLeft } from "./lib/leftovers.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually, sleep } from "./lib/wait.ts";

async function destroyAll(host: Host): Promise<void> {
  const names = (await unitsOf(host)).map(({ name }) => name);
  await host.mustFlt("destroy", ...names);
  await nothingLeft([host], names);
}

/** The links that systemd has to the unit, below its runtime directory. */
async function linksTo(host: Host, name: string): Promise<string[]> {
  const find = ["find", "/run/systemd/system", "-type", "l", "-lname", `/run/flt/units/${name}`, "-printf", "%P\\n"];
  return (await host.mustRun(find))
    .split("\n")
    .filter(Boolean)
    .sort((a, b) => a.localeCompare(b));
}

async function enabled(host: Host, name: string): Promise<string> {
  return (await host.run(["systemctl", "is-enabled", name])).stdout.trim();
}

const wanted = (description: string, install: string) =>
  sleeper(description, `\n[Install]\nWantedBy=multi-user.target\n${install}`);

hostSuite("types of units and [Install] on one host", { hosts: 1 }, (suite) => {
  suite.case("socket, path and timer start their services", async ({ hosts: [host] }) => {
    if (host === undefined) return;
    const marked = (mark: string) =>
      eventually(`/tmp/${mark}`, 5_000, async () => (await host.run(["test", "-e", `/tmp/${mark}`])).code === 0);
    const touch = (mark: string) => `[Service]\nType=oneshot\nExecStart=/bin/touch /tmp/${mark}\n`;
    const paths = await writeUnits(host, {
      "echo.socket": "[Socket]\nListenStream=/run/echo.sock\nAccept=no\n",
      "echo.service": "[Service]\nExecStart=/bin/sh -c 'touch /tmp/connected; exec sleep infinity'\n",
      "drop.path": "[Path]\nPathExists=/tmp/drop\nUnit=dropped.service\n",
      "dropped.service": `${touch("dropped")}ExecStart=/bin/rm /tmp/drop\n`,
      "tick.timer": "[Timer]\nOnActiveSec=100ms\nAccuracySec=1ms\n",
      "tick.service": touch("ticked"),
    });
    await host.mustFlt("load", ...paths.filter((path) => path.endsWith(".service")));
    await host.mustFlt("start", ...paths.filter((path) => !path.endsWith(".service")));
    await marked("ticked");
    await host.write("/tmp/drop", "");
    await marked("dropped");
    const connection = await Bun.connect({ unix: host.path("/run/echo.sock"), socket: { data() {} } });
    await marked("connected");
    connection.end();
    await eventually("echo.socket to have handed its socket over", 5_000, async () => {
      return (await statesOf(host)).some(
        (state) => state.name === "echo.socket" && state.systemdSubState === "running",
      );
    });
    // What they start was not asked for by anyone: it is loaded, whatever systemd makes of it.
    const wish = Object.fromEntries(
      (await unitsOf(host)).map((unit) => [unit.name, `${unit.desiredState} ${unit.currentState}`]),
    );
    expect(wish["tick.service"]).toBe("loaded loaded");
    expect(wish["tick.timer"]).toBe("launched launched");
    await destroyAll(host);
  });

  suite.case("mount, target and slice", async ({ hosts: [host] }) => {
    if (host === undefined) return;
    await host.mustRun(["mkdir", "-p", "/run/mounted/here"]);
    const paths = await writeUnits(host, {
      "run-mounted-here.mount": "[Mount]\nWhat=tmpfs\nWhere=/run/mounted/here\nType=tmpfs\n",
      "all.target": "[Unit]\nDescription=All of it\nRequires=member.service\n",
      "member.service": sleeper("member").replace("[Service]", "[Service]\nSlice=small.slice"),
      "small.slice": "[Slice]\nMemoryMax=64M\n",
    });
    await host.mustFlt("load", paths[2] ?? "");
    await host.mustFlt("start", paths[0] ?? "", paths[1] ?? "", paths[3] ?? "");
    await waitActive(host, ["run-mounted-here.mount", "all.target", "member.service", "small.slice"]);
    expect(await host.mustRun(["findmnt", "-no", "FSTYPE", "/run/mounted/here"])).toBe("tmpfs\n");
    expect(await host.property("small.slice", "MemoryMax")).toBe(String(64 * 1024 * 1024));
    expect(await host.property("member.service", "ControlGroup")).toBe("/small.slice/member.service");
    await destroyAll(host);
    expect((await host.run(["findmnt", "/run/mounted/here"])).code).toBe(1);
  });

  suite.case(
    "types that systemd has none of, or not here: told at once, and nothing stays",
    async ({ hosts: [host] }) => {
      if (host === undefined) return;
      const here = "systemd does not support units of this type here";
      const problems: Readonly<Record<string, readonly [string, string]>> = {
        "old.busname": ["[BusName]\nName=org.example\n", "today's systemd has no units of type busname"],
        "old.snapshot": ["[Unit]\nDescription=old\n", "today's systemd has no units of type snapshot"],
        "made.scope": ["[Scope]\nTimeoutStopSec=1\n", "systemd reads no scope from a file"],
        "srv.automount": ["[Automount]\nWhere=/srv\n", here],
        "tmp-swap.swap": ["[Swap]\nWhat=/tmp/swap\n", here],
        "dev-none.device": ["[Unit]\nDescription=none\n", here],
        "wrong.mount": ["[Mount]\nWhat=tmpfs\nWhere=/elsewhere\nType=tmpfs\n", "has a bad unit file setting"],
        "empty.service": ["[Unit]\nDescription=does nothing\n", "has a bad unit file setting"],
      };
      for (const [name, [text, words]] of Object.entries(problems)) {
        const [path = ""] = await writeUnits(host, { [name]: text });
        const { code, stderr } = await host.flt("start", path);
        expect([name, code, stderr]).toEqual([name, 1, expect.stringContaining(words)]);
        const status = await host.flt("status", name);
        expect([name, `${status.stdout}${status.stderr}`]).toEqual([name, expect.stringContaining(words)]);
      }
      await destroyAll(host);
    },
  );

  suite.case("[Install]: enabled at runtime by load, disabled by unload", async ({ hosts: [host] }) => {
    if (host === undefined) return;
    const paths = await writeUnits(host, {
      "inst.service": wanted("inst", "Alias=other-name.service\nRequiredBy=all.target\n"),
      "inst@.service": wanted("inst %i", ""),
    });
    await host.mustFlt("submit", ...paths);
    await host.mustFlt("load", "inst.service", "inst@one.service");
    expect(await linksTo(host, "inst.service")).toEqual([
      "all.target.requires/inst.service",
      "inst.service",
      "multi-user.target.wants/inst.service",
      "other-name.service",
    ]);
    expect(await linksTo(host, "inst@one.service")).toEqual([
      "inst@one.service",
      "multi-user.target.wants/inst@one.service",
    ]);
    expect([await enabled(host, "inst.service"), await enabled(host, "inst@one.service")]).toEqual([
      "enabled-runtime",
      "enabled-runtime",
    ]);
    // systemd knows of it by itself after the reload that follows.
    await eventually("multi-user.target to want both", 5_000, async () => {
      const wants = await host.property("multi-user.target", "Wants");
      return wants.includes("inst.service") && wants.includes("inst@one.service");
    });
    await host.mustFlt("start", "inst.service", "inst@one.service");
    await host.mustFlt("unload", "inst.service");
    expect(await linksTo(host, "inst.service")).toEqual([]);
    await eventually("multi-user.target to want one", 5_000, async () => {
      const wants = await host.property("multi-user.target", "Wants");
      return !wants.includes("inst.service") && wants.includes("inst@one.service");
    });
    expect(await host.property("inst@one.service", "ActiveState")).toBe("active");
    await destroyAll(host);
  });

  suite.case(
    "[Install] that cannot be enabled fails the load and leaves nothing, also of its valid lines",
    async ({ hosts: [host] }) => {
      if (host === undefined) return;
      const lines = { "WantedBy=/no/name": "/no/name", "Alias=wrong.socket": "wrong.socket" };
      for (const [line, words] of Object.entries(lines)) {
        for (const verb of ["load", "start"]) {
          const name = `${verb}-${words.replace(/\W/g, "-")}.service`;
          const [path = ""] = await writeUnits(host, { [name]: wanted("bad", `${line}\n`) });
          const { code, stderr } = await host.flt(verb, path);
          expect([line, code, stderr]).toEqual([line, 1, expect.stringContaining(words)]);
          expect(await linksTo(host, name)).toEqual([]);
          expect((await host.run(["test", "-e", `/run/flt/units/${name}`])).code).toBe(1);
          // A good file under the same name is all that it takes.
          await writeUnits(host, { [name]: wanted("good after all", "") });
          await host.mustFlt("start", "--replace", path);
          expect(await enabled(host, name)).toBe("enabled-runtime");
        }
      }
      await destroyAll(host);
    },
  );

  suite.case("Also=: units that are enabled together are unloaded one by one", async ({ hosts: [host] }) => {
    if (host === undefined) return;
    const paths = await writeUnits(host, {
      "one.service": wanted("one", "Also=two.service\n"),
      "two.service": wanted("two", "Also=one.service\n"),
    });
    await host.mustFlt("start", ...paths);
    const pid = await host.mainPid("two.service");
    await host.mustFlt("destroy", "one.service");
    await eventually("one.service to be gone", 5_000, async () => {
      const file = await host.run(["test", "-e", "/run/flt/units/one.service"]);
      return file.code === 1 && (await linksTo(host, "one.service")).length === 0;
    });
    expect(await linksTo(host, "two.service")).toEqual(["multi-user.target.wants/two.service", "two.service"]);
    await host.mustRun(["systemctl", "daemon-reload"]);
    expect(await host.property("two.service", "LoadState")).toBe("loaded");
    expect(await host.mainPid("two.service")).toBe(pid);
    await host.mustFlt("restart", "two.service");
    expect(await host.property("two.service", "ActiveState")).toBe("active");
    await destroyAll(host);
  });

  suite.case(
    "failed, hanging, restarting and ended units leave nothing either; nor does their store",
    async ({ hosts: [host] }) => {
      if (host === undefined) return;
      const paths = await writeUnits(host, {
        "fails.service": "[Service]\nExecStart=/bin/false\n",
        "missing.service": "[Service]\nExecStart=/no/such/file\n",
        "loops.service":
          "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=50ms\n",
        "hangs.service": "[Service]\nType=notify\nTimeoutStartSec=infinity\nExecStart=/bin/sleep infinity\n",
        "stubborn.service":
          "[Service]\nTimeoutStopSec=1\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n",
        "once.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
        "stays.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n",
        "needs.service": sleeper("needs").replace(
          "[Service]",
          "BindsTo=stays.service\nAfter=stays.service\n\n[Service]",
        ),
        "waits.service": sleeper("waits", "\n[X-Flt]\nMachineMetadata=no=where\n"),
      });
      await host.mustFlt("start", "--no-block", ...paths);
      await eventually("all of them to have come as far as they do", 5_000, async () => {
        const states = Object.fromEntries(
          (await statesOf(host)).map((state) => [state.name, state.systemdActiveState]),
        );
        return (
          states["fails.service"] === "failed" &&
          states["hangs.service"] === "activating" &&
          states["needs.service"] === "active"
        );
      });
      await sleep(200);
      const names = (await unitsOf(host)).map(({ name }) => name);
      expect(names).toHaveLength(paths.length);
      await host.mustFlt("destroy", ...names);
      await nothingLeft([host], names);
      await noRecords(host);
    },
  );
});
