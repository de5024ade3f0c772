/**
 * Fence=strict: the unit runs while the lease lives, and systemd stops it when nobody can say so.
 *
 * @module
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { AgentWorld, FENCED, NEVER_READY, SELF, SLEEP, SLOW_STOP } from "../../test/fakes/agent-world.ts";
import { machineId, registration, unitReport } from "../../test/fakes/registry-world.ts";
import { FakeUnitManager } from "../../test/fakes/unit-manager.ts";
import { pause } from "../lib/wait.ts";
import { FENCE_OVER_MS, FENCE_SLACK_MS } from "../model/fence.ts";
import { parseUnitFile } from "../model/unit-file.ts";
import { JOBS_MAX } from "./job-limit.ts";
import { UnitManagerError } from "./unit-manager.ts";

const TTL_MS = 4_000;

let world: AgentWorld;
beforeEach(async () => {
  world = await AgentWorld.make();
  await world.start();
});
afterEach(() => world.close());

function activeOf(name: string): string {
  return world.systemd.condition(name).active;
}

function orders(name: string): string[] {
  return world.systemd.orders.filter((order) => order.endsWith(` ${name}`));
}

test("starts at once, and nothing touches it while heartbeats are answered", async () => {
  await world.schedule("a.service", FENCED);
  expect(activeOf("a.service")).toBe("active");
  await world.run(600_000);
  expect(orders("a.service")).toEqual(["load a.service", "start a.service"]);
  expect(activeOf("a.service")).toBe("active");
});

test("the store is away: stopped by systemd when lease and slack are over, and started again once it is back", async () => {
  await world.schedule("a.service", FENCED);
  await world.schedule("b.service", SLEEP);
  await world.run(500);
  world.outage.down = true;
  await world.run(TTL_MS + FENCE_SLACK_MS - 1_100);
  expect(activeOf("a.service")).toBe("active");
  await world.run(1_100);
  expect([activeOf("a.service"), activeOf("b.service")]).toEqual(["inactive", "active"]);
  await world.run(60_000);
  expect(orders("a.service")).toEqual(["load a.service", "start a.service"]);
  world.outage.down = false;
  await world.run(3_000);
  expect(activeOf("a.service")).toBe("active");
  expect(world.report("a.service")).toMatchObject({ jobState: "launched", active: "active" });
  expect(orders("a.service")).toEqual(["load a.service", "start a.service", "start a.service"]);
  expect(orders("b.service")).toEqual(["load b.service", "start b.service"]);
});

test("the store is away for a moment: nothing happens", async () => {
  await world.schedule("a.service", FENCED);
  world.outage.down = true;
  await world.run(5_000);
  world.outage.down = false;
  await world.run(60_000);
  expect(orders("a.service")).toEqual(["load a.service", "start a.service"]);
  expect(activeOf("a.service")).toBe("active");
});

test("given away meanwhile: it is not started again here, however late this machine hears of it", async () => {
  await world.schedule("a.service", FENCED);
  world.outage.down = true;
  await world.run(20_000);
  expect(activeOf("a.service")).toBe("inactive");
  world.outage.deafen();
  await world.place(["a.service"], null);
  world.outage.down = false;
  await world.run(5_000);
  expect(orders("a.service")).toEqual(["load a.service", "start a.service", "unload a.service"]);
  world.outage.listen();
});

test("the daemon dies and stays away: stopped; it comes back: started again", async () => {
  await world.schedule("a.service", FENCED);
  await world.restart();
  await world.run(TTL_MS + FENCE_SLACK_MS - 1_100);
  expect(activeOf("a.service")).toBe("active");
  await world.run(1_100);
  expect(activeOf("a.service")).toBe("inactive");
  await world.start();
  await world.run(2_000);
  expect(activeOf("a.service")).toBe("active");
});

test("the daemon is restarted: nothing happens", async () => {
  await world.schedule("a.service", FENCED);
  await world.restart();
  await world.run(3_000);
  await world.start();
  await world.run(60_000);
  expect(orders("a.service")).toEqual(["load a.service", "start a.service"]);
  expect(activeOf("a.service")).toBe("active");
});

test("systemd out of reach for too long: it stops the unit itself, and is told to start it when it is back", async () => {
  await world.schedule("a.service", FENCED);
  world.systemd.disconnect();
  await world.run(10_000);
  expect(activeOf("a.service")).toBe("inactive");
  world.systemd.reconnect();
  await world.run(2_000);
  expect(activeOf("a.service")).toBe("active");
});

test("another machine still holds it: it waits until it is gone there, and no longer", async () => {
  const other = await world.registry.agents.register(registration(2), TTL_MS);
  await other.publish([unitReport(2, "a.service")], []);
  await world.schedule("a.service", FENCED);
  for (let second = 0; second < 20; second++) {
    await other.heartbeat();
    await world.run(1_000);
  }
  expect(orders("a.service")).toEqual(["load a.service"]);
  await other.publish([], ["a.service"]);
  await world.run();
  expect(activeOf("a.service")).toBe("active");
});

test("another machine that held it is lost meanwhile: it waits until that one has surely stopped it", async () => {
  const other = await world.registry.agents.register(registration(2), TTL_MS);
  await other.publish([unitReport(2, "a.service")], []);
  await world.schedule("a.service", FENCED);
  await world.run(TTL_MS + FENCE_OVER_MS - 100);
  expect(orders("a.service")).toEqual(["load a.service"]);
  await world.run(1_000);
  expect(activeOf("a.service")).toBe("active");
  // Later ones need not wait for it any more.
  await world.schedule("b.service", FENCED);
  expect(activeOf("b.service")).toBe("active");
});

test("another machine that is back, and has not said yet what it runs: it waits as if that one were away", async () => {
  const other = await world.registry.agents.register(registration(2), TTL_MS);
  await other.publish([unitReport(2, "a.service")], []);
  await world.run(TTL_MS + 1_000);
  const back = await world.registry.agents.register(registration(2), TTL_MS);
  await world.schedule("a.service", FENCED);
  expect(orders("a.service")).toEqual(["load a.service"]);
  await back.publish([unitReport(2, "a.service")], []);
  for (let second = 0; second < 15; second++) {
    await back.heartbeat();
    await world.run(1_000);
  }
  expect(orders("a.service")).toEqual(["load a.service"]);
  await back.publish([], ["a.service"]);
  await world.run();
  expect(activeOf("a.service")).toBe("active");
});

test("another machine that leaves in order keeps nobody waiting, nor when it is back", async () => {
  const other = await world.registry.agents.register(registration(2), TTL_MS);
  await other.leave();
  await world.schedule("a.service", FENCED);
  expect(activeOf("a.service")).toBe("active");
  await world.registry.agents.register(registration(2), TTL_MS);
  await world.schedule("b.service", FENCED);
  expect(activeOf("b.service")).toBe("active");
});

test("while it waits it can be taken back", async () => {
  const other = await world.registry.agents.register(registration(2), TTL_MS);
  await other.publish([unitReport(2, "a.service")], []);
  await world.schedule("a.service", FENCED);
  await world.setState("a.service", "inactive");
  expect(orders("a.service")).toEqual(["load a.service", "unload a.service"]);
  expect(world.systemd.names).toEqual([]);
});

test("taken back while its older file still stops: the newer one does not wait to be started", async () => {
  await world.schedule("a.service", `${SLOW_STOP}\n[X-Flt]\nFence=strict\n`);
  await world.registry.units.putUnit("a.service", parseUnitFile(FENCED), "launched");
  await world.run(1_000);
  await world.place(["a.service"], null);
  world.systemd.release("a.service");
  await world.run();
  expect(orders("a.service").slice(2)).toEqual(["unload a.service", "load a.service", "unload a.service"]);
  expect(world.systemd.names).toEqual([]);
});

test("without a lease that is known to live it is not started, and says so", async () => {
  await world.schedule("b.service", SLEEP);
  await world.registry.units.putUnit(
    "a.service",
    [
      { section: "Service", name: "ExecStart", value: "/bin/sleep 1000" },
      { section: "X-Flt", name: "Fence", value: "strict" },
    ],
    "launched",
  );
  world.systemd.failNext("armFence", new UnitManagerError("timeout", "systemd does not answer"));
  await world.place(["a.service"], SELF);
  await world.run();
  expect(orders("a.service")).toEqual(["load a.service"]);
  await world.run(2_000);
  expect(activeOf("a.service")).toBe("active");
});

test("moved on while it is about to start here, before this machine has heard of that: it runs on one of the two", async () => {
  const systemd = new FakeUnitManager({ clock: world.registry.clock });
  const second = world.makeAgent("identity-2", systemd, 2);
  second.start();
  await world.run();
  await world.registry.units.putUnit("a.service", parseUnitFile(FENCED), "launched");
  await world.run();
  // Every question takes its time, and what is scheduled here is heard of late.
  world.outage.lateMs = 100;
  await world.place(["a.service"], SELF);
  await world.run(50);
  world.outage.deafen();
  await world.place(["a.service"], machineId(2));
  for (let step = 0; step < 40; step++) {
    await world.run(50);
    const running = [world.systemd, systemd].filter((one) => one.condition("a.service").active === "active");
    expect(running.length).toBeLessThanOrEqual(1);
  }
  world.outage.listen();
  world.outage.lateMs = 0;
  await world.run(2_000);
  expect([activeOf("a.service"), systemd.condition("a.service").active]).toEqual(["inactive", "active"]);
  await second.stop({ handOver: false });
});

test("before it starts the others can read that this machine holds it", async () => {
  let known: unknown;
  world.systemd.subscribe({
    changed: (_name, { active }) => {
      if (active === "active") known ??= world.report("a.service") ?? "nothing";
    },
    lost: () => {},
    freed: () => {},
    connection: () => {},
  });
  await world.schedule("a.service", FENCED);
  expect(activeOf("a.service")).toBe("active");
  expect(known).toMatchObject({ jobState: "loaded", active: "inactive" });
});

test("its turn comes long after it was cleared, and the lease was lost meanwhile: it is cleared anew", async () => {
  const others = Array.from({ length: JOBS_MAX }, (_, index) => `n${index}.service`);
  await world.scheduleTogether(Object.fromEntries(others.map((name) => [name, NEVER_READY])));
  await world.run(20_000);
  await world.schedule("a.service", FENCED);
  expect([orders("a.service"), world.agent.status.jobsWaiting]).toEqual([["load a.service"], 1]);
  world.outage.down = true;
  await world.run(TTL_MS + FENCE_OVER_MS);
  world.outage.deafen();
  await world.place(["a.service"], null);
  for (const name of others) world.systemd.release(name);
  await world.run(2_000);
  expect(orders("a.service")).toEqual(["load a.service"]);
  world.outage.down = false;
  world.outage.listen();
  await world.run(2_000);
  expect(orders("a.service")).toEqual(["load a.service", "unload a.service"]);
});

test("systemd takes its start only after the fence has fired: it is stopped again, and started once there is contact", async () => {
  const { clock } = world.registry;
  const start = world.systemd.start.bind(world.systemd);
  world.systemd.start = async (name) => {
    await pause(clock, TTL_MS + FENCE_OVER_MS);
    return await start(name);
  };
  await world.schedule("a.service", FENCED);
  world.outage.down = true;
  await world.run(TTL_MS + FENCE_OVER_MS + 1_000);
  expect([orders("a.service"), activeOf("a.service")]).toEqual([
    ["load a.service", "start a.service", "stop a.service"],
    "inactive",
  ]);
  world.systemd.start = start;
  world.outage.down = false;
  await world.run(10_000);
  expect(activeOf("a.service")).toBe("active");
});

test("of many that wait only those are looked at again that a change is about", async () => {
  const other = await world.registry.agents.register(registration(2), TTL_MS);
  const names = Array.from({ length: 50 }, (_, index) => `w${index}.service`);
  await other.publish(
    names.map((name) => unitReport(2, name)),
    [],
  );
  await world.scheduleTogether(Object.fromEntries(names.map((name) => [name, FENCED])));
  await world.run(1_000);
  const looked: string[] = [];
  const { view } = world.registry;
  const reports = view.reports.bind(view);
  view.reports = (name) => {
    looked.push(name ?? "all");
    return reports(name);
  };
  await other.publish([unitReport(2, "x.service"), unitReport(2, "w7.service", { sub: "exited" })], []);
  await world.registry.agents.register(registration(3), TTL_MS);
  await world.run();
  expect(looked).toEqual(["w7.service"]);
  await other.publish([], ["w8.service"]);
  await world.run();
  expect(activeOf("w8.service")).toBe("active");
  expect(looked.filter((name) => name !== "w8.service")).toEqual(["w7.service"]);
});

test("while some wait the units are read once for each time that systemd comes back, whenever that is", async () => {
  const other = await world.registry.agents.register(registration(2), TTL_MS);
  const names = ["a.service", "b.service"];
  await other.publish(
    names.map((name) => unitReport(2, name)),
    [],
  );
  await world.scheduleTogether(Object.fromEntries(names.map((name) => [name, FENCED])));
  await world.run(1_000);
  const { systemd } = world;
  let readings = 0;
  const held = systemd.held.bind(systemd);
  systemd.held = () => {
    if (++readings > 500) throw new Error("Read without end");
    return held();
  };
  for (let turns = 0; turns < 60; turns++) {
    systemd.reconnect();
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    systemd.reconnect();
    await world.run(20);
  }
  expect(readings).toBeLessThanOrEqual(180);
  await other.publish([], names);
  await world.run();
  expect(names.map(activeOf)).toEqual(["active", "active"]);
});
