import { afterEach, beforeEach, expect, test } from "bun:test";
import { AgentWorld, FAILING, NEVER_READY, OTHER_SLEEP, SELF, SLEEP, SLOW_STOP } from "../../test/fakes/agent-world.ts";
import { parseUnitFile, unitHash } from "../model/unit-file.ts";
import { UnitManagerError } from "./unit-manager.ts";

let world: AgentWorld;
beforeEach(async () => {
  world = await AgentWorld.make();
});
afterEach(() => world.close());

test("a scheduled unit is loaded, started and reported, without any time going by", async () => {
  await world.start();
  await world.schedule("a.service", SLEEP);
  expect(world.systemd.orders).toEqual(["load a.service", "start a.service"]);
  expect(world.report("a.service")).toEqual({
    name: "a.service",
    machineId: SELF,
    hash: unitHash(parseUnitFile(SLEEP)),
    jobState: "launched",
    load: "loaded",
    active: "active",
    sub: "running",
  });
});

test("a loaded unit is reported as loaded; stop and unload follow the desired state", async () => {
  await world.start();
  await world.schedule("a.service", SLEEP, "loaded");
  expect(world.report("a.service")).toMatchObject({ jobState: "loaded", active: "inactive" });
  await world.setState("a.service", "launched");
  expect(world.report("a.service")).toMatchObject({ jobState: "launched", active: "active" });
  await world.setState("a.service", "loaded");
  expect(world.report("a.service")).toMatchObject({ jobState: "loaded", active: "inactive" });
  await world.setState("a.service", "inactive");
  expect(world.report("a.service")).toBeUndefined();
  expect(world.systemd.names).toEqual([]);
});

test("a unit that fails to start is not started again, and says what happened", async () => {
  await world.start();
  await world.schedule("a.service", FAILING);
  await world.run(600_000);
  expect(world.systemd.orders.filter((order) => order === "start a.service").length).toBe(1);
  expect(world.report("a.service")).toMatchObject({ jobState: "launched", active: "failed", result: "exit-code" });
  expect(world.report("a.service")?.problem).toBe(
    'Cannot start "a.service": the unit failed (result: exit-code). Look at `flt journal a.service`',
  );
});

test("a unit that dies later is reported, and left to its own Restart=", async () => {
  await world.start();
  await world.schedule("a.service", SLEEP);
  world.systemd.crash("a.service");
  await world.run(60_000);
  expect(world.report("a.service")).toMatchObject({ jobState: "launched", active: "failed", result: "signal" });
  expect(world.systemd.orders).toEqual(["load a.service", "start a.service"]);
});

test("a replaced file: the old unit is unloaded, the new one loaded and started", async () => {
  await world.start();
  await world.schedule("a.service", SLEEP);
  await world.schedule("a.service", OTHER_SLEEP);
  expect(world.systemd.orders.slice(2)).toEqual(["unload a.service", "load a.service", "start a.service"]);
  expect(world.report("a.service")?.hash).toBe(unitHash(parseUnitFile(OTHER_SLEEP)));
});

test("a start that hangs is reported as on its way, and can be stopped", async () => {
  await world.start();
  await world.schedule("a.service", NEVER_READY);
  expect(world.report("a.service")).toMatchObject({ jobState: "launched", active: "activating", pending: "start" });
  await world.setState("a.service", "loaded");
  expect(world.report("a.service")).toMatchObject({ jobState: "loaded", active: "inactive" });
  expect(world.report("a.service")?.problem).toBeUndefined();
});

test("a stop that hangs keeps nobody else waiting", async () => {
  await world.start();
  await world.schedule("slow.service", SLOW_STOP);
  await world.place(["slow.service"], null);
  await world.schedule("a.service", SLEEP);
  expect(world.report("slow.service")).toMatchObject({ active: "deactivating", jobState: "launched" });
  expect(world.report("a.service")).toMatchObject({ active: "active" });
  world.systemd.release("slow.service");
  await world.run();
  expect(world.report("slow.service")).toBeUndefined();
});

test("units that need each other and come together are loaded before the first of them starts", async () => {
  await world.start();
  await world.scheduleTogether({ "a.service": `[Unit]\nRequires=b.service\n\n${SLEEP}`, "b.service": SLEEP });
  expect(world.report("a.service")?.active).toBe("active");
  expect(world.systemd.orders.slice(0, 2).every((order) => order.startsWith("load"))).toBe(true);
});

test("systemd reloads once for all units of a pass, and only if it must", async () => {
  world.systemd.pin("a.service");
  world.systemd.pin("b.service");
  await world.start();
  await world.scheduleTogether({ "a.service": SLEEP, "b.service": SLEEP, "c.service": SLEEP });
  expect(world.systemd.orders.filter((order) => order === "reload").length).toBe(1);
  for (const name of ["a.service", "b.service", "c.service"]) expect(world.report(name)?.active).toBe("active");
});

test("without the reload that it needs a unit is not started", async () => {
  world.systemd.pin("a.service");
  await world.start();
  world.systemd.failNext("reload", new UnitManagerError("timeout", "Called systemd's Reload without an answer"));
  await world.schedule("a.service", SLEEP);
  expect(world.systemd.orders).toEqual(["load a.service", "reload"]);
  await world.run(1000);
  // What is there of it nobody can say, so it begins anew.
  expect(world.systemd.orders.slice(2)).toEqual(["unload a.service", "load a.service", "reload", "start a.service"]);
  expect(world.report("a.service")).toMatchObject({ active: "active" });
});

