/**
 * What the agent does when systemd goes away, loses its answers, is full of jobs, or was told something by somebody else.
 *
 * @module
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { AgentWorld, NEVER_READY, ONESHOT, OTHER_SLEEP, SLEEP } from "../../test/fakes/agent-world.ts";
import { JOBS_MAX, YOUNG_JOBS_MAX } from "./job-limit.ts";

let world: AgentWorld;
beforeEach(async () => {
  world = await AgentWorld.make();
});
afterEach(() => world.close());

describe("when systemd is out of reach", () => {
  test("the machine stays registered, and orders are given once systemd is back", async () => {
    await world.start();
    await world.schedule("a.service", SLEEP);
    world.systemd.disconnect();
    await world.schedule("b.service", SLEEP);
    await world.run(10_000);
    expect(world.agent.status).toMatchObject({ registered: true, systemdConnected: false });
    world.systemd.reconnect();
    await world.run(40_000);
    expect(world.report("b.service")).toMatchObject({ active: "active" });
    expect(world.systemd.orders.filter((order) => order.endsWith("a.service"))).toEqual([
      "load a.service",
      "start a.service",
    ]);
  });

  test("for a moment it is nobody's problem; for long it is told", async () => {
    await world.start();
    world.systemd.disconnect();
    await world.schedule("a.service", SLEEP);
    await world.run(6000);
    expect(world.report("a.service")?.problem).toBeUndefined();
    await world.run(4000);
    expect(world.report("a.service")?.problem).toContain("Lost the connection to systemd");
    world.systemd.reconnect();
    await world.run();
    expect(world.report("a.service")).toMatchObject({ active: "active" });
    expect(world.report("a.service")?.problem).toBeUndefined();
  });

  test("what happened meanwhile is noticed", async () => {
    await world.start();
    await world.schedule("a.service", SLEEP);
    world.systemd.disconnect();
    world.systemd.crash("a.service");
    await world.run(1000);
    expect(world.report("a.service")?.active).toBe("active");
    world.systemd.reconnect();
    await world.run(1000);
    expect(world.report("a.service")?.active).toBe("failed");
  });
});

describe("when an order's answer is lost with the connection", () => {
  test("a unit that systemd has started is active for flt, too, and was started once", async () => {
    await world.start();
    world.systemd.loseAnswer("start");
    await world.schedule("a.service", SLEEP);
    expect(world.systemd.condition("a.service").active).toBe("active");
    world.systemd.reconnect();
    await world.run(1000);
    expect(world.report("a.service")).toMatchObject({ jobState: "launched", load: "loaded", active: "active" });
    expect(world.report("a.service")?.problem).toBeUndefined();
  });

  test("a stop that systemd did not hear is ordered again", async () => {
    await world.start();
    await world.schedule("a.service", SLEEP);
    world.systemd.breakBefore("stop");
    await world.setState("a.service", "loaded");
    expect(world.systemd.condition("a.service").active).toBe("active");
    expect(world.report("a.service")?.jobState).toBe("launched");
    world.systemd.reconnect();
    await world.run(1000);
    expect(world.systemd.condition("a.service").active).toBe("inactive");
    expect(world.report("a.service")).toMatchObject({ jobState: "loaded", active: "inactive" });
    expect(world.report("a.service")?.pending).toBeUndefined();
  });

  test("one that runs although nothing is left of it on disk is loaded, runs on, and is reported as it is", async () => {
    await world.start();
    await world.schedule("a.service", SLEEP);
    await world.restart();
    world.systemd.forget("a.service");
    world.systemd.orders.length = 0;
    await world.start();
    expect(world.systemd.orders).toEqual(["load a.service", "start a.service"]);
    expect(world.report("a.service")).toMatchObject({ jobState: "launched", active: "active" });
  });

  test("a problem that was only systemd's absence goes with it, also when there is nothing left to do", async () => {
    await world.start();
    await world.schedule("a.service", SLEEP);
    world.systemd.loseAnswer("restore");
    world.systemd.deleteFile("a.service");
    await world.run(10_000);
    expect(world.report("a.service")?.problem).toContain("Lost the connection to systemd");
    world.systemd.orders.length = 0;
    world.systemd.reconnect();
    await world.run();
    expect(world.systemd.orders).toEqual([]);
    expect(world.report("a.service")).toMatchObject({ jobState: "launched", active: "active" });
    expect(world.report("a.service")?.problem).toBeUndefined();
  });
});

describe("when somebody deletes a unit's file", () => {
  test("it is restored at once, and nothing is stopped or started for that", async () => {
    await world.start();
    await world.schedule("a.service", SLEEP);
    await world.schedule("once.service", ONESHOT);
    world.systemd.orders.length = 0;
    for (const name of ["a.service", "once.service"]) world.systemd.deleteFile(name);
    await world.run();
    expect(world.systemd.orders).toEqual(["restore a.service", "restore once.service"]);
    expect(world.report("a.service")).toMatchObject({ jobState: "launched", load: "loaded", active: "active" });
    world.systemd.orders.length = 0;
    await world.setState("a.service", "loaded");
    expect(world.systemd.orders).toEqual(["stop a.service"]);
  });

  test("what systemd does not find after all is tried again with growing pauses, whatever systemd tells meanwhile", async () => {
    await world.start();
    await world.schedule("a.service", SLEEP);
    world.systemd.orders.length = 0;
    world.systemd.hide("a.service");
    world.systemd.deleteFile("a.service");
    for (let second = 0; second < 60; second++) {
      await world.run(1000);
      world.systemd.deleteFile("a.service");
    }
    expect(world.systemd.orders.length).toBeGreaterThan(3);
    expect(world.systemd.orders.length).toBeLessThan(10);
    expect(world.report("a.service")?.problem).toContain("systemd does not find it");
    expect(world.report("a.service")).toMatchObject({ load: "not-found", active: "active" });
    world.systemd.hide("a.service", false);
    await world.run(31_000);
    expect(world.report("a.service")).toMatchObject({ load: "loaded", active: "active" });
    expect(world.report("a.service")?.problem).toBeUndefined();
  });

  test("while no daemon looks: what runs is adopted, what is not to be here is stopped", async () => {
    await world.start();
    await world.schedule("a.service", SLEEP);
    await world.schedule("away.service", SLEEP);
    await world.restart();
    await world.place(["away.service"], null);
    world.systemd.orders.length = 0;
    for (const name of ["a.service", "away.service"]) world.systemd.deleteFile(name);
    await world.start();
    expect(world.systemd.orders.toSorted()).toEqual(["restore a.service", "unload away.service"]);
    expect(world.report("a.service")).toMatchObject({ jobState: "launched", active: "active" });
    expect(world.systemd.names).toEqual(["a.service"]);
  });
});

test("a daemon that is restarted while systemd is away: what its units were stays reported, and is corrected then", async () => {
  await world.start();
  await world.scheduleTogether({ "a.service": SLEEP, "b.service": SLEEP });
  world.systemd.disconnect();
  await world.restart();
  await world.start();
  for (let second = 0; second < 20; second++) {
    await world.run(1_000);
    expect(world.report("a.service")).toMatchObject({ jobState: "launched", active: "active" });
  }
  await world.place(["b.service"], null);
  world.systemd.forget("b.service");
  world.systemd.reconnect();
  await world.run(3_000);
  expect(world.report("a.service")).toMatchObject({ jobState: "launched", active: "active" });
  expect(world.report("b.service")).toBeUndefined();
});

test("a name that was refused and is free now is taken without anybody asking again", async () => {
  await world.start();
  await world.schedule("ssh.service", SLEEP);
  expect(world.report("ssh.service")?.problem).toContain("of this name");
  world.systemd.freeName("ssh.service");
  await world.run();
  expect(world.report("ssh.service")).toMatchObject({ jobState: "launched", active: "active" });
  expect(world.report("ssh.service")?.problem).toBeUndefined();
});

test("hundreds of units that take for ever to start: systemd's queue is never longer than it bears, and each has its turn", async () => {
  await world.start();
  const names = Array.from({ length: 500 }, (_, index) => `u${index}.service`);
  await world.scheduleTogether(Object.fromEntries(names.map((name) => [name, NEVER_READY])));
  expect(world.systemd.jobs).toBe(YOUNG_JOBS_MAX);
  for (let second = 0; second < 20; second++) await world.run(1000);
  expect(world.systemd.jobs).toBe(JOBS_MAX);
  for (let round = 0; world.systemd.jobs > 0; round++) {
    for (const name of names) if (world.systemd.condition(name).active === "activating") world.systemd.release(name);
    await world.run(1000);
    expect(world.systemd.jobs).toBeLessThanOrEqual(JOBS_MAX);
    expect(round).toBeLessThan(20);
  }
  expect(names.filter((name) => world.report(name)?.active !== "active")).toEqual([]);
});

test("a job that went on while systemd was out of reach is heard of again", async () => {
  await world.start();
  await world.schedule("a.service", "[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 60\n");
  await world.schedule("a.service", OTHER_SLEEP);
  world.systemd.disconnect();
  await world.run();
  world.systemd.reconnect();
  await world.run(120_000);
  expect(world.systemd.condition("a.service").active).toBe("active");
  expect(world.report("a.service")?.problem).toBeUndefined();
});
