/**
 * Flt as an ordinary lingering user, in his own systemd, without root.
 *
 * @module
 */
import { expect } from "bun:test";
import { readFile } from "node:fs/promises";
import { sleeper } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { readmeBlock } from "./lib/readme.ts";
import type { Outcome } from "./lib/shell.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually } from "./lib/wait.ts";

const EXAMPLES = `${import.meta.dir}/../../examples`;
const UID = "1000";
const HOME = "/home/alice";
const RUNTIME = `/run/user/${UID}`;
/** These hosts boot with an empty /etc: what a distribution puts there for user managers. pam_env stands in for a pam_systemd that is missing. */
const PAM = [
  ...["account required pam_permit.so", "session required pam_permit.so", "session required pam_env.so"],
  ...["session optional pam_systemd.so", ""],
].join("\n");
const TALKER = '[Service]\nExecStart=/bin/sh -c "while :; do echo hello from $(id -u); sleep 0.2; done"\n';

/** What a login gives alice, without the login: her id and the directory that logind made for her. */
const AS_ALICE = [
  ...["setpriv", `--reuid=${UID}`, `--regid=${UID}`, "--clear-groups", "--no-new-privs", "--"],
  ...["env", "-i", `HOME=${HOME}`, `XDG_RUNTIME_DIR=${RUNTIME}`, "PATH=/usr/local/bin:/usr/bin:/bin"],
];

function alice(host: Host, ...command: string[]): Promise<Outcome> {
  return host.run([...AS_ALICE, ...command], { timeoutMs: 30_000 });
}

async function mustAlice(host: Host, ...command: string[]): Promise<string> {
  const { code, stdout, stderr } = await alice(host, ...command);
  expect([command.join(" "), code, stderr]).toEqual([command.join(" "), 0, expect.any(String)]);
  return stdout;
}

async function systemctl(host: Host, ...words: string[]): Promise<string> {
  return (await mustAlice(host, "systemctl", "--user", ...words)).trim();
}

function property(host: Host, unit: string, name: string): Promise<string> {
  return systemctl(host, "show", `--property=${name}`, "--value", unit);
}

/** Puts a file into alice's hands, as she would have written it. */
async function write(host: Host, path: string, text: string): Promise<void> {
  await mustAlice(host, "mkdir", "-p", path.slice(0, path.lastIndexOf("/")));
  await host.write(path, text);
  await host.mustRun(["chown", `${UID}:${UID}`, path]);
}

