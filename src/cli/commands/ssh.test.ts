/**
 * ssh, --tunnel and the SSH ways of status and journal: who is called, with which words, and how it ends.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { CliWorld, M1 } from "../../../test/fakes/cli-world.ts";

const HELLO = "[Service]\nExecStart=/bin/true\n";
const GLOBAL = `${HELLO}[X-Fleet]\nGlobal=true\n`;

let world: CliWorld;
beforeEach(async () => {
  world = new CliWorld();
  world.files.set("hello.service", HELLO);
  world.files.set("odd\\x2d.service", HELLO);
  world.files.set("everywhere.service", GLOBAL);
  world.fleet.autoplace(M1);
  await world.run("start", "hello.service", "everywhere.service", "odd\\x2d.service");
});

/** The destination's end of ssh's words. */
function destinations(): string[] {
  return world.ssh.runs.map((args) => args.slice(args.indexOf("--")).join(" "));
}

describe("ssh", () => {
  test("machine by a beginning of its id, unit by its name, and the exit status of what ran there", async () => {
    world.ssh.result = { status: 42, isKeyRefused: false };
    expect(await world.run("ssh", "113f", "ls", "-l", "--full", "*")).toEqual({ status: 42, out: "", err: "" });
    expect((await world.run("ssh", "hello")).status).toBe(42);
    await world.run("ssh", "--machine=2222", "uptime");
    await world.run("ssh", "--unit", "hello.service", "--", "-x", "y");
    await world.run("ssh", "113f", "--", "-x");
    expect(destinations()).toEqual([
      "-- 172.17.8.103 ls -l --full *",
      "-- 172.17.8.103",
      "-- 172.17.8.104 uptime",
      "-- 172.17.8.103 -x y",
      "-- 172.17.8.103 -x",
    ]);
    expect(world.folders).toContain("/home/me/.flt/");
  });

  test("agent, port, user, known hosts", async () => {
    await world.run("--ssh-username=root", "ssh", "-A", "--ssh-port=2222", "--known-hosts-file=~/kh", "113f");
    const [args = []] = world.ssh.runs;
    expect(args).toContain("-A");
    expect(args.join(" ")).toContain("-p 2222 -l root");
    expect(args).toContain('UserKnownHostsFile="/home/me/kh"');
    world.files.set("/home/me/.fleetctl/known_hosts", "");
    await world.run("ssh", "--strict-host-key-checking=false", "113f");
    await world.run("ssh", "113f");
    expect(world.ssh.runs[1]).toContain("StrictHostKeyChecking=no");
    expect(world.ssh.runs[2]).toContain('UserKnownHostsFile="/home/me/.fleetctl/known_hosts"');
    expect(world.ssh.runs[2]).not.toContain("-A");
  });

  test("a changed key: what to do", async () => {
    world.ssh.result = { status: 255, isKeyRefused: true };
    const { status, err } = await world.run("ssh", "--ssh-port=2222", "113f");
    expect(status).toBe(255);
    expect(err).toContain('the key of host "[172.17.8.103]:2222" is not the one in /home/me/.flt/known_hosts');
    expect(err).toContain("ssh-keygen -R '[172.17.8.103]:2222' -f /home/me/.flt/known_hosts\n");
  });

  test("refusals", async () => {
    world.fleet.addMachine("113f16a7000000000000000000000009", "10.0.0.9");
    world.fleet.addMachine("3333", "-oProxyCommand=touch /tmp/x");
    world.fleet.addMachine("4444", "");
    const cases: readonly (readonly [string[], string])[] = [
      [["ssh"], "Provide one machine or unit"],
      [["ssh", "--machine=1", "--unit=x"], "Both --machine and --unit"],
      [["ssh", "113f"], "2 ids begin so"],
      [["ssh", "--machine=9"], "no machine's id begins so"],
      [["ssh", "nobody"], "neither a machine nor a unit"],
      [["ssh", "--unit=nobody"], "it does not exist"],
      [["ssh", "everywhere"], "it is on 2 machines; say --machine"],
      [["ssh", "3333"], "is no host"],
      [["ssh", "4444"], "it has told no address"],
      [["ssh", "--ssh-port=0", "2222"], '"0" is no port'],
      [["ssh", "--ssh-username=-x", "2222"], "is no user name"],
    ];
    for (const [argv, words] of cases) {
      const { status, err } = await world.run(...argv);
      expect([argv, status]).toEqual([argv, 1]);
      expect(err).toContain(words);
    }
    expect(world.ssh.runs).toEqual([]);
  });
});

