/**
 * The commands against a fake cluster: output, order and exit statuses as fleet's users know them (the contract's section
 * "Client"), with the API's real handlers in between.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { CliWorld, M1, M2 } from "../../test/fakes/cli-world.ts";
import { settle } from "../../test/fakes/manual-clock.ts";
import { KvError } from "../registry/types.ts";

const HELLO = "[Unit]\nDescription=Hello World\n[Service]\nExecStart=/bin/true\n";
const OTHER = "[Service]\nExecStart=/bin/false\n";
const GLOBAL = `${HELLO}[X-Fleet]\nGlobal=true\n`;

let world: CliWorld;
beforeEach(() => {
  world = new CliWorld();
  world.files.set("hello.service", HELLO);
  world.files.set("units/other.service", OTHER);
  world.files.set("everywhere.service", GLOBAL);
});

describe("start", () => {
  test("a new unit: created, awaited, named with its machine", async () => {
    world.fleet.autoplace(M1);
    expect(await world.run("start", "hello.service")).toEqual({
      status: 0,
      out: "Unit hello.service inactive\nUnit hello.service launched on 113f16a7.../172.17.8.103\n",
      err: "",
    });
    expect(world.fleet.writes).toEqual(["put hello.service launched"]);
    expect(world.requests.length).toBe(2);
  });

  test("one that is launched already: nothing said, nothing done", async () => {
    world.fleet.autoplace(M1);
    await world.run("start", "hello");
    expect(await world.run("start", "hello.service")).toEqual({ status: 0, out: "", err: "" });
  });

  test("waits for the end of systemd's job, not for the first word of it", async () => {
    const running = world.start(["start", "hello.service"]);
    await settle();
    expect(running.said.out).toBe("Unit hello.service inactive\n");
    world.fleet.place("hello.service", M2);
    world.fleet.setReport({ name: "hello.service", machineId: M2, jobState: "loaded", active: "inactive" });
    world.fleet.setReport({ name: "hello.service", machineId: M2, pending: "start", active: "inactive" });
    world.fleet.setReport({ name: "hello.service", machineId: M2, pending: "start", active: "activating" });
    await settle();
    expect(running.said.out).toBe("Unit hello.service inactive\n");
    world.fleet.setReport({ name: "hello.service", machineId: M2 });
    expect((await running.done).out).toEndWith("Unit hello.service launched on 22222222.../172.17.8.104\n");
  });

  test("a oneshot that is done is a success", async () => {
    const running = world.start(["start", "hello.service"]);
    await settle();
    world.fleet.place("hello.service", M1);
    world.fleet.setReport({ name: "hello.service", machineId: M1, active: "inactive", sub: "dead" });
    expect((await running.done).status).toBe(0);
  });

  test("a start that failed: the unit's result, exit 1", async () => {
    const running = world.start(["start", "hello.service"]);
    await settle();
    world.fleet.place("hello.service", M1);
    world.fleet.setReport({
      name: "hello.service",
      machineId: M1,
      active: "failed",
      sub: "failed",
      result: "exit-code",
    });
    expect(await running.done).toMatchObject({
      status: 1,
      err: "Unit hello.service failed on 113f16a7.../172.17.8.103: systemd says failed/failed (Result: exit-code)\n",
    });
  });

  test("a problem of the order before this one is not this one's", async () => {
    world.fleet.autoplace(M1);
    await world.run("load", "hello.service");
    world.fleet.react = null;
    world.fleet.setReport({ name: "hello.service", machineId: M1, jobState: "loaded", problem: "stop timed out" });
    const running = world.start(["start", "hello.service"]);
    await world.clock.advance(9_000);
    expect(running.said.err).toBe("");
    await world.clock.advance(2_000);
    expect(await running.done).toMatchObject({
      status: 1,
      err: "Unit hello.service failed on 113f16a7.../172.17.8.103: stop timed out\n",
    });
  });

  test("cannot be placed: says why, once per change, while it waits", async () => {
    const running = world.start(["start", "hello.service"]);
    await settle();
    const reasons = [{ machineId: M1, reason: "it has no ssd" }];
    world.fleet.setReasons("hello.service", reasons);
    await settle();
    world.fleet.setReasons("hello.service", reasons);
    await settle();
    const said = "Unit hello.service cannot be placed yet:\n  113f16a7.../172.17.8.103: it has no ssd\n";
    expect(running.said.err).toBe(said);
    world.fleet.setReasons("hello.service", [{ machineId: "", reason: "no machine is registered" }]);
    await settle();
    expect(running.said.err).toBe(`${said}Unit hello.service cannot be placed yet:\n  no machine is registered\n`);
    world.fleet.autoplace(M1);
    world.fleet.react?.("hello.service");
    expect((await running.done).status).toBe(0);
  });

  test("many at once: one stream, each unit's line", async () => {
    world.fleet.autoplace(M1);
    const names = Array.from({ length: 300 }, (_, index) => `u${index}.service`);
    for (const name of names) world.files.set(name, OTHER);
    const { status, out } = await world.run("start", ...names);
    expect(status).toBe(0);
    expect(out.split("\n").filter((line) => line.includes(" launched on ")).length).toBe(300);
    expect(world.requests.length).toBe(301);
    expect(world.requests[0]).toBe("POST /flt/v1/events");
  });

  test("--no-block, --block-attempts and globals", async () => {
    expect((await world.run("start", "--no-block", "hello.service")).out).toBe(
      "Unit hello.service inactive\nTriggered unit hello.service start\n",
    );
    expect((await world.run("start", "everywhere.service")).out).toBe(
      "Unit everywhere.service inactive\nTriggered global unit everywhere.service start\n",
    );
    const running = world.start(["start", "--block-attempts=2", "units/other.service"]);
    await world.clock.advance(4_000);
    expect(await running.done).toMatchObject({
      status: 1,
      err: "Error waiting for units: timed out waiting for unit other.service to report state launched\n",
    });
  });

  test("destroyed or changed by someone else meanwhile: the wait ends", async () => {
    const one = world.start(["start", "hello.service"]);
    const other = world.start(["start", "units/other.service"]);
    await settle();
    await world.fleet.destroyUnit("hello.service");
    await world.fleet.setDesiredState("other.service", "loaded");
    expect((await one.done).err).toBe("Unit hello.service was destroyed meanwhile\n");
    expect((await other.done).err).toContain("its desired state was changed to loaded by someone else");
  });

  test("Ctrl-C says what goes on without it", async () => {
    const running = world.start(["start", "hello.service"]);
    await settle();
    running.interrupt();
    expect(await running.done).toMatchObject({
      status: 130,
      err: "Stopped waiting for [hello.service]: what was asked for goes on without this command\nInterrupted\n",
    });
    expect(world.fleet.listeners).toBe(0);
  });

  test("a lost connection is taken up again", async () => {
    const running = world.start(["start", "hello.service"]);
    await settle();
    world.cutStreams();
    await settle();
    expect(running.said.err).toBe("The event stream has ended. Trying again\n");
    world.connectionError = new Error("connection refused");
    await world.clock.advance(5_000);
    world.connectionError = null;
    world.fleet.autoplace(M1);
    world.fleet.react?.("hello.service");
    await world.clock.advance(5_000);
    expect(await running.done).toMatchObject({ status: 0 });
  });

  test("a daemon that does not come back ends the wait", async () => {
    const running = world.start(["start", "hello.service"]);
    await settle();
    world.connectionError = new Error("connection refused");
    world.cutStreams();
    await world.clock.advance(70_000);
    const { status, err } = await running.done;
    expect(status).toBe(1);
    expect(err).toContain("Stopped waiting for [hello.service]");
    expect(err).toContain("Cannot reach flt at unix:///run/flt.sock: connection refused");
  });

  test("what cannot be resolved stops everything before anything was done", async () => {
    const { status, err } = await world.run("start", "hello.service", "nobody.service");
    expect(status).toBe(1);
    expect(err).toBe("Error creating units: unable to find Unit(nobody.service) in Registry or on filesystem\n");
    world.files.set("bad.service", "[X-Fleet]\nGlobal=true\nMachineID=113f16a7\n");
    expect((await world.run("start", "hello.service", "bad.service")).err).toContain("MachineID with Global");
    world.files.set("broken.service", "[Service]\nnonsense\n");
    expect((await world.run("start", "broken.service")).err).toContain("line 2");
    expect((await world.run("start", "no good.service")).status).toBe(1);
    expect(world.fleet.writes).toEqual([]);
  });

  test("the cluster's refusal is passed on, and the other units are not held up", async () => {
    world.fleet.autoplace(M1);
    const put = world.fleet.putUnit.bind(world.fleet);
    world.fleet.putUnit = async (name, ...rest) => {
      if (name === "other.service") throw new KvError("unknown-fate", "the leader was lost");
      return await put(name, ...rest);
    };
    const { status, out, err } = await world.run("start", "units/other.service", "hello.service");
    expect(status).toBe(1);
    expect(out).toContain("Unit hello.service launched");
    expect(err).toStartWith("Error starting unit other.service: The change may or may not have happened");
  });

  test("no arguments; --sign", async () => {
    expect(await world.run("start")).toEqual({ status: 0, out: "", err: "No units given\n" });
    expect((await world.run("start", "--sign", "hello.service")).status).toBe(2);
    world.fleet.autoplace(M1);
    expect((await world.run("start", "--sign=false", "hello.service")).status).toBe(0);
  });
});

describe("resolution", () => {
  test("instances: template in the registry, then beside the path", async () => {
    world.files.set("dir/web@.service", HELLO);
    expect(await world.run("submit", "dir/web@1", "dir/web@2.service")).toMatchObject({
      status: 0,
      out: "Unit web@1.service inactive\nUnit web@2.service inactive\n",
    });
    await world.run("submit", "dir/web@.service");
    expect((await world.run("submit", "web@3")).status).toBe(0);
    world.files.set("dir/web@.service", OTHER);
    const { out, err } = await world.run("submit", "dir/web@4");
    expect(out).toBe("Unit web@4.service inactive\n");
    expect(err).toBe(
      "WARNING: Unit web@.service in registry differs from local template unit file web@.service. Add --replace to override.\n",
    );
    expect(world.fleet.job("web@4.service")?.hash).toBe(world.fleet.job("web@1.service")?.hash ?? "");
    expect((await world.run("start", "web@.service")).err).toContain("cannot activate template");
    expect((await world.run("submit", "nope@1")).err).toBe(
      "Error creating units: unable to find Unit(nope@1.service) or template Unit(nope@.service) in Registry or on filesystem\n",
    );
  });

  test("--replace: by state and command", async () => {
    await world.run("submit", "hello.service");
    expect((await world.run("submit", "hello.service")).err).toBe("");
    expect((await world.run("submit", "--replace", "hello.service")).err).toBe(
      "Found same Unit(hello.service) in Registry, nothing to do\n",
    );
    world.files.set("hello.service", OTHER);
    expect(await world.run("submit", "hello.service")).toEqual({
      status: 0,
      out: "",
      err: "WARNING: Unit hello.service in registry differs from local unit file hello.service. Add --replace to override.\n",
    });
    expect((await world.run("submit", "--replace", "hello.service")).status).toBe(0);
    expect((await world.run("cat", "hello.service")).out).toBe(OTHER);

    world.fleet.autoplace(M1);
    await world.run("start", "hello.service");
    world.files.set("hello.service", HELLO);
    for (const command of ["submit", "load"]) {
      expect(await world.run(command, "--replace", "hello.service")).toMatchObject({
        status: 1,
        err: "Warning: can not replace Unit(hello.service) in state 'launched', use the appropriate command\n",
      });
    }
    expect(await world.run("start", "--replace", "hello.service")).toMatchObject({
      status: 0,
      out: "Unit hello.service launched on 113f16a7.../172.17.8.103\n",
    });
  });

  test("unknown options are a warning", async () => {
    world.files.set("odd.service", `${HELLO}[X-Fleet]\nMachineIDs=x\n`);
    const { status, err } = await world.run("submit", "odd.service");
    expect(status).toBe(0);
    expect(err).toContain('WARNING: Unit odd.service: Unknown option "MachineIDs"');
  });
});

describe("load, stop, unload, restart, destroy", () => {
  beforeEach(async () => {
    world.fleet.autoplace(M1);
    await world.run("start", "hello.service", "units/other.service");
    world.fleet.writes.length = 0;
  });

  test("stop and unload end with what they did", async () => {
    expect(await world.run("stop", "hello.service", "other.service")).toEqual({
      status: 0,
      out: "Unit hello.service loaded on 113f16a7.../172.17.8.103\nUnit other.service loaded on 113f16a7.../172.17.8.103\n",
      err: "Successfully stopped units [hello.service other.service].\n",
    });
    expect((await world.run("stop", "hello.service")).err).toBe("Successfully stopped units [].\n");
    expect(await world.run("unload", "hello.service", "other.service")).toEqual({
      status: 0,
      out: "Unit hello.service inactive\nUnit other.service inactive\n",
      err: "Successfully unloaded units [hello.service other.service].\n",
    });
  });

  test("an inactive unit cannot be stopped, and nothing else is", async () => {
    await world.run("unload", "hello.service");
    world.fleet.writes.length = 0;
    expect(await world.run("stop", "other.service", "hello.service")).toMatchObject({
      status: 1,
      err: "Unable to stop unit hello.service in state inactive\n",
    });
    expect(world.fleet.writes).toEqual([]);
  });

  test("a unit that waits for a place is stopped at once", async () => {
    world.fleet.react = null;
    world.files.set("waiting.service", OTHER);
    await world.run("start", "--no-block", "waiting.service");
    expect(await world.run("stop", "waiting.service")).toMatchObject({
      status: 0,
      out: "Unit waiting.service inactive\n",
    });
  });

  test("stop waits until systemd has stopped it", async () => {
    world.fleet.react = null;
    const running = world.start(["stop", "hello.service"]);
    await settle();
    world.fleet.setReport({ name: "hello.service", machineId: M1, pending: "stop", active: "deactivating" });
    await settle();
    expect(running.said.out).toBe("");
    world.fleet.setReport({ name: "hello.service", machineId: M1, jobState: "loaded", active: "failed" });
    expect((await running.done).status).toBe(0);
  });

  test("load stops what was started", async () => {
    expect((await world.run("load", "hello.service")).out).toBe(
      "Unit hello.service loaded on 113f16a7.../172.17.8.103\n",
    );
    expect(await world.run("load", "hello.service")).toMatchObject({ status: 0, out: "" });
  });

  test("restart: launched are stopped first, loaded started, inactive passed over", async () => {
    await world.run("stop", "other.service");
    world.files.set("third.service", OTHER);
    await world.run("submit", "third.service");
    world.fleet.writes.length = 0;
    const { status, out, err } = await world.run("restart", "hello", "other", "third");
    expect(status).toBe(0);
    expect(out).toContain("Unit hello.service loaded on");
    expect(out).toContain("Unit hello.service launched on");
    expect(err).toBe("Unit third.service is inactive: it is not restarted\n");
    expect(world.fleet.writes).toEqual([
      "state hello.service loaded",
      "state hello.service launched",
      "state other.service launched",
    ]);
  });

  test("restart of a global unit stops it on each machine first", async () => {
    await world.run("start", "everywhere.service");
    const { out } = await world.run("restart", "everywhere.service");
    expect(out).toBe("Unit everywhere.service stopped on 2 machines\nTriggered global unit everywhere.service start\n");
  });

  test("destroy", async () => {
    expect(await world.run("destroy", "hello.service", "other")).toEqual({
      status: 0,
      out: "Destroyed hello.service\nDestroyed other.service\n",
      err: "",
    });
  });

  test("unknown units: exit 5; as fleetctl, fleet's words and 0", async () => {
    for (const command of ["stop", "unload", "destroy", "restart"]) {
      expect(await world.run(command, "nobody")).toMatchObject({
        status: 5,
        err: "Units not found in registry: nobody.service\n",
      });
      expect(await world.start([command, "nobody"], "fleetctl").done).toMatchObject({
        status: 0,
        err: "Units not found in registry\n",
      });
    }
    expect((await world.run("stop", "hello", "nobody")).status).toBe(5);
    expect((await world.run("cat", "nobody")).status).toBe(5);
  });
});

describe("tables", () => {
  beforeEach(async () => {
    world.fleet.autoplace(M1);
    await world.run("start", "hello.service", "everywhere.service");
    world.files.set("a-very-long-name.service", OTHER);
    await world.run("submit", "a-very-long-name.service");
  });

  test("list-machines", async () => {
    expect((await world.run("list-machines")).out).toBe(
      "MACHINE\t\tIP\t\tMETADATA\n" +
        "113f16a7...\t172.17.8.103\tdisk=ssd,region=eu\n" +
        "22222222...\t172.17.8.104\t-\n",
    );
    expect((await world.run("list-machines", "-l", "--no-legend", "--fields=machine")).out).toBe(`${M1}\n${M2}\n`);
  });

  test("list-units", async () => {
    expect((await world.run("list-units")).out).toBe(
      "UNIT\t\t\tMACHINE\t\t\t\tACTIVE\tSUB\n" +
        "everywhere.service\t113f16a7.../172.17.8.103\tactive\trunning\n" +
        "everywhere.service\t22222222.../172.17.8.104\tactive\trunning\n" +
        "hello.service\t\t113f16a7.../172.17.8.103\tactive\trunning\n",
    );
    const { out } = await world.run("list-units", "--full", "--no-legend", "--fields", "hash,machine,load");
    expect(out.split("\n")[2]).toBe(`${world.fleet.job("hello.service")?.hash}\t${M1}/172.17.8.103\tloaded`);
  });

  test("list-unit-files", async () => {
    expect((await world.run("list-unit-files")).out).toBe(
      "UNIT\t\t\t\tHASH\tDSTATE\t\tSTATE\t\tTARGET\n" +
        "a-very-long-name.service\t1fa41b0\tinactive\tinactive\t-\n" +
        "everywhere.service\t\t0c517b8\tlaunched\t-\t\tglobal\n" +
        "hello.service\t\t\t8ce832d\tlaunched\tlaunched\t113f16a7.../172.17.8.103\n",
    );
    const { out, err } = await world.run("list-unit-files", "--no-legend", "--fields=unit,global,desc,tmachine");
    expect(out).toContain("everywhere.service\t\ttrue\tHello World\tglobal\n");
    expect(err).toBe('WARNING: The "tmachine" field is deprecated. Use "target" instead\n');
  });

  test("fields that do not exist", async () => {
    for (const command of ["list-units", "list-unit-files", "list-machines"]) {
      expect(await world.run(command, "--fields=unit,x")).toMatchObject({ status: 1, out: "" });
    }
    expect((await world.run("list-units", "--fields=x")).err).toBe('Invalid key in output format: "x"\n');
    expect((await world.run("list-units", "--fields=constructor")).status).toBe(1);
    expect((await world.run("list-units", "--fields=")).err).toBe("Must define output format\n");
  });
});

describe("status and journal", () => {
  beforeEach(async () => {
    world.fleet.autoplace(M1);
    await world.run("start", "hello.service", "everywhere.service");
  });

  test("status passes systemctl's text through; a blank line between units; each machine of a global", async () => {
    expect(await world.run("status", "hello", "everywhere")).toEqual({
      status: 0,
      out:
        "status of hello.service on 113f\n\n" +
        "==> 113f16a7.../172.17.8.103 <==\nstatus of everywhere.service on 113f\n\n" +
        "==> 22222222.../172.17.8.104 <==\nstatus of everywhere.service on 2222\n",
      err: "",
    });
    world.fleet.setReport({ name: "hello.service", machineId: M1, active: "failed", sub: "failed" });
    expect((await world.run("status", "hello")).status).toBe(3);
    expect((await world.run("status", "nobody")).status).toBe(5);
  });

  test("status of a unit that is nowhere says why", async () => {
    world.fleet.react = null;
    await world.run("start", "--no-block", "units/other.service");
    world.fleet.setReasons("other.service", [{ machineId: M2, reason: "it conflicts with hello.service" }]);
    expect(await world.run("status", "other")).toMatchObject({
      status: 3,
      out: "other.service is on no machine; desired state: launched\nIn its way:\n  22222222.../172.17.8.104: it conflicts with hello.service\n",
    });
  });

  test("journal", async () => {
    expect((await world.run("journal", "--lines=3", "hello")).out).toBe(
      'journal of hello.service on 113f {"lines":3,"follow":false,"output":"short"}\n',
    );
    expect((await world.run("journal", "-f", "--output", "cat", "everywhere")).out).toBe(
      '113f16a7: journal of everywhere.service on 113f {"lines":10,"follow":true,"output":"cat"}\n' +
        '22222222: journal of everywhere.service on 2222 {"lines":10,"follow":true,"output":"cat"}\n',
    );
    expect((await world.run("journal", "hello", "everywhere")).status).toBe(1);
    expect((await world.run("journal", "--lines=many", "hello")).status).toBe(2);
  });
});

describe("the command line itself", () => {
  test("prefixes, unknown and ambiguous commands", async () => {
    expect((await world.run("list-m", "--no-legend", "--fields=ip")).status).toBe(0);
    expect(await world.run("st")).toMatchObject({ status: 1, err: 'Ambiguous command "st": start, stop, status\n' });
    expect(await world.run("strat")).toMatchObject({
      status: 1,
      err: 'Unknown command "strat". Did you mean "start"?\n',
    });
  });

  test("version and help", async () => {
    expect((await world.run("--version")).out).toBe("flt version 0.1.0\n");
    expect((await world.start(["version"], "fleetctl").done).out).toBe("fleetctl version 0.1.0\n");
    const overview = await world.run();
    expect(overview).toEqual(await world.run("help"));
    expect(overview.out).toContain("list-unit-files");
    const one = await world.run("start", "--help");
    expect(one).toEqual(await world.run("help", "start"));
    expect(one.out).toContain("flt start hello.service");
    expect((await world.run("verify", "x")).status).toBe(2);
  });

  test("global flags from the environment: the command line first, then FLTCTL_, then FLEETCTL_", async () => {
    world.connectionError = new Error("connection refused");
    world.environment = { FLEETCTL_ENDPOINT: "http://a:1", FLTCTL_ENDPOINT: "http://b:2,http://c:3" };
    expect((await world.run("list-machines")).err).toContain("http://b:2:");
    expect((await world.run("list-machines", "--endpoint", "unix:///x.sock")).err).toContain("unix:///x.sock");
    world.environment = { FLEETCTL_ENDPOINT: "http://a:1", FLEETCTL_VERSION: "nonsense" };
    expect((await world.run("list-machines")).status).toBe(2);
  });

  test("refusals with their words", async () => {
    const cases: readonly (readonly [string[], number, string])[] = [
      [["--endpoint=ftp://x", "list-machines"], 1, "Cannot use endpoint"],
      [["--driver=etcd", "list-machines"], 1, "never to etcd"],
      [["--tunnel=host", "list-machines"], 1, "--tunnel"],
      [["--request-timeout=0", "list-machines"], 2, "--request-timeout=0"],
      [["--nonsense", "list-machines"], 2, 'Unknown flag "--nonsense"'],
      [["--no-bloc", "start"], 2, 'Did you mean "no-block"'],
      [["list-machines", "--no-block"], 2, 'has no flag "--no-block"'],
      [["list-machines", "-z"], 2, 'Unknown flag "-z"'],
      [["list-machines", "--fields"], 2, "its value is missing"],
      [["list-machines", "--full=maybe"], 2, "only true and false"],
      [["--ca-file=/nope", "list-machines"], 1, "there is no such file"],
      [["start", "--block-attempts=-1", "hello.service"], 2, "--block-attempts=-1"],
    ];
    for (const [argv, status, words] of cases) {
      const result = await world.run(...argv);
      expect([argv, result.status]).toEqual([argv, status]);
      expect(result.err).toContain(words);
      expect(result.out).toBe("");
    }
  });

  test("ids and odd names arrive as they were typed", async () => {
    world.files.set("00123.service", OTHER);
    expect((await world.run("--debug", "submit", "00123")).out).toBe("Unit 00123.service inactive\n");
    world.files.set("--full.service", OTHER);
    expect((await world.run("submit", "--", "--full")).out).toBe("Unit --full.service inactive\n");
  });

  test("no daemon: what, where, why and what to do", async () => {
    world.connectionError = Object.assign(new Error("Was there a typo?"), { code: "ECONNREFUSED" });
    for (const argv of [["list-units"], ["start", "hello.service"], ["destroy", "hello.service"]]) {
      const { status, err } = await world.run(...argv);
      expect(status).toBe(1);
      expect(err).toContain("Cannot reach flt at unix:///run/flt.sock: nothing listens there. Is");
    }
  });

  test("no answer in time", async () => {
    world.fleet.sync = () => new Promise(() => {});
    const running = world.start(["list-machines", "--request-timeout=1.5"]);
    await world.clock.advance(1_500);
    const { status, err } = await running.done;
    expect(status).toBe(1);
    expect(err).toContain("No answer from flt at unix:///run/flt.sock to GET /flt/v1/machines within 1.5 s");
  });

  test("no quorum: the daemon's own words", async () => {
    world.fleet.failure = new KvError("unavailable", "no leader for 2 s");
    expect(await world.run("list-units")).toMatchObject({
      status: 1,
      err: "The cluster cannot answer now: no leader for 2 s: nothing was done, try again\n",
    });
  });
});
