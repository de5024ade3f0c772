/**
 * Every example that a help text or a man page shows is run, as it is shown, in a shell on a host of a cluster that has the units,
 * the machine and the addresses which the examples name.
 *
 * Idea. The examples come from the table of commands: one that is added there is run here, and has to end with 0 unless the
 * lists below say how else and why. The examples of single options are read by src/config/load.test.ts.
 *
 * @module
 */
import { expect } from "bun:test";
import type { Command } from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/commands/index.ts";
import { DAEMON_TEXTS } from "../../src/config/help.ts";
import { FLT_BINARY } from "./lib/cluster.ts";
import { leaderOf, machinesOf, sleeper, unitsOf, waitActive } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import type { Outcome } from "./lib/shell.ts";
import { makeIdentity, startSshd } from "./lib/sshd.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually } from "./lib/wait.ts";

const EXAMPLES = `${import.meta.dir}/../../examples`;
const FOLDER = "/root/examples";
const ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
/** The examples' machine. */
const MACHINE_ID = "113f16a7000000000000000000000f17";

/** These change what the next example would find. */
const CHANGING = new Set(["submit", "load", "start", "stop", "unload", "restart", "destroy"]);
/** These go on until Ctrl-C, or longer than a test should. */
const ENDLESS = /^(journal .*-f\b|events -f|top -b)/;
/** Ends with something else than 0, and is meant to. */
const STATUSES: Readonly<Record<string, number>> = {
  "verify hello.service": 2,
  // Its units are well.
  "is-failed hello.service": 1,
  "is-failed --quiet 'web@*'": 1,
};
const ALL_UNITS = ["hello.service", "web@1.service", "web@2.service", "web@3.service"];
const INTERRUPTED = 130;
/** It takes flt off the host: run below, on one of its own. */
const ELSEWHERE = new Set(["install"]);

function shell(host: Host, line: string, stdin?: string): Promise<Outcome> {
  return host.run(["sh", "-c", `cd ${FOLDER} && ${line}`], {
    timeoutMs: 30_000,
    env: { FLTCTL_SSH_USERNAME: "root" },
    ...(stdin !== undefined && { stdin }),
  });
}

async function writeFiles(host: Host): Promise<void> {
  await host.mustRun(["mkdir", "-p", `${FOLDER}/myservice`, `${FOLDER}/units`, "/etc/bash_completion.d"]);
  for (const name of ["hello.service", "web@.service"]) {
    await host.write(`${FOLDER}/${name}`, await Bun.file(`${EXAMPLES}/${name}`).text());
  }
  for (const path of ["myservice/one.service", "myservice/two.service", "units/any.service"]) {
    await host.write(`${FOLDER}/${path}`, sleeper(path));
  }
}

/** What a command finds: nothing, where it is to bring units up; else all of them at work. */
async function setScene(host: Host, command: Command): Promise<void> {
  await writeFiles(host);
  const present = (await unitsOf(host)).map(({ name }) => name);
  if (present.length > 0) await host.mustFlt("destroy", ...present);
  await eventually("an empty cluster", 10_000, async () => (await unitsOf(host)).length === 0);
  if (command.takesFiles === true) return;
  expect(
    (await shell(host, "flt submit web@.service && flt start hello.service myservice/* web@1 web@2 web@3")).code,
  ).toBe(0);
  await waitActive(host, ALL_UNITS);
}

hostSuite("the examples of the help", { hosts: 3, addresses: ADDRESSES, machineIds: { h1: MACHINE_ID } }, (suite) => {
  suite.case("the cluster that they are about", async (cluster) => {
    await leaderOf(cluster);
    const host = cluster.host("h1");
    await eventually("three machines", 10_000, async () => (await machinesOf(host)).length === 3);
    const publicKey = await makeIdentity(host);
    await Promise.all(cluster.hosts.map((each) => startSshd(each, publicKey)));
  });

  let scene: Command | undefined;
  for (const command of COMMANDS.filter(({ name }) => !ELSEWHERE.has(name))) {
    for (const example of command.examples) {
      suite.case(`flt ${example}`, async (cluster) => {
        const host = cluster.host("h1");
        const isChanging = CHANGING.has(command.name);
        // Examples that only look share one scene.
        if (isChanging || scene === undefined || CHANGING.has(scene.name)) await setScene(host, command);
        scene = command;
        const isEndless = ENDLESS.test(example);
        const stdin = example.endsWith(" -") ? await Bun.file(`${EXAMPLES}/web@.service`).text() : undefined;
        const line = isEndless ? `timeout --preserve-status -s INT 1 flt ${example}` : `flt ${example}`;
        const { code, stdout, stderr } = await shell(host, line, stdin);
        expect([code, stderr]).toEqual([isEndless ? INTERRUPTED : (STATUSES[example] ?? 0), expect.any(String)]);
        expect(`${stdout}${stderr}`).not.toMatch(/Unknown|\bat .*\.ts:\d+/);
      });
    }
  }
});

hostSuite("the example of flt daemon", { hosts: 1, flt: "installed", addresses: ADDRESSES }, (suite) => {
  suite.case(DAEMON_TEXTS.example, async (cluster) => {
    const host = cluster.host("h1");
    const daemon = host.run(["sh", "-c", `timeout -s INT 3 ${DAEMON_TEXTS.example}`], { timeoutMs: 20_000 });
    await eventually("its machine, as it was told to say", 5_000, async () => {
      return /\t10\.0\.0\.1\tregion=us-west\n/.test((await host.flt("list-machines")).stdout);
    });
    expect((await daemon).stderr).toMatch(/Ready[\s\S]*Stopped/);
  });
});

hostSuite("the examples of flt install", { hosts: 1, flt: false, canInstall: true }, (suite) => {
  for (const command of COMMANDS.filter(({ name }) => ELSEWHERE.has(name))) {
    for (const example of command.examples) {
      suite.case(`flt ${example}`, async (cluster) => {
        const host = cluster.host("h1");
        await host.mustRun(["mkdir", "-p", "/root/bin"]);
        if (!(await Bun.file(host.path("/root/bin/flt")).exists())) {
          await Bun.write(host.path("/root/bin/flt"), Bun.file(FLT_BINARY));
          await host.mustRun(["chmod", "755", "/root/bin/flt"]);
        }
        const { code, stderr } = await host.run(["sh", "-c", `PATH=/root/bin:$PATH flt ${example}`], {
          timeoutMs: 60_000,
        });
        expect([code, stderr]).toEqual([0, ""]);
      });
    }
  }
});
