/**
 * What the agent does when the store, systemd or its own daemon goes away: never a unit the worse for it.
 *
 * @module
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { AgentWorld, NEVER_READY, ONESHOT, OTHER_SLEEP, SELF, SLEEP, SLOW_STOP } from "../../test/fakes/agent-world.ts";
import { FakeUnitManager } from "../../test/fakes/unit-manager.ts";
import { JOBS_MAX, YOUNG_JOBS_MAX } from "./job-limit.ts";

let world: AgentWorld;
beforeEach(async () => {
  world = await AgentWorld.make();
});
afterEach(() => world.close());

describe("when the daemon restarts", () => {
  test("units with the same file are adopted: no order is given", async () => {
    await world.start();
    await world.schedule("a.service", SLEEP);
    await world.schedule("once.service", ONESHOT);
    const before = world.systemd.orders.length;
    await world.restart();
    await world.start();
    await world.run(10_000);
    expect(world.systemd.orders.length).toBe(before);
    expect(world.report("a.service")).toMatchObject({ jobState: "launched", active: "active" });
    expect(world.report("once.service")).toMatchObject({ jobState: "launched", active: "inactive" });
  });

  test("a unit whose link was taken away meanwhile is loaded anew", async () => {
    await world.start();
    await world.schedule("a.service", SLEEP);
    await world.restart();
    world.systemd.unlink("a.service");
    await world.start();
    expect(world.report("a.service")).toMatchObject({ load: "loaded", active: "active" });
  });

  test("what was given away meanwhile is unloaded, but only after the schedule was read", async () => {
    await world.start();
    await world.schedule("a.service", SLEEP);
    await world.restart();
    await world.place(["a.service"], null);
    world.outage.down = true;
    await world.start();
    await world.run(60_000);
    expect(world.systemd.names).toEqual(["a.service"]);
    world.outage.down = false;
    await world.run(5000);
    expect(world.systemd.names).toEqual([]);
  });
});

describe("when the store is out of reach", () => {
  test("units are left alone for an hour, and everything is reported again once it is back", async () => {
    await world.start();
    await world.schedule("a.service", SLEEP);
    world.outage.down = true;
    await world.run(3_600_000);
    world.systemd.crash("a.service");
    await world.run(1000);
    expect(world.systemd.orders).toEqual(["load a.service", "start a.service"]);
    expect(world.isRegistered).toBe(false);
    world.outage.down = false;
    await world.run(3000);
    expect(world.isRegistered).toBe(true);
    expect(world.report("a.service")).toMatchObject({ active: "failed" });
  });

  test("heartbeats keep the machine registered for as long as the store is there", async () => {
    world.agent.start();
    for (let second = 0; second < 60; second++) {
      await world.run(1000);
      expect(world.isRegistered).toBe(true);
    }
  });
});

test("a state is there for as long as the machine's lease is renewed, without being written again, and goes with it", async () => {
  await world.start();
  await world.schedule("a.service", SLEEP);
  const written = await world.revision();
  for (let second = 0; second < 120; second++) {
    await world.run(1_000);
    expect(world.report("a.service")).toMatchObject({ active: "active" });
  }
  expect(await world.revision()).toBe(written);
  world.outage.down = true;
  await world.run(4_100);
  expect(world.report("a.service")).toBeUndefined();
  expect(world.systemd.orders).toEqual(["load a.service", "start a.service"]);
});

describe("when the store is slow", () => {
  test.each([500, 3_000, 6_000, 60_000])(
    "each answer after %d ms: no unit is touched, and all is well afterwards",
    async (delayMs) => {
      await world.start();
      await world.schedule("a.service", SLEEP);
      await world.schedule("once.service", ONESHOT);
      const orders = [...world.systemd.orders];
      world.outage.delayMs = delayMs;
      await world.run(300_000);
      expect(world.systemd.orders).toEqual(orders);
      world.outage.delayMs = 0;
      await world.run(70_000);
      expect(world.systemd.orders).toEqual(orders);
      expect(world.isRegistered).toBe(true);
      expect(world.report("a.service")).toMatchObject({ jobState: "launched", active: "active" });
    },
  );
});

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

describe("when it leaves", () => {
  test("in order: units are stopped here first, then given back, and the machine is gone", async () => {
    await world.start();
    await world.schedule("a.service", SLEEP);
    await world.agent.stop({ handOver: true });
    await world.run();
    expect(world.systemd.names).toEqual([]);
    expect(world.isRegistered).toBe(false);
    expect([...world.registry.view.scheduled(SELF)]).toEqual([]);
    expect(world.registry.view.job("a.service")?.machine).toBeNull();
  });

  test("no heartbeat brings it back", async () => {
    await world.start();
    await world.agent.stop({ handOver: true });
    for (let second = 0; second < 10; second++) {
      await world.run(1000);
      expect(world.isRegistered).toBe(false);
    }
  });

  test("a unit that does not stop is waited for no longer than handOverMs", async () => {
    await world.start();
    await world.schedule("slow.service", SLOW_STOP);
    let ended = false;
    const stopping = world.agent.stop({ handOver: true }).then(() => {
      ended = true;
    });
    await world.run(9900);
    expect(ended).toBe(false);
    expect(world.isRegistered).toBe(true);
    await world.run(200);
    await stopping;
    await world.run();
    expect(world.isRegistered).toBe(false);
  });

  test("without quorum units are stopped all the same", async () => {
    await world.start();
    await world.schedule("a.service", SLEEP);
    world.outage.down = true;
    const stopping = world.agent.stop({ handOver: true });
    await world.run(5000);
    await stopping;
    expect(world.systemd.names).toEqual([]);
  });

  test("for a restart: units and lease stay", async () => {
    await world.start();
    await world.schedule("a.service", SLEEP);
    await world.agent.stop({ handOver: false });
    expect(world.systemd.names).toEqual(["a.service"]);
    expect(world.isRegistered).toBe(true);
  });
});

test("another host with this machine-id: fatal, and no unit is touched", async () => {
  const other = world.makeAgent("another-identity");
  other.start();
  await world.run();
  await world.schedule("theirs.service", SLEEP);
  const own = new FakeUnitManager({ clock: world.registry.clock });
  await own.load({ name: "mine.service", text: SLEEP, install: false, fenced: false });
  world.agent = world.makeAgent(undefined, own);
  world.agent.start();
  await world.run(10_000);
  expect(world.fatal.map((error) => error.code)).toEqual(["machine-id-taken"]);
  expect(own.orders).toEqual(["load mine.service"]);
  await world.agent.stop({ handOver: true });
  expect(own.names).toEqual(["mine.service"]);
  await other.stop({ handOver: false });
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
