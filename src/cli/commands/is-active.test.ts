/**
 * is-active and is-failed: systemctl's words and exit statuses.
 *
 * @module
 */
import { beforeEach, expect, test } from "bun:test";
import { CliWorld, M1, M2 } from "../../../test/fakes/cli-world.ts";

const FILE = "[Service]\nExecStart=/bin/true\n";

let world: CliWorld;
beforeEach(async () => {
  world = new CliWorld();
  for (const name of ["up.service", "broken.service", "idle.service", "away.service"]) world.files.set(name, FILE);
  world.files.set("everywhere.service", `${FILE}[X-Flt]\nGlobal=true\n`);
  world.fleet.autoplace(M1);
  await world.run("start", "up", "broken", "everywhere");
  await world.run("submit", "idle");
  world.fleet.setReport({ name: "broken.service", machineId: M1, active: "failed", sub: "failed" });
});

test.each([
  // Each line as systemctl 252 answers it for units in these states, a unit that it does not know among them.
  [["up"], "active\n", 0, 1],
  [["idle"], "inactive\n", 3, 1],
  [["broken"], "failed\n", 3, 0],
  [["up", "idle"], "active\ninactive\n", 0, 1],
  [["idle", "broken"], "inactive\nfailed\n", 3, 0],
  [["nobody"], "inactive\n", 3, 1],
  [["nobody", "idle"], "inactive\ninactive\n", 3, 1],
  [["*p.service", "b*"], "active\nfailed\n", 0, 0],
  [["everywhere"], "active\n", 0, 1],
])("%p: %p, is-active %p, is-failed %p", async (args, words, active, failed) => {
  expect(await world.run("is-active", ...args)).toEqual({ status: active, out: words, err: "" });
  expect(await world.run("is-failed", ...args)).toEqual({ status: failed, out: words, err: "" });
  expect(await world.run("is-active", "--quiet", ...args)).toEqual({ status: active, out: "", err: "" });
  expect(await world.run("is-failed", "-q", ...args)).toEqual({ status: failed, out: "", err: "" });
});

test("a global unit is as well as its worst machine", async () => {
  world.fleet.setReport({ name: "everywhere.service", machineId: M2, active: "activating", sub: "start" });
  expect(await world.run("is-active", "everywhere")).toMatchObject({ out: "activating\n", status: 3 });
  world.fleet.setReport({ name: "everywhere.service", machineId: M1, active: "failed", sub: "failed" });
  expect(await world.run("is-failed", "everywhere")).toMatchObject({ out: "failed\n", status: 0 });
});

test("a unit that moves is what it is where it is placed", async () => {
  world.fleet.setReport({ name: "up.service", machineId: M2, active: "deactivating", sub: "stop-sigterm" });
  expect(await world.run("is-active", "up")).toMatchObject({ out: "active\n", status: 0 });
});

test("nothing given, nothing matched", async () => {
  expect(await world.run("is-active")).toEqual({ status: 1, out: "", err: "No units given\n" });
  expect(await world.run("is-active", "x*")).toEqual({ status: 3, out: "", err: 'No unit matches "x*"\n' });
  expect(await world.run("is-failed", "-q", "x*")).toEqual({ status: 1, out: "", err: "" });
});
