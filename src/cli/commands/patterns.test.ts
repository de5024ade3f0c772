/**
 * Patterns as unit arguments: what they match, what they leave alone, and how they end when they match nothing.
 *
 * @module
 */
import { beforeEach, expect, test } from "bun:test";
import { CliWorld, M1 } from "../../../test/fakes/cli-world.ts";

const FILE = "[Service]\nExecStart=/bin/true\n";

let world: CliWorld;
beforeEach(async () => {
  world = new CliWorld();
  for (const name of ["web@.service", "web@1.service", "web@2.service", "db.service", "idle.service"]) {
    world.files.set(name, FILE);
  }
  world.fleet.autoplace(M1);
  await world.run("submit", "web@.service", "idle");
  await world.run("start", "web@1", "web@2", "db");
  world.fleet.writes.length = 0;
});

test("stop: what runs and matches, once each; inactive units and templates are passed over", async () => {
  expect(await world.run("stop", "web@2", "web@*", "i*")).toMatchObject({
    status: 0,
    err: "Successfully stopped units [web@2.service web@1.service].\n",
  });
  expect(world.fleet.writes).toEqual(["state web@2.service loaded", "state web@1.service loaded"]);
  // By name it is refused, as ever.
  expect((await world.run("stop", "idle")).status).toBe(1);
});

test("start, restart and unload take what the cluster has, never a file that it has not", async () => {
  world.files.set("new.service", FILE);
  expect((await world.run("start", "*")).out).toContain("Unit idle.service launched on 113f16a7");
  expect(world.fleet.writes).toEqual(["state idle.service launched"]);
  expect((await world.run("restart", "web@[1]*")).out).toContain("Unit web@1.service launched");
  world.fleet.writes.length = 0;
  expect((await world.run("unload", "*.service")).err).toBe(
    "Successfully unloaded units [db.service idle.service web@1.service web@2.service].\n",
  );
  expect(world.fleet.writes.map((write) => write.split(" ")[1])).not.toContain("new.service");
});

test("destroy '*' does what is asked, and prints each", async () => {
  expect(await world.run("destroy", "*")).toEqual({
    status: 0,
    err: "",
    out: ["db", "idle", "web@", "web@1", "web@2"].map((name) => `Destroyed ${name}.service\n`).join(""),
  });
});

test("destroy of half a name leaves the other half alone", async () => {
  expect((await world.run("destroy", "web@?.service")).out).toBe("Destroyed web@1.service\nDestroyed web@2.service\n");
  expect(world.fleet.jobs().map(({ name }) => name)).toEqual(["db.service", "idle.service", "web@.service"]);
});

test("a pattern for files that the shell did not find is refused: it would have meant everything", async () => {
  for (const command of ["destroy", "stop", "start", "status", "cat", "unload"]) {
    const { status, err } = await world.run(command, "db", "units/*");
    expect([command, status]).toEqual([command, 1]);
    expect(err).toBe(
      'Cannot use "units/*": the shell found no such file, and a pattern for units of the cluster has no "/"\n',
    );
  }
  expect((await world.run("submit", "*.service")).status).toBe(1);
  expect(world.fleet.writes).toEqual([]);
});

test("no match is told and is no error, as with systemctl; a broken pattern is one", async () => {
  for (const command of ["stop", "start", "restart", "unload", "destroy", "status", "cat", "journal"]) {
    expect(await world.run(command, "nobody*")).toEqual({
      status: 0,
      out: "",
      err: 'No unit matches "nobody*"\n',
    });
    expect(await world.run(command, "web[1")).toMatchObject({ status: 1, out: "" });
  }
  expect(world.fleet.writes).toEqual([]);
});

test("status, cat and journal of several", async () => {
  expect((await world.run("status", "web@*")).out).toBe(
    "status of web@1.service on 113f\n\nstatus of web@2.service on 113f\n",
  );
  expect((await world.run("cat", "web@*")).out.split("\n\n")).toHaveLength(3);
  expect((await world.run("journal", "-f", "-n5", "web@*")).out).toContain(
    '113f16a7 web@2.service: journal of web@2.service on 113f {"lines":5',
  );
});

test("names of escaped units are no patterns, and a backslash in a pattern is itself", async () => {
  world.files.set("a\\x2db.service", FILE);
  await world.run("start", "a\\x2db.service");
  expect((await world.run("status", "a\\x2d*")).out).toBe("status of a\\x2db.service on 113f\n");
  expect((await world.run("status", "ax*")).err).toBe('No unit matches "ax*"\n');
});
