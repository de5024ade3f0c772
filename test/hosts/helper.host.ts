/**
 * The helper itself, on plain systemd hosts: what it promises is what every other host test leans on.
 *
 * @module
 */
import { expect } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { Cluster } from "./lib/cluster.ts";
import type { Host } from "./lib/host.ts";
import { CommandError, exec } from "./lib/shell.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually, sleep } from "./lib/wait.ts";
import { listTags, removeLeftovers } from "./lib/workspace.ts";

const PORT = 4000;

/** Does a TCP connect from one host to another get any answer, be it a refusal? Silence is what a cut looks like. */
async function answers(from: Host, to: Host): Promise<boolean> {
  const probe = `exec 3<>/dev/tcp/${to.address}/${PORT}`;
  const outcome = await from.run(["timeout", "1", "bash", "-c", probe]);
  return outcome.code !== 124;
}

function traces(tag: string): string[] {
  const namespaces = existsSync("/run/netns") ? readdirSync("/run/netns").filter((name) => name.startsWith(tag)) : [];
  return [...namespaces, ...(existsSync(`/var/tmp/flt-hosts/${tag}`) ? [tag] : [])];
}

hostSuite("hosts", { hosts: 3, flt: false }, (suite) => {
  suite.case("each is a machine of its own: systemd, D-Bus, machine-id, address", async (cluster) => {
    for (const host of cluster.hosts) {
      expect((await host.mustRun(["systemctl", "is-system-running", "--wait"])).trim()).toBe("running");
      expect((await host.mustRun(["cat", "/etc/machine-id"])).trim()).toBe(host.machineId);
      expect(await host.mustRun(["ip", "-4", "addr", "show", "host0"])).toContain(`${host.address}/24`);
      expect(await host.mustRun(["busctl", "list"])).toContain("org.freedesktop.systemd1");
      expect(await host.mustRun(["stat", "-fc", "%T", "/sys/fs/cgroup"])).toBe("cgroup2fs\n");
    }
  });

  suite.case("commands give stdout, stderr and exit code; a deadline ends them", async (cluster) => {
    const host = cluster.host("h1");
    expect(await host.run(["sh", "-c", "echo out; echo err >&2; exit 3"])).toEqual({
      code: 3,
      stdout: "out\n",
      stderr: "err\n",
    });
    const late = host.run(["sleep", "60"], { timeoutMs: 200 }).catch((error: unknown) => error);
    expect(await late).toBeInstanceOf(CommandError);
    // What is left of it is dead: its new parent is outside and may collect it late.
    const running = ["pgrep", "--exact", "--runstates=S,R,D", "sleep"];
    await eventually("the end of sleep", 2_000, async () => (await host.run(running)).code === 1);
  });

  suite.case("a unit of several processes starts and stops at once", async (cluster) => {
    const host = cluster.host("h1");
    await host.mustRun(["systemd-run", "--unit=pair", "sh", "-c", "sleep 1000 & sleep 1000"]);
    expect(await host.property("pair.service", "ActiveState")).toBe("active");
    await host.mustRun(["systemctl", "stop", "pair.service"], { timeoutMs: 3_000 });
    expect(await host.mustRun(["journalctl", "--unit=pair.service"])).toContain("Stopped");
  });

  suite.case("a cut host is silent in both directions, until it is healed", async (cluster) => {
    const [one, two, three] = cluster.hosts as [Host, Host, Host];
    expect(await answers(one, two)).toBe(true);
    await one.cut();
    expect(await answers(one, two)).toBe(false);
    expect(await answers(two, one)).toBe(false);
    expect(await answers(two, three)).toBe(true);
    await one.heal();
    expect(await answers(two, one)).toBe(true);
  });

  suite.case("a pair can be cut while both reach the third", async (cluster) => {
    const [one, two, three] = cluster.hosts as [Host, Host, Host];
    await cluster.network.cutPair("h1", "h2");
    expect(await answers(one, two)).toBe(false);
    expect(await answers(one, three)).toBe(true);
    expect(await answers(two, three)).toBe(true);
    await cluster.network.healPair("h2", "h1");
    expect(await answers(one, two)).toBe(true);
  });

  suite.case("a power cut is silent, and keeps what was on disk", async (cluster) => {
    const [one, two] = cluster.hosts as [Host, Host, Host];
    await one.mustRun(["sh", "-c", "echo kept >/var/lib/flt/note; echo lost >/run/note"]);
    const listen = ["systemd-run", "--unit=peer", "bash", "-c", `exec 3<>/dev/tcp/${two.address}/22; read -r x <&3`];
    await one.run(listen);
    await one.powerOff();
    expect(one.isOn).toBe(false);
    expect(await answers(two, one)).toBe(false);
    await one.powerOn();
    expect(await one.mustRun(["cat", "/var/lib/flt/note"])).toBe("kept\n");
    expect((await one.run(["cat", "/run/note"])).code).not.toBe(0);
    expect(await answers(two, one)).toBe(true);
  });

  suite.case("an orderly shutdown stops the units first", async (cluster) => {
    const host = cluster.host("h3");
    const script = "trap 'echo bye >/var/lib/flt/bye; exit 0' TERM; while :; do sleep 0.1; done";
    await host.mustRun(["systemd-run", "--unit=polite", "bash", "-c", script]);
    await sleep(300);
    await host.shutdown();
    await host.powerOn();
    expect(await host.mustRun(["cat", "/var/lib/flt/bye"])).toBe("bye\n");
  });
});

hostSuite("the helper", { hosts: 1, flt: false }, (suite) => {
  suite.case("removes all of a cluster, twice if asked", async () => {
    const cluster = await Cluster.boot({ hosts: 2, flt: false });
    expect(traces(cluster.tag)).not.toEqual([]);
    await cluster.remove();
    await cluster.remove();
    expect(traces(cluster.tag)).toEqual([]);
  });

  suite.case("removes what a killed run left behind, and nothing of a living one", async (own) => {
    const source = `import { Cluster } from "${import.meta.dir}/lib/cluster.ts";
      const cluster = await Cluster.boot({ hosts: 1, flt: false });
      console.log(cluster.tag);
      await new Promise(() => setInterval(() => {}, 1000));`;
    const child = Bun.spawn([process.execPath, "-e", source], { stdout: "pipe", stderr: "inherit" });
    const { value } = await child.stdout.getReader().read();
    const tag = new TextDecoder().decode(value).trim();
    expect(await removeLeftovers()).not.toContain(tag);
    child.kill("SIGKILL");
    await child.exited;
    expect(await removeLeftovers()).toContain(tag);
    expect(traces(tag)).toEqual([]);
    expect((await exec(["pgrep", "-f", `machine=${tag}-`])).stdout).toBe("");
    expect(listTags().map((entry) => entry.tag)).toContain(own.tag);
  });

  suite.case("removes its clusters when it is told to end", async () => {
    const source = `import { Cluster } from "${import.meta.dir}/lib/cluster.ts";
      const cluster = await Cluster.boot({ hosts: 1, flt: false });
      console.log(cluster.tag);
      await new Promise(() => setInterval(() => {}, 1000));`;
    const child = Bun.spawn([process.execPath, "-e", source], { stdout: "pipe", stderr: "inherit" });
    const { value } = await child.stdout.getReader().read();
    const tag = new TextDecoder().decode(value).trim();
    child.kill("SIGTERM");
    expect(await child.exited).toBe(130);
    expect(traces(tag)).toEqual([]);
  });
});
