/**
 * Load, stop, unload, restart and destroy of units that exist; their status and journal.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { CliWorld, M1, M2 } from "../../../test/fakes/cli-world.ts";
import { settle } from "../../../test/fakes/manual-clock.ts";

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

  test("an inactive global unit: not stopped, not restarted, unloaded already; never loaded by any of them", async () => {
    await world.run("submit", "everywhere.service");
    world.fleet.writes.length = 0;
    expect(await world.run("stop", "hello.service", "everywhere.service")).toEqual({
      status: 1,
      out: "",
      err: "Unable to stop unit everywhere.service in state inactive\n",
    });
    expect(await world.run("restart", "everywhere.service")).toEqual({
      status: 0,
      out: "",
      err: "Unit everywhere.service is inactive: it is not restarted\n",
    });
    expect(await world.run("unload", "everywhere.service")).toEqual({
      status: 0,
      out: "",
      err: "Successfully unloaded units [].\n",
    });
    expect(world.fleet.writes).toEqual([]);
  });

  test("a global unit that is started: stop, start again, unload are triggered, and not waited for", async () => {
    await world.run("start", "everywhere.service");
    world.fleet.writes.length = 0;
    const triggered = (verb: string) => ({ status: 0, out: `Triggered global unit everywhere.service ${verb}\n` });
    expect(await world.run("stop", "everywhere.service")).toMatchObject(triggered("stop"));
    expect(await world.run("restart", "everywhere.service")).toMatchObject(triggered("start"));
    expect(await world.run("unload", "everywhere.service")).toMatchObject(triggered("unload"));
    expect(world.fleet.writes).toEqual(
      ["loaded", "launched", "inactive"].map((to) => `state everywhere.service ${to}`),
    );
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

  test("stop, unload and restart: --no-block says what was triggered, --block-attempts gives up", async () => {
    world.fleet.react = null;
    expect(await world.run("stop", "--no-block", "hello.service")).toEqual({
      status: 0,
      out: "Triggered unit hello.service stop\n",
      err: "Successfully stopped units [hello.service].\n",
    });
    for (const [command, wanted] of [
      ["unload", "inactive"],
      ["restart", "loaded"],
    ] as const) {
      const running = world.start([command, "--block-attempts=3", "other.service"]);
      await settle();
      await world.clock.advance(5_900);
      expect(running.said.err).toBe("");
      await world.clock.advance(100);
      const { status, err } = await running.done;
      expect(status).toBe(1);
      expect(err).toContain(`timed out waiting for unit other.service to report state ${wanted}\n`);
      await world.fleet.setDesiredState("other.service", "launched");
    }
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

  test("restart of a global unit that cannot be stopped somewhere says so, and starts nothing again", async () => {
    await world.run("start", "everywhere.service");
    world.fleet.react = null;
    const running = world.start(["restart", "everywhere.service"]);
    await settle();
    const orderRevision = world.fleet.job("everywhere.service")?.modRevision ?? 0;
    world.fleet.setReport({ name: "everywhere.service", machineId: M2, problem: "an older one", orderRevision: 1 });
    await settle();
    expect(running.said.err).toBe("");
    world.fleet.setReport({ name: "everywhere.service", machineId: M2, problem: "it refuses to stop", orderRevision });
    expect(await running.done).toEqual({
      status: 1,
      out: "",
      err:
        "Unit everywhere.service failed on 22222222.../172.17.8.104: it refuses to stop\n" +
        "Not started again, since not all of them have stopped\n",
    });
    expect(world.fleet.job("everywhere.service")?.desiredState).toBe("loaded");
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
    expect((await world.run("status", "nobody")).status).toBe(4);
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

  test("status of a global unit that fits no machine says why, one reason a machine", async () => {
    world.fleet.react = null;
    world.files.set("nowhere.service", GLOBAL);
    await world.run("start", "nowhere.service");
    const reason = "No metadata a: the unit needs a=1";
    world.fleet.setReasons(
      "nowhere.service",
      [M1, M2].map((machineId) => ({ machineId, reason })),
    );
    expect(await world.run("status", "nowhere")).toEqual({
      status: 3,
      out:
        "nowhere.service is on no machine; desired state: launched\nIn its way:\n" +
        `  113f16a7.../172.17.8.103: ${reason}\n  22222222.../172.17.8.104: ${reason}\n`,
      err: "",
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
    expect(await world.run("journal", "hello", "nobody", "everywhere")).toMatchObject({
      status: 5,
      err: "Unit nobody.service does not exist.\n",
      out: expect.stringMatching(
        /^==> hello\.service on 113f16a7.* <==\njournal of hello.*\n\n==> everywhere\.service on 113f.* <==\n.*\n\n==> everywhere/,
      ),
    });
    expect((await world.run("journal")).status).toBe(1);
  });

  test("journal: -n all and --since, as journalctl; what is no number and no time is refused before anything is asked", async () => {
    const asked = async (...flags: string[]): Promise<unknown> => {
      const { out, err } = await world.run("journal", ...flags, "hello");
      return err === "" ? JSON.parse(out.slice(out.indexOf("{"))) : err;
    };
    expect(await asked("-n", "all")).toMatchObject({ lines: "all" });
    expect(await asked("--lines=all", "-f")).toMatchObject({ lines: "all", follow: true });
    // Who says from when on wants all of it.
    expect(await asked("--since", "2026-11-21 09:30")).toMatchObject({ lines: "all", since: "2026-11-21 09:30" });
    expect(await asked("--since=-1h30min", "-n", "3")).toMatchObject({ lines: 3, since: "-1h30min" });
    for (const since of ["yesterday", "10 min ago", "@1700000000.5", "Fri 2012-11-23 11:12:13 UTC", "+2s"]) {
      expect(await asked(`--since=${since}`)).toMatchObject({ since });
    }
    world.requests.length = 0;
    for (const lines of ["many", "-5", "", "ALL", "1.5"]) {
      expect((await world.run("journal", `--lines=${lines}`, "hello")).status).toBe(2);
      expect(await asked(`--lines=${lines}`)).toContain(
        `Cannot use --lines=${lines}: a whole number is needed, or all.`,
      );
    }
    for (const since of ["", " ", "1h;reboot", "a\nb", "x".repeat(101)]) {
      expect(await asked(`--since=${since}`)).toContain(
        'a time is needed, as in --since="1 hour ago". See `flt help journal`',
      );
    }
    expect(world.requests).toEqual([]);
  });

  test("Ctrl-C ends a journal that is followed with 130, however its connection ends", async () => {
    const body = new TransformStream<Uint8Array, Uint8Array>();
    world.answer = (path) => (path.endsWith("/journal") ? new Response(body.readable) : null);
    const running = world.start(["journal", "-f", "hello"]);
    const writer = body.writable.getWriter();
    await writer.write(new TextEncoder().encode("one line\n"));
    await settle();
    running.interrupt();
    await writer.close();
    expect(await running.done).toEqual({ status: 130, out: "one line\n", err: "Interrupted\n" });
  });
});
