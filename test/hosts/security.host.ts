/**
 * The sandbox round the daemon: what systemd says of it is what examples/SECURITY.md says, it holds, and no unit is in it.
 *
 * @module
 */
import { expect } from "bun:test";
import { waitActive, writeUnits } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";

const DOCUMENT = `${import.meta.dir}/../../examples/SECURITY.md`;

interface Item {
  readonly name: string;
  readonly exposure: string | null;
}

/** A line of proc_pid_status(5). */
async function statusLine(host: Host, pid: number, name: string): Promise<string> {
  const text = await host.mustRun(["cat", `/proc/${pid}/status`]);
  return new RegExp(`^${name}:\\s*(.*)$`, "m").exec(text)?.[1] ?? "";
}

hostSuite("the daemon's sandbox", { hosts: 1 }, (suite) => {
  suite.case(
    "systemd-analyze security: the exposure and every open item are explained, and nothing else",
    async (cluster) => {
      const host = cluster.host("h1");
      const items = JSON.parse(
        await host.mustRun(["systemd-analyze", "security", "--no-pager", "--json=short", "flt.service"]),
      ) as Item[];
      const open = items
        .filter(({ exposure }) => Number(exposure ?? 0) > 0)
        .map(({ name, exposure }) => `${name} ${exposure}`);
      const text = await Bun.file(DOCUMENT).text();
      const rows = [...text.matchAll(/^\| `([^`]+)` \| ([\d.]+) \|/gm)];
      expect(rows.map(([, name, exposure]) => `${name?.replaceAll("\\|", "|")} ${exposure}`).sort()).toEqual(
        open.sort(),
      );
      const table = await host.mustRun(["systemd-analyze", "security", "--no-pager", "flt.service"]);
      const [, exposure] = /Overall exposure level for flt\.service: (\d\.\d)/.exec(table) ?? [];
      expect(text).toContain(`exposure **${exposure}, OK**`);
      console.error(`exposure of flt.service: ${exposure}; ${open.length} items open`);
    },
  );

  suite.case("it holds: capabilities, no new privileges, system calls, files", async (cluster) => {
    const host = cluster.host("h1");
    const pid = await host.mainPid("flt.service");
    // CAP_CHOWN (0), CAP_DAC_READ_SEARCH (2), CAP_NET_BIND_SERVICE (10)
    expect(await statusLine(host, pid, "CapEff")).toBe("0000000000000405");
    expect(await statusLine(host, pid, "NoNewPrivs")).toBe("1");
    expect(await statusLine(host, pid, "Seccomp")).toBe("2");
    const inside = ["nsenter", `--target=${pid}`, "--mount", "--"];
    for (const path of ["/usr/x", "/etc/x", "/root/x", "/sys/x", "/proc/sys/kernel/hostname"]) {
      const { code, stderr } = await host.run([...inside, "sh", "-c", `echo x >${path}`]);
      expect([path, code, stderr]).toEqual([path, 2, expect.stringContaining("Read-only file system")]);
    }
    expect(
      (await host.run([...inside, "sh", "-c", "echo x >/run/x && echo x >/var/lib/flt/x && rm /run/x /var/lib/flt/x"]))
        .code,
    ).toBe(0);
  });

  suite.case("a unit has nothing of it: its processes are systemd's own", async (cluster) => {
    const host = cluster.host("h1");
    const files = {
      "free.service": "[Service]\nExecStart=/bin/sh -c 'echo 1 >/etc/written-by-unit && exec sleep infinity'\n",
      "plain.service": "[Service]\nExecStart=/bin/sleep infinity\n",
    };
    const [free = "", plain = ""] = await writeUnits(host, files);
    await host.mustFlt("start", free);
    await waitActive(host, ["free.service"]);
    const pid = await host.mainPid("free.service");
    // The same unit in systemd's own hands.
    await host.mustRun(["cp", plain, "/run/systemd/system/plain.service"]);
    await host.mustRun(["systemctl", "daemon-reload"]);
    await host.mustRun(["systemctl", "start", "plain.service"]);
    const other = await host.mainPid("plain.service");
    for (const name of ["CapBnd", "CapEff", "NoNewPrivs", "Seccomp"]) {
      expect([name, await statusLine(host, pid, name)]).toEqual([name, await statusLine(host, other, name)]);
    }
    expect(await host.mustRun(["readlink", `/proc/${pid}/ns/mnt`])).toBe(
      await host.mustRun(["readlink", "/proc/1/ns/mnt"]),
    );
    expect(await host.mustRun(["cat", "/etc/written-by-unit"])).toBe("1\n");
  });

  suite.case(
    "what the daemon needs: status with other users' processes, a port below 1024, a key of another user",
    async (cluster) => {
      const host = cluster.host("h1");
      await host.write("/tmp/nobody.service", "[Service]\nUser=nobody\nExecStart=/bin/sleep 31337\n");
      await host.mustFlt("start", "/tmp/nobody.service");
      expect(await host.mustFlt("status", "nobody")).toContain("/bin/sleep 31337");
      await host.write("/etc/flt/flt.conf", "listen_api=/run/flt.sock,http://127.0.0.1:81\n");
      await host.mustRun(["sh", "-c", "chown nobody /etc/flt/flt.conf && chmod 600 /etc/flt/flt.conf"]);
      await host.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 30_000 });
      expect(await host.mustRun(["curl", "-s", "http://127.0.0.1:81/flt/v1/version"])).toContain(host.machineId);
      expect((await host.mustRun(["stat", "-c", "%G %a", "/run/flt.sock"])).trim()).toBe("flt 660");
    },
  );
});
