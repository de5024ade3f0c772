/**
 * `flt install` on a booted host whose /usr is its own: from nothing to a running service, to the next version, and away again.
 *
 * @module
 */
import { expect } from "bun:test";
import { FLT_BINARY } from "./lib/cluster.ts";
import { sleeper, waitActive, writeUnits } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { buildNextVersion, NEXT_VERSION } from "./lib/versions.ts";

const LINE_OF_MINE = "metadata=disk=ssd\n";

/** Every path below the folders that an installation could touch. */
async function paths(host: Host): Promise<string[]> {
  const folders = ["/usr/local", "/etc", "/opt", "/var/lib"];
  const all = (await host.run(["find", ...folders, "-not", "-path", "/var/lib/systemd/*"])).stdout.trim().split("\n");
  return all.filter((path) => !/^\/etc\/(passwd|group|shadow|gshadow|subuid|subgid|\.pwd\.lock)-?$/.test(path)).sort();
}

async function put(host: Host, source: string): Promise<void> {
  await host.mustRun(["rm", "-f", "/root/flt"]);
  await Bun.write(host.path("/root/flt"), Bun.file(source));
  await host.mustRun(["chmod", "755", "/root/flt"]);
}

hostSuite("flt install", { hosts: 1, flt: false, canInstall: true }, (suite) => {
  const before: string[] = [];
  let pids: number[] = [];
  const pidsOf = async (host: Host): Promise<number[]> => [
    await host.mainPid("a.service"),
    await host.mainPid("b.service"),
  ];

  suite.case("--dry-run says all of it and does nothing", async (cluster) => {
    const host = cluster.host("h1");
    await host.mustRun(["mkdir", "-p", "/root"]);
    await host.write("/etc/manpath.config", "MANPATH_MAP /usr/local/bin /usr/local/share/man\n");
    await put(host, FLT_BINARY);
    before.push(...(await paths(host)));
    const said = await host.mustRun(["/root/flt", "install", "--dry-run"]);
    expect(said).toContain("Would create /usr/local/bin/flt\n");
    expect(await paths(host)).toEqual(before);
  });

  suite.case("as nobody: refused", async (cluster) => {
    const host = cluster.host("h1");
    await host.mustRun(["chmod", "755", "/root"]);
    const { code, stderr } = await host.run(["setpriv", "--reuid=65534", "--clear-groups", "/root/flt", "install"]);
    expect([code, stderr]).toEqual([1, "Cannot install flt: it needs root. --dry-run says what would be done\n"]);
    expect(await paths(host)).toEqual(before);
  });

  suite.case(
    "installs: service, group, manual, completion; the second time there is nothing to do",
    async (cluster) => {
      const host = cluster.host("h1");
      const said = await host.mustRun(["/root/flt", "install"]);
      expect(said.trimEnd().split("\n").at(-1)).toContain("systemctl enable --now flt");
      expect(await host.property("flt.service", "FragmentPath")).toBe("/etc/systemd/system/flt.service");
      expect(await host.property("flt.service", "ActiveState")).toBe("inactive");
      expect(await host.mustRun(["getent", "group", "flt"])).toStartWith("flt:");
      expect(await host.mustRun(["systemd-analyze", "verify", "flt.service", "flt.socket"])).toBe("");
      expect(await host.mustRun(["man", "-w", "flt-start"])).toEndWith("/man/man1/flt-start.1.gz\n");
      expect(await host.mustRun(["man", "-P", "cat", "5", "flt.conf"])).toContain("initial_cluster");
      expect(await host.mustRun(["flt", "--version"])).toBe("flt version 0.1.0\n");
      const again = await host.mustRun(["flt", "install"]);
      expect(again).toStartWith("Nothing to do: flt is installed\n");
    },
  );

  suite.case("the command that it has named starts the daemon; units run", async (cluster) => {
    const host = cluster.host("h1");
    await host.write("/etc/flt/flt.conf", LINE_OF_MINE);
    await host.mustRun(["systemctl", "enable", "--now", "flt"], { timeoutMs: 60_000 });
    const files = { "a.service": sleeper("a", "[X-Flt]\nMachineMetadata=disk=ssd\n"), "b.service": sleeper("b") };
    await host.mustFlt("start", ...(await writeUnits(host, files)));
    await waitActive(host, ["a.service", "b.service"]);
    pids = await pidsOf(host);
  });

  suite.case(
    "the next version, --now: the daemon is another, every unit's process the same, my file mine",
    async (cluster) => {
      const host = cluster.host("h1");
      const daemon = await host.mainPid("flt.service");
      await put(host, await buildNextVersion());
      const said = await host.mustRun(["/root/flt", "install", "--now"], { timeoutMs: 60_000 });
      expect(said).toContain("Updated /usr/local/bin/flt\n");
      expect(said).toContain("Kept /etc/flt/flt.conf: it was changed here.");
      expect(said).toEndWith("Restarted flt.service; units run on\n");
      expect(await host.mainPid("flt.service")).not.toBe(daemon);
      expect(await (await host.api("/flt/v1/version")).json()).toMatchObject({ version: NEXT_VERSION });
      expect(await host.mustRun(["cat", "/etc/flt/flt.conf"])).toBe(LINE_OF_MINE);
      await waitActive(host, ["a.service", "b.service"]);
      expect(await pidsOf(host)).toEqual(pids);
    },
  );

  suite.case("--uninstall stops nothing by itself", async (cluster) => {
    const host = cluster.host("h1");
    const installed = await paths(host);
    const { code, stderr } = await host.run(["flt", "install", "--uninstall"]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("flt.service runs. Stop it first")]);
    expect(await paths(host)).toEqual(installed);
    expect(await pidsOf(host)).toEqual(pids);
  });

  suite.case("--uninstall --now: units handed over, nothing left but my file and the data", async (cluster) => {
    const host = cluster.host("h1");
    const said = await host.mustRun(["flt", "install", "--uninstall", "--now"], { timeoutMs: 90_000 });
    expect(said).toContain("Kept /etc/flt/flt.conf: it was changed here\n");
    for (const unit of ["flt.service", "a.service", "b.service"]) {
      expect([unit, await host.property(unit, "LoadState")]).toEqual([unit, "not-found"]);
    }
    const left = (await paths(host)).filter((path) => !before.includes(path));
    expect(left.filter((path) => !path.startsWith("/var/lib/flt/"))).toEqual([
      "/etc/flt",
      "/etc/flt/flt.conf",
      "/var/lib/flt",
    ]);
    expect(left).toContain("/var/lib/flt/raft.db");
    expect(await host.mustRun(["/root/flt", "install", "--uninstall"])).toStartWith("Nothing to do");
  });
});
