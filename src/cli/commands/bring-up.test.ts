/**
 * Submit, load and start: what is uploaded, what is waited for, what is said meanwhile. What a name is taken for: resolution.test.ts.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { CliWorld, M1, M2 } from "../../../test/fakes/cli-world.ts";
import { settle } from "../../../test/fakes/manual-clock.ts";
import { parseUnitFile } from "../../model/unit-file.ts";
import { KvError } from "../../registry/types.ts";

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
    // The stream, the change, and a second look at what was started.
    expect(world.requests.length).toBe(3);
  });

  test("one that is launched already: nothing said, nothing done", async () => {
    world.fleet.autoplace(M1);
    await world.run("start", "hello");
    expect(await world.run("start", "hello.service")).toEqual({ status: 0, out: "", err: "" });
  });

  test("one that is launched already and does not run: what starts it again; not by fleet's names", async () => {
    world.fleet.autoplace(M1);
    await world.run("start", "hello");
    world.fleet.setReport({ name: "hello.service", machineId: M1, active: "inactive", sub: "dead" });
    const remark =
      "Unit hello.service is launched already, and inactive on 113f16a7.../172.17.8.103: `flt restart hello.service` starts it again\n";
    expect(await world.run("start", "hello")).toEqual({ status: 0, out: "", err: remark });
    expect(await world.start(["start", "hello"], "fleetctl").done).toEqual({ status: 0, out: "", err: "" });
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
      err:
        "Unit hello.service failed on 113f16a7.../172.17.8.103: systemd says failed/failed (Result: exit-code). " +
        "Look at `flt journal hello.service`\n",
    });
  });

  test("the problem of the order before: this one's is told at once, in the same words, known by its order", async () => {
    world.fleet.autoplace(M1);
    await world.run("load", "hello.service");
    world.fleet.react = null;
    const problem = "the host has this name";
    const before = world.fleet.job("hello.service")?.modRevision ?? 0;
    const failed = { name: "hello.service", machineId: M1, jobState: "loaded", problem } as const;
    world.fleet.setReport({ ...failed, orderRevision: before });
    const running = world.start(["start", "hello.service"]);
    await settle();
    // Told again, for whatever reason: it is still the old one.
    world.fleet.setReport({ ...failed, active: "inactive", orderRevision: before });
    await world.clock.advance(60_000);
    expect(running.said.err).toBe("");
    world.fleet.setReport({ ...failed, orderRevision: world.fleet.job("hello.service")?.modRevision ?? 0 });
    await settle();
    expect(running.said.err).toBe(`Unit hello.service failed on 113f16a7.../172.17.8.103: ${problem}\n`);
    expect((await running.done).status).toBe(1);
  });

  test("an agent that does not tell the order: a known problem is believed when it stays", async () => {
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
    expect(world.requests).toHaveLength(2);
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

  test("a picture drawn before the unit was there, and told after it: the wait goes on", async () => {
    // The daemon of a cluster whose leader has died: the change is done, and the list that it is reading has it not yet.
    const done = { units: [{ name: "hello.service", status: 201, revision: 1_000 }] };
    world.answer = (path) => {
      if (!path.endsWith("/units:batch")) return null;
      world.fleet.reset();
      return Response.json(done);
    };
    const running = world.start(["start", "hello.service"]);
    await settle();
    world.fleet.reset();
    await settle();
    expect(running.said).toEqual({ out: "Unit hello.service inactive\n", err: "" });
    world.fleet.autoplace(M1);
    await world.fleet.putUnit("hello.service", parseUnitFile(HELLO), "launched");
    expect(await running.done).toMatchObject({ status: 0, err: "" });
  });

  test("a new unit that somebody destroys before a line told of it, and a picture told anew after that: destroyed", async () => {
    world.answer = (path) => {
      if (!path.endsWith("/units:batch")) return null;
      void world.fleet.putUnit("hello.service", parseUnitFile(HELLO), "launched");
      const { revision } = world.fleet;
      void world.fleet.destroyUnit("hello.service");
      world.fleet.reset();
      return Response.json({ units: [{ name: "hello.service", status: 201, revision }] });
    };
    expect(await world.run("start", "hello.service")).toMatchObject({
      status: 1,
      err: "Unit hello.service was destroyed meanwhile\n",
    });
  });

  test("a unit that is missing from a picture told anew, and was there: destroyed", async () => {
    world.fleet.autoplace(M1);
    await world.run("load", "hello.service");
    world.answer = (path) => {
      if (!path.endsWith("/units:batch")) return null;
      void world.fleet.destroyUnit("hello.service");
      world.fleet.reset();
      return Response.json({ units: [{ name: "hello.service", status: 204 }] });
    };
    expect((await world.run("start", "hello")).err).toBe("Unit hello.service was destroyed meanwhile\n");
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
    for (const command of ["submit", "load", "start", "stop", "unload", "restart", "destroy"]) {
      expect(await world.run(command)).toEqual({ status: 0, out: "", err: "No units given\n" });
    }
    for (const command of ["submit", "load", "start"]) {
      expect(await world.run(command, "--sign", "hello.service")).toMatchObject({ status: 2, out: "" });
    }
    expect(world.fleet.writes).toEqual([]);
    world.fleet.autoplace(M1);
    expect((await world.run("start", "--sign=false", "hello.service")).status).toBe(0);
  });
});

describe("load", () => {
  test("a new unit: submitted, placed, awaited until it is loaded, and not started", async () => {
    const running = world.start(["load", "hello.service"]);
    await settle();
    expect(world.fleet.writes).toEqual(["put hello.service loaded"]);
    world.fleet.place("hello.service", M1);
    await settle();
    expect(running.said.out).toBe("Unit hello.service inactive\n");
    world.fleet.setReport({
      name: "hello.service",
      machineId: M1,
      jobState: "loaded",
      active: "inactive",
      sub: "dead",
    });
    expect(await running.done).toEqual({
      status: 0,
      out: "Unit hello.service inactive\nUnit hello.service loaded on 113f16a7.../172.17.8.103\n",
      err: "",
    });
  });

  test("--no-block and --block-attempts", async () => {
    expect((await world.run("load", "--no-block", "hello.service")).out).toBe(
      "Unit hello.service inactive\nTriggered unit hello.service load\n",
    );
    const running = world.start(["load", "--block-attempts=1", "units/other.service"]);
    await world.clock.advance(2_000);
    expect(await running.done).toMatchObject({
      status: 1,
      err: "Error waiting for units: timed out waiting for unit other.service to report state loaded\n",
    });
  });
});
