/**
 * Bad input to the daemon: each refusal is one clear line and exit status 1, without a stack trace, and changes nothing.
 *
 * @module
 */
import { expect } from "bun:test";
import { leaderOf, machinesOf, startSleepers, waitActive, workloads } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import type { Outcome } from "./lib/shell.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually, steadily } from "./lib/wait.ts";

const REFUSAL_MS = 10_000;

/** Starts a daemon in the foreground, with settings from the environment. */
function daemon(host: Host, settings: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  const environment = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
  return host.run(["env", ...environment, "flt", "daemon"], { timeoutMs: REFUSAL_MS });
}

/** The last line, which is the refusal (what went before is the log of the start); fails on a stack trace. */
function refusal(outcome: Outcome): string {
  expect(outcome.code).toBe(1);
  expect(outcome.stderr + outcome.stdout).not.toMatch(/^\s+at /m);
  const lines = (outcome.stderr + outcome.stdout).trim().split("\n");
  return lines.at(-1) ?? "";
}

hostSuite("a daemon that cannot start", { hosts: 1, flt: "installed" }, (suite) => {
  const cluster = "10.77.0.11:2380,10.77.0.12:2380,10.77.0.13:2380";

  suite.case("the peer port is taken", async ({ hosts: [host] }) => {
    const taken = ["--unit=taken", "--socket-property=ListenStream=10.77.0.11:2380", "--socket-property=Accept=no"];
    await host?.mustRun(["systemd-run", ...taken, "/bin/cat"]);
    const outcome = await daemon(host as Host, { FLT_INITIAL_CLUSTER: cluster, FLT_DATA_DIR: "/var/lib/taken" });
    expect(refusal(outcome)).toMatch(/10\.77\.0\.11:2380/);
    await host?.mustRun(["systemctl", "stop", "taken.socket"]);
  });

  suite.case("the API's port is taken", async ({ hosts: [host] }) => {
    const taken = ["--unit=taken2", "--socket-property=ListenStream=127.0.0.1:4001", "--socket-property=Accept=no"];
    await host?.mustRun(["systemd-run", ...taken, "/bin/cat"]);
    const outcome = await daemon(host as Host, { FLT_LISTEN_API: "http://127.0.0.1:4001" });
    expect(refusal(outcome)).toMatch(/127\.0\.0\.1:4001/);
    await host?.mustRun(["systemctl", "stop", "taken2.socket"]);
  });

  suite.case("the data directory cannot be written", async ({ hosts: [host] }) => {
    // /usr is read-only on these hosts.
    expect(refusal(await daemon(host as Host, { FLT_DATA_DIR: "/usr/share/flt" }))).toMatch(/"\/usr\/share\/flt"/);
    expect(refusal(await daemon(host as Host, { FLT_DATA_DIR: "/etc/machine-id" }))).toMatch(
      /"\/etc\/machine-id" failed: it is a file/,
    );
  });

  suite.case("the units directory cannot be written, systemd is not blamed", async ({ hosts: [host] }) => {
    const line = refusal(await daemon(host as Host, { FLT_UNITS_DIRECTORY: "/usr/share/units" }));
    expect(line).toMatch(/"\/usr\/share\/units".*set units_directory/);
    expect(line).not.toMatch(/dbus/);
  });

  suite.case("a file is where the API's socket should be: it is kept", async ({ hosts: [host] }) => {
    await host?.write("/root/notes.txt", "precious");
    const outcome = await daemon(host as Host, { FLT_LISTEN_API: "unix:///root/notes.txt" });
    expect(refusal(outcome)).toMatch(/\/root\/notes\.txt.*no socket/);
    expect(await host?.mustRun(["cat", "/root/notes.txt"])).toBe("precious");
  });

  suite.case("the store is damaged: the directory is named, and nothing is thrown away", async ({ hosts: [host] }) => {
    await host?.mustRun(["mkdir", "-p", "/root/damaged"]);
    await host?.write("/root/damaged/raft.db", "no database at all\n".repeat(300));
    const line = refusal(await daemon(host as Host, { FLT_DATA_DIR: "/root/damaged" }));
    expect(line).toMatch(/data directory "\/root\/damaged" failed.*damaged/);
    expect(await host?.mustRun(["head", "-1", "/root/damaged/raft.db"])).toBe("no database at all\n");
  });

  suite.case("no systemd", async ({ hosts: [host] }) => {
    const hide = "mount -t tmpfs none /run/systemd && exec flt daemon";
    const outcome = await (host as Host).run(["unshare", "--mount", "sh", "-c", hide], { timeoutMs: REFUSAL_MS });
    expect(refusal(outcome)).toMatch(/systemd/);
  });

  suite.case("the configuration has a line that is none: its number is told", async ({ hosts: [host] }) => {
    await host?.write("/etc/flt/flt.conf", "agent_ttl=4s\nthis is no option\n");
    expect(refusal(await daemon(host as Host))).toMatch(/\/etc\/flt\/flt\.conf.*\b2\b/);
  });

  suite.case("a value that cannot be read names its option", async ({ hosts: [host] }) => {
    await host?.write("/etc/flt/flt.conf", "agent_ttl=soon\n");
    const line = refusal(await daemon(host as Host));
    expect(line).toMatch(/agent_ttl/);
    expect(line).toMatch(/soon/);
  });

  suite.case("advertise_peer is not in initial_cluster", async ({ hosts: [host] }) => {
    await host?.write("/etc/flt/flt.conf", "");
    const line = refusal(await daemon(host as Host, { FLT_INITIAL_CLUSTER: "10.77.0.12:2380,10.77.0.13:2380" }));
    expect(line).toMatch(/10\.77\.0\.11:2380/);
  });

  suite.case("an unknown option is a warning with a suggestion; the daemon starts", async ({ hosts: [host] }) => {
    await host?.write("/etc/flt/flt.conf", "metdata=disk=ssd\n");
    await host?.mustRun(["systemctl", "start", "flt.service"], { timeoutMs: 30_000 });
    const journal = (await host?.journal()) ?? "";
    expect(journal).toMatch(/metdata/);
    expect(journal).toMatch(/metadata/);
  });

  suite.case("a second daemon on the same host: refused, the first one goes on", async ({ hosts: [host] }) => {
    const pid = await host?.mainPid("flt.service");
    await startSleepers(host as Host, ["kept.service"]);
    await waitActive(host as Host, ["kept.service"]);
    const before = await workloads(host as Host, "kept.service");
    const held = /units in "\/run\/flt\/units" failed: another daemon on this host holds them; .* set units_directory/;
    expect(refusal(await daemon(host as Host))).toMatch(held);
    // One with a place of its own for all else would take these units for none of its cluster's, and stop them.
    const own = { FLT_DATA_DIR: "/root/second", FLT_LISTEN_API: "unix:///root/second.sock" };
    expect(refusal(await daemon(host as Host, own))).toMatch(held);
    expect(refusal(await daemon(host as Host, { FLT_UNITS_DIRECTORY: "/run/second" }))).toMatch(
      /"\/var\/lib\/flt\/raft\.db": another process is using it; stop that one first$/,
    );
    expect(await workloads(host as Host, "kept.service")).toBe(before);
    await host?.mustFlt("destroy", "kept.service");
    expect(await host?.mainPid("flt.service")).toBe(pid as number);
    expect((await host?.flt("list-machines", "--no-legend"))?.stdout).toContain("10.77.0.11");
  });

  suite.case("the data directory belongs to another cluster", async ({ hosts: [host] }) => {
    await host?.mustRun(["systemctl", "stop", "flt.service"], { timeoutMs: 60_000 });
    const line = refusal(await daemon(host as Host, { FLT_INITIAL_CLUSTER: cluster }));
    expect(line).toContain('data directory "/var/lib/flt" failed: it was made without an initial_cluster');
    expect(line).toContain(`says initial_cluster=${cluster}. Remove initial_cluster, or set data_dir to`);
    await host?.mustRun(["systemctl", "start", "flt.service"], { timeoutMs: 30_000 });
  });
});

