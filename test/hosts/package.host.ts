/**
 * The Debian package on a booted host with dpkg's own list of packages: installed, upgraded under running units, removed, purged.
 * Two builds of it are the same bytes, and lintian finds no error.
 *
 * @module
 */
import { afterAll, expect } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { FLT_BINARY } from "./lib/cluster.ts";
import { sleeper, waitActive, writeUnits } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { readmeBlock } from "./lib/readme.ts";
import { exec } from "./lib/shell.ts";
import { hostSuite } from "./lib/suite.ts";
import { NEXT_VERSION, pack, temporaryFolder } from "./lib/versions.ts";

const ROOT = `${import.meta.dir}/../..`;
const INSTALLED = "What is installed, and how it goes away";
const LINE_OF_MINE = "# mine\nmetadata=disk=ssd\n";
const PACK_MS = 300_000;
const DPKG_MS = 120_000;

const folder = await temporaryFolder();
afterAll(() => folder.remove());

const sha256 = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");

/** dpkg keeps a changed conffile without asking, as an unattended upgrade does; nothing that it says is lost. */
async function dpkg(host: Host, ...words: readonly string[]): Promise<string> {
  const command = ["env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--force-confold", ...words];
  const { code, stdout, stderr } = await host.run(command, { timeoutMs: DPKG_MS });
  expect([words.join(" "), code, stderr.replace(/^.*(update-alternatives|manpath).*\n/gm, "")]).toEqual([
    words.join(" "),
    0,
    expect.not.stringMatching(/error|warning|Failed/i),
  ]);
  return stdout + stderr;
}

/** What belongs to flt by its name, or lies in its folders. */
async function traces(host: Host): Promise<string[]> {
  const folders = ["/etc", "/usr/bin", "/usr/lib/systemd", "/usr/lib/sysusers.d", "/usr/share", "/var/lib", "/run"];
  const { stdout } = await host.run(["find", ...folders, "-path", "*flt*", "-not", "-path", "/run/credentials/*"]);
  return stdout.trim().split("\n").filter(Boolean).sort();
}

async function copyInto(host: Host, path: string): Promise<string> {
  const inside = `/root/${path.split("/").at(-1)}`;
  await host.mustRun(["mkdir", "-p", "/root"]);
  await Bun.write(host.path(inside), Bun.file(path));
  return inside;
}

