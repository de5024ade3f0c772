/**
 * The names that the executable answers to as a daemon, and section 8 of spec/fleet.md: each key of a fleet.conf is in effect or
 * noted in the log, and FLEET_ names are known.
 *
 * @module
 */
import { expect } from "bun:test";
import { machinesOf } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually } from "./lib/wait.ts";

/** Every key of section 8 but etcd_servers: etcd.host.ts has a file with it. */
const FLEET_CONF = `# as fleet's own example has it
verbosity=1
etcd_request_timeout=1.5
etcd_cafile=/etc/ssl/ca.pem
etcd_keyfile=/etc/ssl/key.pem
etcd_certfile="/etc/ssl/cert.pem"
etcd_username=root
etcd_password=coreos-secret
etcd_key_prefix="/_coreos.com/other/"
public_ip="10.77.0.11"
metadata=region=us-west, az = "us-west-1" , region=eu
agent_ttl="30s"
engine_reconcile_interval=2
token_limit=3
disable_engine=false
disable_watches=false
verify_units=false
authorized_keys_file="~/.ssh/authorized_keys"
units_directory="/run/fleet/units/"
systemd_user=false
enable_grpc=true
`;
const IGNORED =
  "etcd_request_timeout etcd_cafile etcd_keyfile etcd_certfile etcd_username etcd_password disable_watches verify_units " +
  "authorized_keys_file enable_grpc";

const SERVICE = ["Type=notify", "NotifyAccess=main", "WatchdogSec=15s", "TimeoutStopSec=45s"];

/** Starts the executable under this name as a service of the name. */
async function start(host: Host, name: string, ...environment: string[]): Promise<void> {
  const properties = [...SERVICE, ...environment.map((text) => `Environment=${text}`)];
  const flags = properties.flatMap((text) => ["--property", text]);
  await host.mustRun(["systemd-run", `--unit=${name}`, ...flags, `/opt/bin/${name}`], { timeoutMs: 30_000 });
}

async function stop(host: Host, name: string): Promise<void> {
  await host.mustRun(["systemctl", "stop", `${name}.service`], { timeoutMs: 60_000 });
}

function client(host: Host, name: string, ...words: string[]): Promise<string> {
  return host.mustRun([`/opt/bin/${name}`, ...words]);
}

hostSuite("the daemon's names", { hosts: 1, flt: "installed" }, (suite) => {
  suite.case("each says who it is", async (cluster) => {
    const host = cluster.host("h1");
    await host.mustRun(["mkdir", "-p", "/opt/bin", "/etc/fleet"]);
    for (const name of ["fleetd", "fltd", "fleetctl", "fltctl"]) {
      await host.mustRun(["ln", "-s", "/usr/local/bin/flt", `/opt/bin/${name}`]);
      expect(await client(host, name, "--version")).toMatch(new RegExp(`^${name} version \\d`));
    }
    expect(await client(host, "fleetd", "--help")).toStartWith("Usage: ");
    const wrong = await host.run(["/opt/bin/fleetd", "list-units"]);
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringMatching(/^fleetd: .*"list-units".*\n$/)]);
    const missing = await host.run(["/opt/bin/fltd", "--config=/nowhere.conf"]);
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringMatching(/^fltd: .*"\/nowhere.conf".*\n$/)]);
  });

  suite.case("fleetd: /etc/fleet/fleet.conf and /var/run/fleet.sock, every key in effect or noted", async (cluster) => {
    const host = cluster.host("h1");
    await host.write("/etc/fleet/fleet.conf", FLEET_CONF);
    await host.write("/etc/flt/flt.conf", "this is not read\n");
    await start(host, "fleetd");
    const machines = await eventually("the machine", 5_000, async () => {
      const shown = await client(host, "fleetctl", "list-machines", "--full", "--no-legend");
      return shown === "" ? undefined : shown;
    });
    expect(machines).toMatch(new RegExp(`^${host.machineId}\\s+10\\.77\\.0\\.11\\s+az=us-west-1,region=eu\n$`));
    expect((await host.run(["test", "-S", "/var/run/fleet.sock"])).code).toBe(0);
    expect((await host.run(["test", "-e", "/run/flt.sock"])).code).toBe(1);

    const journal = await host.journal("fleetd.service");
    for (const key of IGNORED.split(" ")) {
      expect(journal).toMatch(new RegExp(`Option "${key}" in "/etc/fleet/fleet.conf" line \\d+ has no effect: `));
    }
    expect(journal).toContain("ttlMs=30000");
    expect(journal).not.toContain("coreos-secret");
    expect((await host.run(["test", "-d", "/run/fleet/units/.launched"])).code).toBe(0);

    const units = ["a", "b", "c", "d"].map((name) => `/tmp/${name}.service`);
    for (const path of units) await host.write(path, "[Service]\nExecStart=/bin/sleep infinity\n");
    await client(host, "fleetctl", "start", ...units);
    const page = await host.mustRun(["curl", "-s", "--unix-socket", "/var/run/fleet.sock", "http://x/fleet/v1/units"]);
    expect((JSON.parse(page) as { units: unknown[] }).units).toHaveLength(3);
    expect(await host.property("a.service", "FragmentPath")).toContain("/a.service");
    expect(await host.mustRun(["ls", "/run/fleet/units"])).toBe("a.service\nb.service\nc.service\nd.service\n");
    await stop(host, "fleetd");
    expect(await host.property("a.service", "LoadState")).toBe("not-found");
  });

  suite.case("FLEET_ variables win over the file, FLT_ over those", async (cluster) => {
    const host = cluster.host("h1");
    await start(host, "fleetd", "FLEET_METADATA=from=fleet", "FLEET_PUBLIC_IP=10.0.0.7", "FLT_PUBLIC_IP=10.0.0.8");
    const machine = await eventually("the machine", 5_000, async () => {
      const shown = await client(host, "fleetctl", "list-machines", "--no-legend");
      return shown.includes("10.0.0.") ? shown : undefined;
    });
    expect(machine).toMatch(/\.\.\.\s+10\.0\.0\.8\s+from=fleet\n$/);
    await stop(host, "fleetd");
  });

  suite.case("fltd: /etc/flt/flt.conf and /run/flt.sock", async (cluster) => {
    const host = cluster.host("h1");
    await host.write("/etc/flt/flt.conf", "etcd_key_prefix=/_coreos.com/other/\nmetadata=by=fltd\n");
    await start(host, "fltd");
    await eventually("the machine", 5_000, async () => {
      return (await machinesOf(host))[0]?.metadata?.by === "fltd";
    });
    expect((await host.run(["test", "-e", "/run/fleet.sock"])).code).toBe(1);
    // The store is the same; who is called fleetctl finds flt's socket, too.
    expect(await client(host, "fleetctl", "list-unit-files", "--no-legend", "--fields=unit")).toContain("d.service");
    await stop(host, "fltd");
  });
});