const twin = "22222222000000000000000000002f17";

hostSuite(
  "two hosts with one machine-id",
  { hosts: 3, flt: "installed", machineIds: { h2: twin, h3: twin } },
  (suite) => {
    suite.case("the second is refused loudly, and the first is not touched", async (cluster) => {
      const [one, two, three] = cluster.hosts as [Host, Host, Host];
      await Promise.all([one, two].map((host) => host.mustRun(["systemctl", "start", "--no-block", "flt.service"])));
      await Promise.all([one, two].map((host) => cluster.ready(host)));
      await leaderOf(cluster);
      await startSleepers(one, ["first.service", "second.service"]);
      await waitActive(one, ["first.service", "second.service"]);
      const before = await workloads(two, "*st.service");

      await three.mustRun(["systemctl", "start", "--no-block", "flt.service"]);
      await eventually("a loud refusal", 15_000, async () => /same machine-id/.test(await three.journal()));
      await steadily("the first host's units", 5_000, () => workloads(two, "*st.service"));
      expect(await workloads(two, "*st.service")).toBe(before);
      const addresses = new Set((await machinesOf(one)).map((machine) => machine.primaryIP));
      expect(addresses).toEqual(new Set([one.address, two.address]));
      await waitActive(one, ["first.service", "second.service"]);
    });
  },
);
