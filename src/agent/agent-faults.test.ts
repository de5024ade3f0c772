/**
 * What the agent does when the store or its own daemon goes away, or it leaves: never a unit the worse for it. systemd: systemd-faults.test.ts.
 *
 * @module
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { AgentWorld, ONESHOT, SELF, SLEEP, SLOW_STOP } from "../../test/fakes/agent-world.ts";
import { FakeUnitManager } from "../../test/fakes/unit-manager.ts";

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
