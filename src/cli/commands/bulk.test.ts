/**
 * Many units at a time: one request, one stream, a line for each unit, and the truth about what was and was not done.
 *
 * @module
 */
import { beforeEach, expect, test } from "bun:test";
import { CliWorld, M1 } from "../../../test/fakes/cli-world.ts";
import { settle } from "../../../test/fakes/manual-clock.ts";
import { KvError, type UnitChange } from "../../registry/types.ts";

const FILE = "[Service]\nExecStart=/bin/true\n";
const NAMES = Array.from({ length: 700 }, (_, index) => `u${index}.service`);

let world: CliWorld;
beforeEach(() => {
  world = new CliWorld();
  for (const name of NAMES) world.files.set(name, FILE);
  world.fleet.autoplace(M1);
});

function lines(text: string, pattern: RegExp): number {
  return text.split("\n").filter((line) => pattern.test(line)).length;
}

test("each command: few requests, one stream, every unit listed", async () => {
  const count = NAMES.length;
  const cases: readonly (readonly [string, RegExp])[] = [
    ["submit", /^Unit \S+ inactive$/],
    ["load", /^Unit \S+ loaded on /],
    ["start", /^Unit \S+ launched on /],
    ["restart", /^Unit \S+ launched on /],
    ["stop", /^Unit \S+ loaded on /],
    ["unload", /^Unit \S+ inactive$/],
    ["destroy", /^Destroyed \S+$/],
  ];
  for (const [command, pattern] of cases) {
    world.requests.length = 0;
    const { status, out } = await world.run(command, ...NAMES);
    expect([command, status, lines(out, pattern)]).toEqual([command, 0, count]);
    // 500 units a request; a restart sends them twice.
    const batches = command === "restart" ? 4 : 2;
    expect(world.requests.filter((request) => request === "POST /flt/v1/units:batch")).toHaveLength(batches);
    expect(world.requests.filter((request) => request === "POST /flt/v1/events").length).toBeLessThanOrEqual(1);
    expect(world.requests.length).toBeLessThanOrEqual(batches + 1);
  }
}, 30_000);

test("one failure does not hide the others; alike ones share a line", async () => {
  const put = world.fleet.putUnit.bind(world.fleet);
  world.fleet.putUnit = async (name, ...rest) => {
    if (/^u[135]\.service$/.test(name)) throw new KvError("unknown-fate", "the leader was lost");
    return await put(name, ...rest);
  };
  const { status, out, err } = await world.run("start", ...NAMES.slice(0, 8));
  expect(status).toBe(1);
  expect(lines(out, / launched on /)).toBe(5);
  expect(err).toBe(
    "Error starting units [u1.service u3.service u5.service]: The change may or may not have happened: " +
      "the leader was lost: look before you repeat it\n",
  );
});

test("Ctrl-C between two requests: what is under way is heard out, the rest is named as not asked", async () => {
  await world.run("submit", ...NAMES);
  const gate = Promise.withResolvers<void>();
  const change = world.fleet.changeUnits.bind(world.fleet);
  world.fleet.changeUnits = async (changes: readonly UnitChange[]) => {
    await gate.promise;
    return await change(changes);
  };
  world.requests.length = 0;
  const running = world.start(["destroy", ...NAMES]);
  while (world.requests.length === 0) await settle();
  running.interrupt();
  gate.resolve();
  const { status, out, err } = await running.done;
  expect(status).toBe(130);
  expect(lines(out, /^Destroyed /)).toBe(500);
  expect(err).toBe(`Interrupted: nothing was asked of [${NAMES.slice(500).join(" ")}]\n`);
  expect([...world.fleet.jobs()]).toHaveLength(200);
});

test("Ctrl-C while waiting names the units that were not there yet", async () => {
  world.fleet.react = null;
  const running = world.start(["start", "u1.service", "u2.service"]);
  await settle();
  world.fleet.place("u1.service", M1);
  world.fleet.setReport({ name: "u1.service", machineId: M1 });
  await settle();
  running.interrupt();
  const { status, out, err } = await running.done;
  expect(status).toBe(130);
  expect(out).toContain("Unit u1.service launched on 113f16a7");
  expect(err).toBe("Stopped waiting for [u2.service]: what was asked for goes on without this command\nInterrupted\n");
});

test("no answer: its units may or may not have changed, those after it were not asked", async () => {
  await world.run("submit", ...NAMES);
  world.fleet.changeUnits = () => new Promise(() => {});
  world.requests.length = 0;
  const running = world.start(["destroy", "--request-timeout=100", ...NAMES]);
  while (world.requests.length === 0) await settle();
  await world.clock.advance(100_000);
  const { status, err } = await running.done;
  expect(status).toBe(1);
  expect(err).toContain("Error destroying units [u0.service u1.service ");
  expect(err).toContain("The change may or may not have happened: look before you repeat it");
  expect(err).toContain(`Nothing was asked of [${NAMES.slice(500).join(" ")}]\n`);
});

test("units that do not exist are named once, whatever else is destroyed", async () => {
  await world.run("submit", "u1.service");
  expect(await world.run("destroy", "u1.service", "x.service", "y.service")).toEqual({
    status: 5,
    out: "Destroyed u1.service\n",
    err: "Units not found in registry: x.service y.service\n",
  });
});
