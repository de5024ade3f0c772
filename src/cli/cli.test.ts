/**
 * The command line itself: flags, environment, prefixes, refusals and exit statuses, with the API's real handlers behind it.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { CliWorld } from "../../test/fakes/cli-world.ts";
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

describe("the command line itself", () => {
  test("prefixes, unknown and ambiguous commands", async () => {
    expect((await world.run("list-m", "--no-legend", "--fields=ip")).status).toBe(0);
    expect(await world.run("st")).toMatchObject({ status: 1, err: 'Ambiguous command "st": start, stop, status\n' });
    expect(await world.run("strat")).toMatchObject({
      status: 1,
      err: 'Unknown command "strat". Did you mean "start"?\n',
    });
    expect((await world.run("enable")).err).toBe('Unknown command "enable". See `flt help`\n');
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

  test("fleetctl beside fleetd finds fleet's socket", async () => {
    world.connectionError = new Error("refused");
    world.files.set("/var/run/fleet.sock", "");
    expect((await world.run("list-machines")).err).toContain("unix:///run/flt.sock");
    expect((await world.start(["list-machines"], "fleetctl").done).err).toContain("unix:///var/run/fleet.sock");
    world.files.set("/run/flt.sock", "");
    expect((await world.start(["list-machines"], "fleetctl").done).err).toContain("unix:///run/flt.sock");
  });

  test("one dash before a flag's name, as Go's library took it: called by fleet's names only", async () => {
    await world.run("submit", "--no-block", "hello.service");
    const goStyle = ["-request-timeout=5", "list-unit-files", "-no-legend=true", "-full", "-fields", "unit,hash"];
    const expected = await world.run("list-unit-files", "--no-legend", "--full", "--fields=unit,hash");
    expect(expected.status).toBe(0);
    for (const program of ["fleetctl", "fltctl"]) {
      expect(await world.start(goStyle, program).done).toEqual(expected);
      expect((await world.start(["list-units", "-fulll"], program).done).status).toBe(2);
    }
    expect(await world.start(["list-unit-files", "-full"], "flt").done).toMatchObject({
      status: 2,
      err: expect.stringContaining('in "-full"'),
    });
  });

  test("refusals with their words", async () => {
    const cases: readonly (readonly [string[], number, string])[] = [
      [["--endpoint=ftp://x", "list-machines"], 1, "Cannot use endpoint"],
      [["--driver=etcd", "list-machines"], 1, "never to etcd"],
      [["--tunnel=a b", "list-machines"], 1, "--tunnel"],
      [["--request-timeout=0", "list-machines"], 2, "--request-timeout=0"],
      [["--nonsense", "list-machines"], 2, 'Unknown flag "--nonsense". See `flt help`\n'],
      [["--no-bloc", "start"], 2, 'Did you mean "--no-block"? See `flt help`\n'],
      [["list-machines", "--no-block"], 2, 'has no flag "--no-block". See `flt help list-machines`\n'],
      [["list-machines", "-z"], 2, 'Unknown flag "-z"'],
      [
        ["status", "-.slice"],
        2,
        'Unknown flag "-." in "-.slice": a unit whose name begins with "-" is named after "--". See',
      ],
      [["status", "--", "-.slice"], 4, "Unit -.slice does not exist."],
      [["list-machines", "--fields"], 2, "its value is missing"],
      [["list-machines", "--full=maybe"], 2, "only true and false"],
      [["--ca-file=/nope", "list-machines"], 1, "there is no such file"],
      [["start", "--block-attempts=-1", "hello.service"], 2, "--block-attempts=-1"],
      [["start", "--block-attempts", "hello.service"], 2, "--block-attempts=hello.service"],
      [["stop", "--block-attempts", "hello.service"], 2, "--block-attempts=hello.service"],
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