test("an [Install] section is reloaded for after the start, not before", async () => {
  await world.start();
  await world.schedule("a.service", `${SLEEP}\n[Install]\nWantedBy=multi-user.target\n`);
  expect(world.systemd.orders).toEqual(["load a.service", "start a.service", "reload"]);
});

test("a name that the host has itself is refused with a report, and not tried again until something changes", async () => {
  await world.start();
  await world.schedule("ssh.service", SLEEP);
  await world.run(600_000);
  expect(world.systemd.orders).toEqual(["load ssh.service"]);
  expect(world.report("ssh.service")).toMatchObject({ jobState: "inactive", load: "not-found" });
  expect(world.report("ssh.service")?.problem).toContain("own systemd has a unit of this name");
  await world.place(["ssh.service"], null);
  await world.run();
  expect(world.report("ssh.service")).toBeUndefined();
});

test("a file that systemd cannot use: its refusal is told, and the load state that it has found", async () => {
  await world.start();
  await world.schedule("a.service", "[Service]\nExecStart=bad\n");
  expect(world.report("a.service")).toMatchObject({ jobState: "loaded", load: "bad-setting", active: "inactive" });
  expect(world.report("a.service")?.problem).toContain("bad unit file setting");
});

test("a problem is forgotten when something else is wanted", async () => {
  await world.start();
  await world.schedule("a.service", `[Unit]\nRequires=missing.service\n\n${SLEEP}`);
  expect(world.report("a.service")?.problem).toContain("missing.service not found");
  expect(world.report("a.service")?.jobState).toBe("loaded");
  await world.run(600_000);
  expect(world.systemd.orders).toEqual(["load a.service", "start a.service"]);
  await world.setState("a.service", "loaded");
  expect(world.report("a.service")?.problem).toBeUndefined();
  await world.setState("a.service", "launched");
  expect(world.systemd.orders.length).toBe(3);
});

test("the same problem twice: each order has its own report, told apart by the order's revision", async () => {
  await world.start();
  await world.schedule("ssh.service", SLEEP, "loaded");
  const first = world.report("ssh.service");
  await world.setState("ssh.service", "launched");
  const second = world.report("ssh.service");
  expect(second?.problem).toBe(first?.problem ?? "no problem");
  expect(world.systemd.orders).toEqual(["load ssh.service", "load ssh.service"]);
  for (const report of [first, second]) expect(report?.orderRevision).toBeNumber();
  expect(second?.orderRevision).toBe(world.registry.view.job("ssh.service")?.modRevision ?? Number.NaN);
  expect(second?.orderRevision).toBeGreaterThan(first?.orderRevision ?? Number.NaN);
});

test("changed to and fro before the agent looked: what was refused is tried again, what is done is not done again", async () => {
  await world.start();
  await world.schedule("ssh.service", SLEEP);
  await world.schedule("a.service", SLEEP);
  const orderedFirst = world.report("ssh.service")?.orderRevision;
  const running = world.report("a.service");
  for (const name of ["ssh.service", "a.service"]) await world.writeOrderAgain(name);
  expect(world.systemd.orders).toEqual(["load ssh.service", "load a.service", "start a.service", "load ssh.service"]);
  expect(world.report("ssh.service")?.orderRevision).toBeGreaterThan(orderedFirst ?? Number.NaN);
  expect(world.report("a.service")).toEqual(running);
});

test("an order that could not be given is given again, with growing pauses", async () => {
  await world.start();
  world.systemd.failNext("load", new UnitManagerError("directory", "Cannot write: no space left on device"));
  await world.schedule("a.service", SLEEP);
  expect(world.report("a.service")?.problem).toContain("no space left");
  await world.run(500);
  expect(world.report("a.service")).toMatchObject({ active: "active" });
  expect(world.report("a.service")?.problem).toBeUndefined();
});

test("three hundred units are reported in a few publications", async () => {
  await world.start();
  const names = Array.from({ length: 300 }, (_, at) => `u${at}.service`);
  for (const name of names) await world.registry.units.putUnit(name, parseUnitFile(SLEEP), "launched");
  await world.registry.settle();
  await world.place(names, SELF);
  const placed = await world.revision();
  await world.run(3000);
  expect(names.every((name) => world.report(name)?.active === "active")).toBe(true);
  expect((await world.revision()) - placed).toBeLessThan(40);
});

test("a refresh publishes what the registration says now, under a lease of the new life, and reports again", async () => {
  await world.start();
  await world.schedule("a.service", SLEEP);
  const before = world.systemd.orders.length;
  world.metadata = { disk: "ssd" };
  world.agent.refresh(60_000);
  // A second one at once: the registration on its way may not know it yet.
  world.metadata = { disk: "hdd" };
  world.agent.refresh(60_000);
  await world.run();
  expect(world.registry.view.machine(SELF)?.metadata).toEqual({ disk: "hdd" });
  // Old lease over, new one long: the report must hang on the new one.
  world.outage.down = true;
  await world.registry.clock.advance(20_000);
  world.outage.down = false;
  await world.run();
  expect(world.report("a.service")).toMatchObject({ active: "active" });
  expect(world.systemd.orders).toHaveLength(before);
});
