/**
 * events: what there is, what changes, and nothing twice, also over lost connections.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { CliWorld, M1, M2, type Running } from "../../../test/fakes/cli-world.ts";
import { settle } from "../../../test/fakes/manual-clock.ts";

const FILE = "[Service]\nExecStart=/bin/true\n";
const PLACE = "113f16a7.../172.17.8.103";

let world: CliWorld;
beforeEach(async () => {
  world = new CliWorld();
  world.files.set("a.service", FILE);
  world.files.set("b.service", FILE);
  world.fleet.autoplace(M1);
  await world.run("start", "a");
  world.fleet.react = null;
  await world.run("start", "--no-block", "b");
  world.fleet.setReasons("b.service", [{ machineId: M1, reason: "it is full" }]);
});

const MACHINES = `machine ${PLACE} is here with disk=ssd,region=eu\nmachine 22222222.../172.17.8.104 is here\n`;
const A = `a.service wanted launched on ${PLACE}\n`;
const A_STATE = `a.service active (running) on ${PLACE}\n`;
const B = "b.service wanted launched, on no machine yet\nb.service cannot be placed: 113f16a7...: it is full\n";

describe("what there is", () => {
  test("a line for everything, then the end", async () => {
    expect(await world.run("events")).toEqual({ status: 0, out: MACHINES + A + B + A_STATE, err: "" });
  });

  test("narrowed to units, by name and pattern, and to machines", async () => {
    expect((await world.run("events", "b")).out).toBe(B);
    expect(world.requests.at(-1)).toBe("GET /flt/v1/events?unitName=b.service");
    expect((await world.run("events", "a*", "x")).out).toBe(A + A_STATE);
    expect((await world.run("events", "-M", "2222")).out).toBe("machine 22222222.../172.17.8.104 is here\n");
    expect((await world.run("events", "-M", PLACE, "a")).out).toBe(A + A_STATE);
  });

  test("-o json: the API's own lines", async () => {
    const { out } = await world.run("events", "-o", "json");
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string });
    expect(lines.map(({ type }) => type)).toEqual(["machine", "machine", "unit", "unit", "reasons", "state"]);
  });

  test("refusals", async () => {
    expect((await world.run("events", "-o", "yaml")).err).toBe('Unknown output "yaml": use text or json\n');
    expect((await world.run("events", "a[")).status).toBe(1);
    expect((await world.run("events", "a b")).status).toBe(1);
  });
});

describe("--follow", () => {
  let running: Running;
  const follow = async (...words: string[]): Promise<void> => {
    running = world.start(["events", "-f", ...words]);
    await settle();
  };
  const said = async (): Promise<string> => {
    await settle();
    const { out } = running.said;
    running.said.out = "";
    return out;
  };

  test("each change from now on, with its time, until Ctrl-C", async () => {
    await follow();
    expect(await said()).toBe("");
    world.fleet.setReport({ name: "a.service", machineId: M1, active: "failed", sub: "failed", result: "exit-code" });
    await world.clock.advance(5_000);
    world.fleet.place("b.service", M2);
    world.fleet.setReasons("b.service", []);
    world.fleet.removeMachine(M2);
    expect(await said()).toBe(
      `2026-01-31 12:30:00 a.service failed (failed, result exit-code) on ${PLACE}\n` +
        "2026-01-31 12:30:05 b.service wanted launched on 22222222...\n" +
        "2026-01-31 12:30:05 b.service has nothing in its way any more\n" +
        "2026-01-31 12:30:05 machine 22222222... has left\n",
    );
    running.interrupt();
    expect(await running.done).toMatchObject({ status: 130, err: "Interrupted\n" });
  });

  test("--all: what there is, first", async () => {
    await follow("--all", "a");
    expect(await said()).toBe(`2026-01-31 12:30:00 ${A}2026-01-31 12:30:00 ${A_STATE}`);
    running.interrupt();
    await running.done;
  });

  test("a unit that is still to come is heard of by its pattern", async () => {
    await follow("n*");
    world.files.set("new.service", FILE);
    await world.run("submit", "new.service");
    world.fleet.setReport({ name: "a.service", machineId: M1, active: "inactive", sub: "dead" });
    await world.run("destroy", "new.service");
    expect(await said()).toBe(
      "2026-01-31 12:30:00 new.service wanted inactive\n2026-01-31 12:30:00 new.service destroyed\n",
    );
    running.interrupt();
    await running.done;
  });

  test("over a lost connection: only what has changed meanwhile, and what is gone", async () => {
    await follow("--all");
    await said();
    world.cutStreams();
    await settle();
    world.fleet.setReport({ name: "a.service", machineId: M1, active: "activating", sub: "start", pending: "start" });
    await world.fleet.destroyUnit("b.service");
    world.fleet.setReasons("b.service", []);
    world.fleet.removeMachine(M2);
    await world.clock.advance(1_000);
    expect(await said()).toBe(
      `2026-01-31 12:30:00 a.service activating (start) on ${PLACE}, start under way\n` +
        "2026-01-31 12:30:00 machine 22222222... has left\n" +
        "2026-01-31 12:30:00 b.service destroyed\n",
    );
    expect(running.said.err).toContain("Trying again");
    running.interrupt();
    await running.done;
  });
});
