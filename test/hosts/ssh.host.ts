/**
 * `ssh` and `--tunnel` against real SSH daemons. The client's host runs no flt of its own, so whatever it
 * sees it has seen through the tunnel.
 *
 * @module
 */
import { expect } from "bun:test";
import { machinesOf, sleeper, waitActive, writeUnits } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { makeIdentity, renewHostKey, startSshd } from "./lib/sshd.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually } from "./lib/wait.ts";

const KNOWN_HOSTS = "/root/.flt/known_hosts";

/** A TCP listener on each host's loopback, which only a tunnel can reach from elsewhere. */
const config = { listen_api: "unix:///run/flt.sock,http://127.0.0.1:8080" };

hostSuite("SSH", { hosts: 3, config }, (suite) => {
  const via = (gate: Host, ...words: string[]): string[] => [
    "flt",
    "--ssh-username=root",
    `--tunnel=${gate.address}`,
    "--ssh-timeout=5",
    ...words,
  ];

  suite.case("a tunnel: first contact stores the host's key, and the far API answers", async (cluster) => {
    const [client, gate, other] = cluster.hosts as [Host, Host, Host];
    const publicKey = await makeIdentity(client);
    await Promise.all([gate, other].map((host) => startSshd(host, publicKey)));
    await client.mustRun(["systemctl", "stop", "flt.service"]);
    expect((await client.flt("list-machines")).code).toBe(1);
    await eventually("two machines", 10_000, async () => (await machinesOf(gate)).length === 2);
    const first = await client.run(via(gate, "list-machines", "--full", "--no-legend"));
    expect(first.stderr).toContain(`Permanently added '${gate.address}' (ED25519) to the list of known hosts`);
    expect(first.stdout).toContain(gate.machineId);
    expect(first.stdout).not.toContain(client.machineId);
    const second = await client.run(via(gate, "list-machines"));
    expect([second.code, second.stderr]).toEqual([0, ""]);
    expect(await client.mustRun(["stat", "-c", "%a", "/root/.flt"])).toBe("700\n");
    const overTcp = via(gate, "--endpoint=http://127.0.0.1:8080", "list-machines", "--full", "--no-legend");
    expect(await client.mustRun(overTcp)).toBe(first.stdout);
  });

  suite.case("start, list-units, status, journal -f and destroy through the tunnel", async (cluster) => {
    const [client, gate] = cluster.hosts as [Host, Host, Host];
    const paths = await writeUnits(client, {
      "talking.service": "[Service]\nExecStart=/bin/sh -c 'while sleep 0.2; do echo still here; done'\n",
      "a.service": sleeper("a"),
      "b.service": sleeper("b"),
    });
    const begin = performance.now();
    const started = await client.run(via(gate, "start", ...paths));
    const tookMs = performance.now() - begin;
    expect(started.stderr).toBe("");
    expect(started.stdout.match(/launched on /g)?.length).toBe(3);
    console.error(`start of 3 units through the tunnel: ${tookMs.toFixed(0)} ms`);
    await waitActive(gate, ["a.service", "b.service", "talking.service"]);
    expect(await client.mustRun(via(gate, "list-units", "--no-legend"))).toMatch(/a\.service\t.*\tactive\trunning\n/);
    expect(await client.mustRun(via(gate, "status", "talking"))).toContain("Active: active (running)");
    const follow = via(gate, "journal", "-f", "--lines=0", "--output=cat", "talking");
    // Without --foreground timeout signals twice, itself and by the group: the second Ctrl-C ends a client before it has cleaned up.
    const followed = await client.run(["timeout", "--foreground", "--preserve-status", "-s", "INT", "3", ...follow]);
    expect(followed.stdout.match(/still here/g)?.length).toBeGreaterThan(3);
    expect(followed.code).toBe(130);
    await eventually("the end of every ssh", 5_000, async () => (await client.run(["pgrep", "-x", "ssh"])).code === 1);
    expect(await client.mustRun(["sh", "-c", "ls -d /tmp/flt-* 2>/dev/null || true"])).toBe("");
    expect((await client.run(via(gate, "destroy", "a", "b"))).stdout).toBe(
      "Destroyed a.service\nDestroyed b.service\n",
    );
  });

  suite.case("ssh: by machine, by unit, through the tunnel; the exit status passes through", async (cluster) => {
    const [client, gate, other] = cluster.hosts as [Host, Host, Host];
    const hostname = await client.run(via(gate, "ssh", other.machineId.slice(0, 4), "hostname; exit 42"));
    expect([hostname.stdout, hostname.code]).toEqual([`${other.name}\n`, 42]);
    const byUnit = await client.mustRun(via(gate, "ssh", "talking", "ls", "-1", "/run/flt/units"));
    expect(byUnit).toContain("talking.service\n");
    expect((await client.run(via(gate, "ssh", "--machine=ffff", "true"))).stderr).toContain(
      "no machine's id begins so",
    );
    // Without a tunnel the address of the registry is asked; the gate's own daemon is the endpoint.
    const direct = ["flt", "--ssh-username=root", "ssh", `--machine=${gate.machineId}`, "-A", "true"];
    expect((await client.run(direct)).code).toBe(1);
    const keys = await gate.run(["flt", "--ssh-username=root", "ssh", other.machineId, "true"]);
    expect([keys.code, keys.stderr.includes("Permission denied")]).toEqual([255, true]);
  });

  suite.case("ssh -A: the far side can use the agent, without -A it cannot", async (cluster) => {
    const [client, gate, other] = cluster.hosts as [Host, Host, Host];
    const withAgent = (flag: string): Promise<{ code: number; stdout: string }> =>
      client.run([
        "ssh-agent",
        "sh",
        "-c",
        `ssh-add -q /root/.ssh/id_ed25519 && exec ${via(gate, "ssh", flag, other.machineId, "ssh-add -l").join(" ")}`,
      ]);
    const forwarded = await withAgent("-A");
    expect([forwarded.code, forwarded.stdout]).toEqual([0, expect.stringContaining("(ED25519)")]);
    expect((await withAgent("--forward-agent=false")).code).toBe(2);
  });

  suite.case("status and journal through SSH with --ssh-port", async (cluster) => {
    const [client, gate] = cluster.hosts as [Host, Host, Host];
    const status = await client.run(via(gate, "status", "--ssh-port=22", "talking.service"));
    expect([status.code, status.stdout]).toEqual([0, expect.stringContaining("Active: active (running)")]);
    const journal = await client.run(via(gate, "journal", "--ssh-port=22", "--lines=2", "--output=cat", "talking"));
    expect([journal.code, journal.stdout]).toEqual([0, "still here\nstill here\n"]);
  });

  suite.case("a changed host key is refused, and what to do is said", async (cluster) => {
    const [client, gate] = cluster.hosts as [Host, Host];
    await renewHostKey(gate);
    await gate.mustRun(["systemctl", "kill", "--signal=HUP", "sshd-of-test.service"]);
    await eventually("the other key", 5_000, async () => {
      const { stdout } = await gate.run(["ssh-keyscan", "-t", "ed25519", gate.address]);
      return stdout.includes((await gate.mustRun(["cut", "-d ", "-f2", "/run/openssh/host_key.pub"])).trim());
    });
    const refused = await client.run(via(gate, "list-machines"));
    expect([refused.code, refused.stdout]).toEqual([1, ""]);
    expect(refused.stderr).toContain("REMOTE HOST IDENTIFICATION HAS CHANGED");
    expect(refused.stderr.trimEnd().split("\n").at(-1)).toBe(
      `Cannot open the tunnel to "${gate.address}": ssh ended with status 255: the key of host "${gate.address}" is not the one ` +
        `in ${KNOWN_HOSTS}. If you know why it has changed: ssh-keygen -R ${gate.address} -f ${KNOWN_HOSTS}`,
    );
    expect((await client.run(via(gate, "--strict-host-key-checking=false", "list-machines"))).code).toBe(0);
    await client.mustRun(["ssh-keygen", "-R", gate.address, "-f", KNOWN_HOSTS]);
    expect((await client.run(via(gate, "list-machines"))).code).toBe(0);
    expect(await client.mustRun(via(gate, "destroy", "talking"))).toBe("Destroyed talking.service\n");
  });

  suite.case("nobody there: one line from ssh, one from flt", async (cluster) => {
    const client = cluster.host("h1");
    const { code, stderr } = await client.run(["flt", "--ssh-username=root", "--tunnel=10.77.0.11", "list-units"]);
    expect(code).toBe(1);
    expect(stderr.trim().split(/\r?\n/)).toEqual([
      "ssh: connect to host 10.77.0.11 port 22: Connection refused",
      'Cannot open the tunnel to "10.77.0.11": ssh ended with status 255',
    ]);
  });
});
