/**
 * What fleet's dashboards show of the engine: tasks, failures and rounds under its names.
 *
 * @module
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { EngineWorld } from "../../test/fakes/engine-world.ts";

let world: EngineWorld;
const count = (name: string, type?: string): number => {
  return world.metrics.value(`fleet_engine_${name}${type === undefined ? "" : `{type=${type}}`}`);
};

beforeEach(async () => {
  world = await new EngineWorld().start();
});
afterEach(() => world.stop());

test("a placement is a task, a move two, a global's order flt's own", async () => {
  await world.join(1, { disk: "ssd" });
  await world.join(2);
  await world.launch("a.service", "MachineMetadata=disk=ssd");
  expect(count("task_count_total", "attemptscheduleunit")).toBe(1);
  await world.setState("a.service", "inactive");
  await world.launch("every.service", "Global=true");
  expect(count("task_count_total", "scheduleglobalunit")).toBe(2);
  expect(count("task_failure_count_total", "attemptscheduleunit")).toBe(0);
});

test("a unit that fits nowhere is a failure to schedule, counted when it is said", async () => {
  await world.join(1);
  await world.launch("a.service", "MachineMetadata=disk=ssd");
  expect(count("reconcile_failure_count_total", "schedule")).toBe(1);
  await world.pass(10_000, [1]);
  expect(count("reconcile_failure_count_total", "schedule")).toBe(1);
});

test("a machine that dies takes its units' places: one machine away, two tasks a unit", async () => {
  await world.join(1);
  await world.launch("a.service");
  await world.join(2);
  await world.pass(12_000, [2]);
  expect(world.where("a.service")).toBe(2);
  expect(count("reconcile_failure_count_total", "machine_away")).toBe(1);
  expect(count("task_count_total", "unscheduleunit")).toBe(1);
  expect(count("task_count_total", "attemptscheduleunit")).toBe(2);
});

test("rounds are counted and timed", async () => {
  await world.join(1);
  const before = count("reconcile_count_total");
  await world.launch("a.service");
  expect(count("reconcile_count_total")).toBeGreaterThan(before);
  expect(count("reconcile_duration_second")).toBe(count("reconcile_count_total"));
});