hostSuite("a user's own flt", { hosts: 1, flt: "installed" }, (suite) => {
  suite.case("alice lingers: her systemd runs without a session of hers", async (cluster) => {
    const host = cluster.host("h1");
    const masked = ["systemd-logind.service", "systemd-user-sessions.service"];
    await host.mustRun(["rm", ...masked.map((unit) => `/etc/systemd/system/${unit}`)]);
    await host.mustRun(["mkdir", "-p", "/etc/pam.d", "/etc/security"]);
    await host.write("/etc/security/pam_env.conf", "");
    await host.write("/etc/pam.d/systemd-user", PAM);
    await host.write("/etc/environment", `XDG_RUNTIME_DIR=${RUNTIME}\n`);
    await host.mustRun(["systemctl", "daemon-reload"]);
    await host.mustRun(["systemctl", "start", "systemd-logind.service"]);
    await host.mustRun(["useradd", "--create-home", `--uid=${UID}`, "alice"]);
    await host.mustRun(["loginctl", "enable-linger", "alice"]);
    await eventually("alice's systemd", 15_000, async () => {
      return (await host.run(["systemctl", "is-active", `user@${UID}.service`])).stdout === "active\n";
    });
    expect(await host.property("flt.service", "ActiveState")).toBe("inactive");
  });

  suite.case("bob has no session: he has no systemd, and is told what to do", async (cluster) => {
    const host = cluster.host("h1");
    await host.mustRun(["useradd", "--create-home", "--uid=1001", "bob"]);
    const asBob = ["setpriv", "--reuid=1001", "--regid=1001", "--clear-groups", "env", "-i", "HOME=/home/bob"];
    const { code, stderr } = await host.run([...asBob, "/usr/local/bin/flt", "daemon", "--systemd-user"]);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/\/run\/user\/1001 come with a login .*loginctl enable-linger/),
    ]);
    expect(stderr.trim().split("\n")).toHaveLength(2);
  });

  suite.case("flt daemon --systemd-user by hand: ready, found by the client, ended by a signal", async (cluster) => {
    const host = cluster.host("h1");
    const daemon = alice(host, "timeout", "-s", "INT", "4", "flt", "daemon", "--systemd-user");
    await eventually("her machine", 4_000, async () => {
      return (await alice(host, "flt", "list-machines", "--no-legend")).stdout.includes(host.machineId.slice(0, 8));
    });
    const { stderr } = await daemon;
    expect(stderr).toContain("Ready");
    expect(stderr).toContain("Stopped");
    expect(stderr).not.toMatch(/^(error|warning): /m);
    expect(await mustAlice(host, "ls", `${HOME}/.local/share/flt`)).toContain("raft.db");
  });

  suite.case("what the README says of laptops, word by word", async (cluster) => {
    const host = cluster.host("h1");
    await write(host, `${HOME}/examples/hello.service`, await readFile(`${EXAMPLES}/hello.service`, "utf8"));
    const [daemon = "", start = "", journal = "", ...others] = readmeBlock("Without root, on a laptop", 0)
      .trim()
      .split("\n");
    expect(others).toEqual([]);
    // Her shell's, which ends its children with itself.
    const running = alice(host, "timeout", "-s", "INT", "8", "sh", "-c", `cd; ${daemon.replace(/&.*$/, "")}`);
    await eventually("her machine", 4_000, async () => {
      return (await alice(host, "flt", "list-machines", "--no-legend")).code === 0;
    });
    expect(await mustAlice(host, "sh", "-c", `cd; ${start}`)).toMatch(/^Unit hello\.service launched on /m);
    const followed = await alice(host, "timeout", "-s", "INT", "2", ...journal.split(" "));
    expect(followed.stdout).toContain("Hello");
    await mustAlice(host, "flt", "destroy", "hello.service");
    expect((await running).stderr).toContain("Stopped");
  });

  suite.case("examples/flt-user.service: everything is hers, nothing is root's", async (cluster) => {
    const host = cluster.host("h1");
    await write(
      host,
      `${HOME}/.config/systemd/user/flt.service`,
      await readFile(`${EXAMPLES}/flt-user.service`, "utf8"),
    );
    await systemctl(host, "enable", "--now", "flt.service");
    const pid = await property(host, "flt.service", "MainPID");
    expect((await host.mustRun(["stat", "-c", "%u", `/proc/${pid}`])).trim()).toBe(UID);
    expect((await host.mustRun(["stat", "-c", "%U %A", `${RUNTIME}/flt.sock`])).trim()).toBe("alice srw-rw----");
    for (const path of ["/run/flt.sock", "/run/flt", "/var/lib/flt/raft.db"]) {
      expect([path, (await host.run(["test", "-e", path])).code]).toEqual([path, 1]);
    }
  });

  suite.case("a unit is started, listed, its journal read, stopped", async (cluster) => {
    const host = cluster.host("h1");
    await write(host, `${HOME}/talk.service`, TALKER);
    expect(await mustAlice(host, "flt", "start", `${HOME}/talk.service`)).toMatch(/^Unit talk.service launched on /m);
    expect(await mustAlice(host, "flt", "list-units")).toMatch(/^talk\.service\t.*\tactive\trunning$/m);
    expect(await property(host, "talk.service", "ActiveState")).toBe("active");
    expect(await property(host, "talk.service", "FragmentPath")).toStartWith(`${RUNTIME}/`);
    expect(await host.property("talk.service", "LoadState")).toBe("not-found");
    await eventually("a line of its journal", 5_000, async () => {
      return (await mustAlice(host, "flt", "journal", "talk.service")).includes(`hello from ${UID}`);
    });
    const followed = await alice(host, "timeout", "2", "flt", "journal", "-f", "--output=cat", "talk.service");
    expect(followed.stdout.match(/hello/g)?.length).toBeGreaterThan(5);
    const status = await mustAlice(host, "flt", "status", "talk.service");
    expect(status).toContain("Active: active (running)");
    expect((await alice(host, "flt", "stop", "talk.service")).code).toBe(0);
    expect(await property(host, "talk.service", "ActiveState")).toBe("inactive");
    await mustAlice(host, "flt", "start", "talk.service");
  });

  suite.case("a restart touches no unit, a reload reads her configuration", async (cluster) => {
    const host = cluster.host("h1");
    const before = await property(host, "talk.service", "MainPID");
    await systemctl(host, "restart", "flt.service");
    expect(await mustAlice(host, "flt", "list-units")).toMatch(/^talk\.service\t.*\tactive\trunning$/m);
    expect(await property(host, "talk.service", "MainPID")).toBe(before);
    await write(host, `${HOME}/.config/flt/flt.conf`, "metadata=laptop=yes\n");
    await systemctl(host, "reload", "flt.service");
    await eventually("her metadata", 5_000, async () => {
      return (await mustAlice(host, "flt", "list-machines")).includes("laptop=yes");
    });
  });

  suite.case("beside the host's own flt: two clusters, and the client's default is the host's", async (cluster) => {
    const host = cluster.host("h1");
    await host.mustRun(["systemctl", "start", "flt.service"], { timeoutMs: 30_000 });
    await host.write("/tmp/host.service", sleeper("host"));
    await host.mustFlt("start", "/tmp/host.service");
    expect(await host.mustFlt("list-units")).not.toContain("talk.service");
    const own = `--endpoint=unix://${RUNTIME}/flt.sock`;
    expect(await mustAlice(host, "flt", own, "list-units")).not.toContain("host.service");
    // She may not use root's socket, and is told so.
    expect((await alice(host, "flt", "list-units")).stderr).toContain("permission denied");
    await host.mustRun(["systemctl", "stop", "flt.service"], { timeoutMs: 60_000 });
  });

  suite.case("a stop hands over: her units end, and nothing of them is left", async (cluster) => {
    const host = cluster.host("h1");
    await systemctl(host, "stop", "flt.service");
    expect(await property(host, "flt.service", "Result")).toBe("success");
    expect(await property(host, "talk.service", "LoadState")).toBe("not-found");
    expect((await alice(host, "ls", `${RUNTIME}/flt/units`)).stdout).toBe("");
    expect((await alice(host, "ls", `${RUNTIME}/systemd/user`)).stdout).not.toContain("talk");
  });
});