describe("status and journal through SSH", () => {
  test("with --ssh-port: systemctl and journalctl on the unit's machine, names quoted", async () => {
    world.ssh.result = { status: 3, isKeyRefused: false };
    expect((await world.run("status", "--ssh-port=22", "odd\\x2d.service")).status).toBe(3);
    await world.run("journal", "--ssh-port=22", "--sudo", "--lines=5", "-f", "--output", "a;id", "hello");
    expect(destinations()).toEqual([
      "-- 172.17.8.103 systemctl status -l --no-pager -- 'odd\\x2d.service'",
      "-- 172.17.8.103 sudo journalctl --unit=hello.service --no-pager --lines=5 '--output=a;id' --follow",
    ]);
    expect((await world.run("status", "--ssh-port=22", "everywhere")).out).toBe(
      "==> 113f16a7.../172.17.8.103 <==\n\n==> 22222222.../172.17.8.104 <==\n",
    );
  });

  test("without such an API", async () => {
    world.answer = (path) => {
      return /\/(status|journal|properties|dependencies)$/.test(path) ? new Response(null, { status: 404 }) : null;
    };
    await world.run("status", "hello");
    await world.run("journal", "hello");
    const asText = await world.run("show", "-p", "MainPID,Machine", "hello");
    const asValue = await world.run("show", "-P", "Id", "hello");
    const tree = await world.run("list-dependencies", "--all", "hello");
    expect(destinations()).toEqual([
      "-- 172.17.8.103 systemctl status -l --no-pager -- hello.service",
      "-- 172.17.8.103 journalctl --unit=hello.service --no-pager --lines=10 --output=short",
      "-- 172.17.8.103 systemctl show --no-pager --property=MainPID -- hello.service",
      "-- 172.17.8.103 systemctl show --no-pager --value --property=Id -- hello.service",
      "-- 172.17.8.103 systemctl list-dependencies --no-pager --all -- hello.service",
    ]);
    // The cluster's own words follow what the machine says.
    expect([asText.out, asValue.out, tree.out]).toEqual([`Machine=${M1}\n`, "", ""]);
    expect(await world.run("show", "-o", "json", "hello")).toEqual({
      status: 1,
      out: "",
      err:
        "Cannot show hello.service as JSON: its machine's daemon cannot be asked (listen_peer). " +
        "Leave --output out: as text it comes through SSH\n",
    });
  });

  test("show and list-dependencies with --ssh-port; what the cluster alone knows asks no machine", async () => {
    await world.run("show", "--ssh-port=2222", "-p", "Machine", "hello");
    expect(destinations()).toEqual([]);
    world.ssh.result = { status: 255, isKeyRefused: false };
    expect((await world.run("show", "--ssh-port=2222", "hello")).status).toBe(255);
    expect((await world.run("list-dependencies", "--reverse", "--plain", "--ssh-port=2222", "hello")).status).toBe(255);
    expect(destinations()).toEqual([
      "-- 172.17.8.103 systemctl show --no-pager -- hello.service",
      "-- 172.17.8.103 systemctl list-dependencies --no-pager --reverse --plain -- hello.service",
    ]);
    expect((await world.run("show", "--ssh-port=2222", "-o", "json", "hello")).err).toContain(
      "as JSON with --ssh-port",
    );
  });
});

describe("--tunnel", () => {
  test("requests go through it, machines are reached through it, and it is closed at the end", async () => {
    expect((await world.run("--tunnel", "gate:2222", "list-machines", "--no-legend")).status).toBe(0);
    const [plan] = world.ssh.tunnels;
    expect(plan?.host).toBe("gate");
    expect(plan?.options.join(" ")).toContain("-p 2222 -l core");
    expect(plan?.carry).toEqual({
      kind: "command",
      line:
        "exec sh -c 'if command -v flt >/dev/null 2>&1; then exec flt fd-forward /run/flt.sock; " +
        "else exec fleetctl fd-forward /run/flt.sock; fi'",
    });
    expect(world.sockets.at(-1)).toBe("/tmp/tunnel.sock");
    await world.run("--tunnel=gate", "ssh", "113f", "uptime");
    expect(world.ssh.runs[0]?.join(" ")).toContain("ProxyCommand=through");
    expect(world.ssh.open).toBe(0);
    world.environment = { ...world.environment, FLEETCTL_TUNNEL: "gate" };
    await world.run("--endpoint=http://[::1]:8080", "list-units");
    expect(world.ssh.tunnels.at(-1)?.carry).toEqual({ kind: "tcp", address: "[::1]:8080" });
    await world.run("version");
    await world.run("fd-forward", "/run/flt.sock");
    expect(world.ssh.tunnels.length).toBe(3);
    expect(world.forwarded).toEqual(["/run/flt.sock"]);
  });

  test("failures say where, why, and what to do", async () => {
    world.ssh.result = { status: 255, isKeyRefused: true };
    expect(await world.run("--tunnel=gate", "list-units")).toEqual({
      status: 1,
      out: "",
      err:
        'Cannot open the tunnel to "gate": the key of host "gate" is not the one in /home/me/.flt/known_hosts. ' +
        "If you know why it has changed: ssh-keygen -R gate -f /home/me/.flt/known_hosts\n",
    });
    expect((await world.run("--tunnel=-x", "list-units")).err).toContain("is no host");
    const interrupted = world.start(["--tunnel=gate", "list-units"]);
    interrupted.interrupt();
    expect(await interrupted.done).toEqual({ status: 130, out: "", err: "Interrupted\n" });
    expect((await world.run("fd-forward")).err).toBe("One socket must be given\n");
    world.ssh.result = { status: 0, isKeyRefused: false };
    world.connectionError = new Error("refused");
    expect((await world.run("--tunnel=gate", "list-units")).err).toContain("unix:///run/flt.sock through gate");
    expect(world.ssh.open).toBe(0);
  });
});
