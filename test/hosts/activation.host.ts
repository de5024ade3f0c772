/**
 * examples/flt.socket on a real systemd: the API's sockets are there before the daemon, and outlive it.
 *
 * @module
 */
import { expect } from "bun:test";
import { readFile } from "node:fs/promises";
import { sleeper, waitActive, writeUnits } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually } from "./lib/wait.ts";

const EXAMPLES = `${import.meta.dir}/../../examples`;
const TCP = ["curl", "-s", "http://127.0.0.1:8080/flt/v1/version"];

async function socketFile(host: Host): Promise<string> {
  return (await host.mustRun(["stat", "-c", "%A %U %G %i", "/run/flt.sock"])).trim();
}

async function descriptors(host: Host, pid: number): Promise<string[]> {
  return (await host.mustRun(["ls", "-l", `/proc/${pid}/fd`])).split("\n").filter((line) => line.includes("socket:"));
}

hostSuite("socket activation", { hosts: 1, flt: "installed" }, (suite) => {
  suite.case("the sockets are there without a daemon; the first client starts it and is answered", async (cluster) => {
    const host = cluster.host("h1");
    const unit = await readFile(`${EXAMPLES}/flt.socket`, "utf8");
    await host.write("/etc/systemd/system/flt.socket", unit.replace("# ListenStream=127", "ListenStream=127"));
    await host.mustRun(["systemctl", "daemon-reload"]);
    await host.mustRun(["systemctl", "start", "flt.socket"]);
    expect(await socketFile(host)).toStartWith("srw-rw---- root flt ");
    expect(await host.property("flt.service", "ActiveState")).toBe("inactive");
    const first = await host.flt("list-machines", "--no-legend");
    expect([first.code, first.stderr]).toEqual([0, ""]);
    await eventually("the machine", 5_000, async () => {
      return (await host.mustFlt("list-machines", "--no-legend")).includes(host.machineId.slice(0, 8));
    });
    expect(await host.property("flt.service", "ActiveState")).toBe("active");
    expect((await host.run(TCP)).stdout).toContain(host.machineId);
  });

  suite.case("units start, silent streams stay open, nothing of the sockets reaches a child", async (cluster) => {
    const host = cluster.host("h1");
    const paths = await writeUnits(host, { "talk.service": sleeper("talk") });
    await host.mustFlt("start", ...paths);
    await waitActive(host, ["talk.service"]);
    // Bun's servers end silent connections after 10 s, if they are let.
    const follower = host.run(["timeout", "11", "flt", "journal", "-f", "--lines=0", "talk.service"]);
    const events = host.run([
      "timeout",
      "11",
      "curl",
      "-sN",
      "http://127.0.0.1:8080/flt/v1/events?unitName=none.service",
    ]);
    const child = await eventually("journalctl", 5_000, async () => {
      return Number((await host.run(["pgrep", "-x", "journalctl"])).stdout) || undefined;
    });
    expect((await descriptors(host, child)).length).toBeLessThan(4);
    expect(await host.mustRun(["cat", `/proc/${child}/environ`])).not.toContain("LISTEN_");
    // Ended by timeout(1), not by the daemon.
    expect([(await follower).code, (await events).code]).toEqual([124, 124]);
    await eventually("journalctl to end with its reader", 5_000, async () => {
      return (await host.run(["pgrep", "-x", "journalctl"])).code === 1;
    });
  });

  suite.case(
    "the sockets survive restarts and a killed daemon: clients wait instead of being refused",
    async (cluster) => {
      const host = cluster.host("h1");
      const before = await socketFile(host);
      const pid = await host.mainPid("talk.service");
      // Sixty commands, and three restarts in the middle of them: none is refused, none loses its answer.
      const script = "for i in $(seq 60); do flt list-unit-files --no-legend || exit 1; done";
      const asking = host.run(["sh", "-c", script], { timeoutMs: 50_000 });
      for (let round = 0; round < 3; round++) {
        await host.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 30_000 });
      }
      const { code, stdout, stderr } = await asking;
      expect([code, stderr]).toEqual([0, ""]);
      expect(stdout.match(/talk\.service/g)).toHaveLength(60);
      await host.killDaemon();
      expect(await host.mustFlt("list-unit-files", "--no-legend")).toContain("talk.service");
      expect(await socketFile(host)).toBe(before);
      expect((await host.run(TCP)).stdout).toContain(host.machineId);
      expect(await host.mainPid("talk.service")).toBe(pid);
    },
  );

  suite.case("a reload leaves them open, and opens what listen_api asks for beside them", async (cluster) => {
    const host = cluster.host("h1");
    await host.write("/etc/flt/flt.conf", "listen_api=/run/flt.sock,http://127.0.0.1:8081\n");
    await host.mustRun(["systemctl", "reload", "flt.service"]);
    const beside = ["curl", "-s", "http://127.0.0.1:8081/flt/v1/version"];
    await eventually("the third listener", 5_000, async () => (await host.run(beside)).code === 0);
    expect((await host.run(TCP)).code).toBe(0);
    expect(await host.mustFlt("list-units")).toContain("talk.service");
    expect(await host.journal()).not.toContain("failed");
  });

  suite.case("a stop leaves the socket to systemd, and the next client starts the daemon again", async (cluster) => {
    const host = cluster.host("h1");
    await host.mustRun(["systemctl", "stop", "flt.service"], { timeoutMs: 60_000 });
    expect(await host.property("flt.service", "Result")).toBe("success");
    expect(await host.property("flt.socket", "ActiveState")).toBe("active");
    expect((await host.flt("list-machines")).code).toBe(0);
    await host.mustRun(["systemctl", "stop", "flt.socket", "flt.service"], { timeoutMs: 60_000 });
    expect((await host.flt("list-machines")).stderr).toContain("nothing listens there");
    // Without the socket unit the daemon makes its own again, over what is left of the old one.
    await host.mustRun(["systemctl", "start", "flt.service"], { timeoutMs: 30_000 });
    expect(await socketFile(host)).toStartWith("srw-rw---- root flt ");
    expect((await host.flt("list-machines")).code).toBe(0);
  });

  suite.case(
    "enabled together in any order, and on a host whose daemon runs: the socket is systemd's",
    async (cluster) => {
      const host = cluster.host("h1");
      const disable = ["systemctl", "disable", "flt.socket", "flt.service"];
      for (const order of [
        ["flt.service", "flt.socket"],
        ["flt.socket", "flt.service"],
      ]) {
        await host.mustRun(["systemctl", "stop", "flt.socket", "flt.service"], { timeoutMs: 60_000 });
        const { code, stderr } = await host.run(["systemctl", "enable", "--now", ...order], { timeoutMs: 60_000 });
        expect([order, code, stderr.includes("failed")]).toEqual([order, 0, false]);
        expect(await host.property("flt.socket", "ActiveState")).toBe("active");
        expect(await host.property("flt.service", "ActiveState")).toBe("active");
        await host.mustRun(disable);
      }
      await host.mustRun(["systemctl", "stop", "flt.socket", "flt.service"], { timeoutMs: 60_000 });
      await host.mustRun(["systemctl", "start", "flt.service"], { timeoutMs: 60_000 });
      expect(await host.property("flt.socket", "ActiveState")).toBe("inactive");
      await host.mustRun(["systemctl", "enable", "flt.socket"]);
      await host.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 60_000 });
      expect(await host.property("flt.socket", "ActiveState")).toBe("active");
      expect((await host.flt("list-machines")).code).toBe(0);
      await host.mustRun(disable);
      expect((await host.run(["ls", "/etc/systemd/system/flt.service.wants"])).code).not.toBe(0);
    },
  );
});