hostSuite("the Debian package", { hosts: 1, flt: false, canInstall: true }, (suite) => {
  let first = "";
  let next = "";
  let before: string[] = [];
  let pids: number[] = [];
  const pidsOf = (host: Host): Promise<number[]> =>
    Promise.all(["a.service", "b.service", "c.timer"].map((unit) => host.mainPid(unit)));

  suite.case(
    "two builds are the same bytes, wherever and by whom they are made; lintian finds no error",
    async () => {
      first = await pack(`${folder.path}/1`, "--lint");
      const built = sha256(FLT_BINARY);
      // The README's command, in somebody else's surroundings.
      const other = await exec(["bash", "-c", `umask 077\n${readmeBlock(INSTALLED, 1)}`], {
        timeoutMs: PACK_MS,
        cwd: ROOT,
        env: { TZ: "Asia/Tokyo", PATH: process.env.PATH ?? "" },
      });
      expect([other.code, sha256(other.stdout.trim()), sha256(FLT_BINARY)]).toEqual([0, sha256(first), built]);
    },
    PACK_MS,
  );

  suite.case(
    "installs: the group, the units, the manual; nothing is enabled or started",
    async (cluster) => {
      const host = cluster.host("h1");
      // The machine's own: users that the host does not have, and, where it is a container's image, a ban on starting services.
      await host.write("/var/lib/dpkg/statoverride", "");
      await host.mustRun(["rm", "-f", "/usr/sbin/policy-rc.d"]);
      await host.write("/etc/manpath.config", "MANDATORY_MANPATH /usr/share/man\n");
      before = await traces(host);
      await copyInto(host, first);
      const [install = "", next = ""] = readmeBlock(INSTALLED, 2).trim().split("\n");
      const { code, stdout, stderr } = await host.run(["sh", "-c", `cd /root && ${install}`], { timeoutMs: DPKG_MS });
      expect([install, code, stderr]).toEqual([install, 0, expect.any(String)]);
      expect(stdout).toContain(next);
      expect(await host.property("flt.service", "UnitFileState")).toBe("disabled");
      expect(await host.property("flt.service", "ActiveState")).toBe("inactive");
      expect(await host.mustRun(["getent", "group", "flt"])).toStartWith("flt:");
      expect(await host.mustRun(["systemd-analyze", "verify", "flt.service", "flt.socket"])).toBe("");
      expect(await host.mustRun(["dpkg", "--verify", "flt"])).toBe("");
      expect(await host.mustRun(["flt", "--version"])).toBe("flt version 0.1.0\n");
      expect(
        await host.mustRun(["ls", "/usr/share/man/man1/flt-start.1.gz", "/usr/share/man/man8/flt-daemon.8.gz"]),
      ).not.toBe("");
      expect((await host.run(["flt", "install"])).stderr).toContain("is on this host as a package");
    },
    PACK_MS,
  );

  suite.case("enabled and started as it says; units run", async (cluster) => {
    const host = cluster.host("h1");
    await host.write("/etc/flt/flt.conf", LINE_OF_MINE);
    await host.mustRun(["systemctl", "enable", "--now", "flt.socket", "flt"], { timeoutMs: 60_000 });
    const files = {
      "a.service": sleeper("a", "[X-Flt]\nMachineMetadata=disk=ssd\n"),
      "b.service": sleeper("b"),
      "c.timer": "[Timer]\nOnActiveSec=1h\nUnit=a.service\n",
    };
    await host.mustFlt("start", ...(await writeUnits(host, files)));
    await waitActive(host, ["a.service", "b.service"]);
    pids = await pidsOf(host);
    expect(pids.filter((pid) => pid > 0)).toHaveLength(2);
  });

  suite.case(
    "upgrades: the daemon is the new one, every unit's process the same, the socket was never closed, my file is mine",
    async (cluster) => {
      const host = cluster.host("h1");
      const daemon = await host.mainPid("flt.service");
      const socket = await host.mustRun(["stat", "-c", "%i", "/run/flt.sock"]);
      next = await copyInto(host, await pack(`${folder.path}/3`, `--version=${NEXT_VERSION}`, "--level=0"));
      const since = (await host.mustRun(["date", "+%s"])).trim();
      // Somebody is at work meanwhile.
      const asking = host.run(["sh", "-c", "for i in $(seq 40); do flt list-units --no-legend || exit 1; done"], {
        timeoutMs: DPKG_MS,
      });
      await dpkg(host, "--install", next);
      expect(await asking).toMatchObject({ code: 0, stderr: "" });
      expect(await host.mainPid("flt.service")).not.toBe(daemon);
      expect(await host.mustRun(["stat", "-c", "%i", "/run/flt.sock"])).toBe(socket);
      expect(await (await host.api("/flt/v1/version")).json()).toMatchObject({ version: NEXT_VERSION });
      expect(await host.mustRun(["cat", "/etc/flt/flt.conf"])).toBe(LINE_OF_MINE);
      await waitActive(host, ["a.service", "b.service"]);
      expect(await pidsOf(host)).toEqual(pids);
      const journal = await host.mustRun([
        "journalctl",
        "-o",
        "cat",
        `--since=@${since}`,
        "-u",
        "a",
        "-u",
        "b",
        "-u",
        "c.timer",
      ]);
      expect(journal).not.toMatch(/Stopp|Start/);
    },
    PACK_MS,
  );

  suite.case(
    "a stopped daemon stays stopped over an upgrade",
    async (cluster) => {
      const host = cluster.host("h1");
      await host.mustRun(["systemctl", "stop", "flt.socket", "flt.service"], { timeoutMs: 60_000 });
      // And one that `flt install` was used on is told.
      await host.mustRun(["mkdir", "/var/lib/flt-install"]);
      await host.write("/var/lib/flt-install/files", "");
      expect(await dpkg(host, "--install", next)).toContain("/usr/bin/flt install --uninstall");
      await host.mustRun(["rm", "-r", "/var/lib/flt-install"]);
      expect(await host.property("flt.service", "ActiveState")).toBe("inactive");
      await host.mustRun(["systemctl", "start", "flt.service"], { timeoutMs: 60_000 });
      await host.mustFlt("start", "a.service");
      await waitActive(host, ["a.service"]);
    },
    PACK_MS,
  );

  suite.case("removed: the units are handed over, configuration and data stay", async (cluster) => {
    const host = cluster.host("h1");
    await dpkg(host, "--remove", "flt");
    for (const unit of ["flt.service", "a.service", "b.service"]) {
      expect([unit, await host.property(unit, "ActiveState")]).toEqual([unit, "inactive"]);
    }
    expect(await host.mustRun(["cat", "/etc/flt/flt.conf"])).toBe(LINE_OF_MINE);
    expect(await traces(host)).toContain("/var/lib/flt/raft.db");
  });

  suite.case("purged: nothing is left", async (cluster) => {
    const host = cluster.host("h1");
    await dpkg(host, "--purge", "flt");
    expect(await traces(host)).toEqual(before);
    for (const unit of ["flt.service", "flt.socket", "a.service", "b.service"]) {
      expect([unit, await host.property(unit, "LoadState")]).toEqual([unit, "not-found"]);
    }
    expect((await host.run(["systemctl", "--failed", "--no-legend"])).stdout).not.toContain("flt");
  });
});
