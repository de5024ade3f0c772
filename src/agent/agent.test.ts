import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { machineId, RegistryWorld, registration } from "../../test/fakes/registry-world.ts";
import { FakeUnitManager } from "../../test/fakes/unit-manager.ts";
import { SILENT_LOG } from "../lib/log.ts";
import type { JobState, UnitReport } from "../model/states.ts";
import { parseUnitFile, unitHash } from "../model/unit-file.ts";
import { becomeEngine } from "../registry/index.ts";
import type { EngineSession, RegistryError } from "../registry/types.ts";
import { type Kv, KvError } from "../store/kv.ts";
import { Agent } from "./agent.ts";
import { UnitManagerError } from "./unit-manager.ts";

const SELF = machineId(1);
const TTL_MS = 4000;
const SLEEP = "[Service]\nExecStart=/bin/sleep 1000\n";
const OTHER_SLEEP = "[Service]\nExecStart=/bin/sleep 2000\n";
const FAILING = "[Service]\nType=oneshot\nExecStart=/bin/false\n";
const ONESHOT = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
const NEVER_READY = "[Service]\nType=notify\nExecStart=/bin/sleep 1000\n";
const SLOW_STOP = "[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 1000\n";

/** A store that can be out of reach. */
class Outage {
  down = false;
  wrap = (kv: Kv): Kv =>
    new Proxy(kv, {
      get: (target, key) => {
        const member = Reflect.get(target, key) as unknown;
        if (typeof member !== "function") return member;
        if (key === "watch") return member.bind(target);
        return async (...args: unknown[]) => {
          if (this.down) throw new KvError("unavailable", "Cannot reach the store: no quorum");
          return await (member as (...all: unknown[]) => unknown).apply(target, args);
        };
      },
    });
}

describe("Agent", () => {
  let outage: Outage;
  let world: RegistryWorld;
  let engine: EngineSession;
  let systemd: FakeUnitManager;
  let agent: Agent;
  let fatal: RegistryError[];

  beforeEach(async () => {
    outage = new Outage();
    world = await new RegistryWorld(outage.wrap).start();
    engine = await becomeEngine(world.local, world.keys, SELF, world.view);
    systemd = new FakeUnitManager({ hostUnits: ["ssh.service"] });
    fatal = [];
    agent = makeAgent();
  });
  afterEach(async () => {
    await agent.stop({ handOver: false });
    await world.stop();
  });

  function makeAgent(identity = registration(1).identity): Agent {
    return new Agent({
      registry: world.agents,
      units: systemd,
      clock: world.clock,
      log: SILENT_LOG,
      registration: () => ({ ...registration(1), identity }),
      config: { agentTtlMs: TTL_MS, handOverMs: 10_000 },
      onFatal: (error) => fatal.push(error),
    });
  }
  async function run(ms = 0): Promise<void> {
    await world.clock.advance(ms);
    await world.settle();
  }
  /** Puts the unit and places it here, as API and engine would. */
  async function schedule(name: string, text: string, state: JobState = "launched"): Promise<void> {
    await world.units.putUnit(name, parseUnitFile(text), state);
    await world.settle();
    await place(name, SELF);
    await run();
  }
  async function place(name: string, to: string | null): Promise<void> {
    const job = world.view.job(name);
    if (job === undefined) throw new Error(`The test has not put "${name}"`);
    if (job.machine === to) return;
    const { refused } = await engine.place([{ job, to, reason: "test" }], []);
    expect(refused).toEqual([]);
    await world.settle();
  }
  /** In one transaction, so that the agent reads of them at once. */
  async function scheduleTogether(units: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, text] of Object.entries(units)) {
      await world.units.putUnit(name, parseUnitFile(text), "launched");
    }
    await world.settle();
    const jobs = [...world.view.jobs()].filter((job) => job.name in units);
    const { refused } = await engine.place(
      jobs.map((job) => ({ job, to: SELF, reason: "test" })),
      [],
    );
    expect(refused).toEqual([]);
    await run();
  }
  function report(name: string): UnitReport | undefined {
    return world.view.report(SELF, name);
  }

  test("a scheduled unit is loaded, started and reported, without any time going by", async () => {
    agent.start();
    await run();
    await schedule("a.service", SLEEP);
    expect(systemd.orders).toEqual(["load a.service", "start a.service"]);
    expect(report("a.service")).toEqual({
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
    agent.start();
    await run();
    await schedule("a.service", SLEEP, "loaded");
    expect(report("a.service")).toMatchObject({ jobState: "loaded", active: "inactive" });
    await world.units.setDesiredState("a.service", "launched");
    await run();
    expect(report("a.service")).toMatchObject({ jobState: "launched", active: "active" });
    await world.units.setDesiredState("a.service", "loaded");
    await run();
    expect(report("a.service")).toMatchObject({ jobState: "loaded", active: "inactive" });
    await world.units.setDesiredState("a.service", "inactive");
    await run();
    expect(report("a.service")).toBeUndefined();
    expect(systemd.names).toEqual([]);
  });

  test("a unit that fails to start is not started again, and says what happened", async () => {
    agent.start();
    await run();
    await schedule("a.service", FAILING);
    await run(600_000);
    expect(systemd.orders.filter((order) => order === "start a.service").length).toBe(1);
    expect(report("a.service")).toMatchObject({ jobState: "launched", active: "failed", result: "exit-code" });
    expect(report("a.service")?.problem).toBe(
      'Cannot start "a.service": the unit failed (result: exit-code). Look at `flt journal a.service`',
    );
  });

  test("a unit that dies later is reported, and left to its own Restart=", async () => {
    agent.start();
    await run();
    await schedule("a.service", SLEEP);
    systemd.crash("a.service");
    await run(60_000);
    expect(report("a.service")).toMatchObject({ jobState: "launched", active: "failed", result: "signal" });
    expect(systemd.orders).toEqual(["load a.service", "start a.service"]);
  });

  test("a replaced file: the old unit is unloaded, the new one loaded and started", async () => {
    agent.start();
    await run();
    await schedule("a.service", SLEEP);
    await schedule("a.service", OTHER_SLEEP);
    expect(systemd.orders.slice(2)).toEqual(["unload a.service", "load a.service", "start a.service"]);
    expect(report("a.service")?.hash).toBe(unitHash(parseUnitFile(OTHER_SLEEP)));
  });

  test("a start that hangs is reported as on its way, and can be stopped", async () => {
    agent.start();
    await run();
    await schedule("a.service", NEVER_READY);
    expect(report("a.service")).toMatchObject({ jobState: "launched", active: "activating", pending: "start" });
    await world.units.setDesiredState("a.service", "loaded");
    await run();
    expect(report("a.service")).toMatchObject({ jobState: "loaded", active: "inactive" });
    expect(report("a.service")?.problem).toBeUndefined();
  });

  test("a stop that hangs keeps nobody else waiting", async () => {
    agent.start();
    await run();
    await schedule("slow.service", SLOW_STOP);
    await place("slow.service", null);
    await schedule("a.service", SLEEP);
    expect(report("slow.service")).toMatchObject({ active: "deactivating", jobState: "launched" });
    expect(report("a.service")).toMatchObject({ active: "active" });
    systemd.release("slow.service");
    await run();
    expect(report("slow.service")).toBeUndefined();
  });

  test("units that need each other and come together are loaded before the first of them starts", async () => {
    agent.start();
    await run();
    await scheduleTogether({ "a.service": `[Unit]\nRequires=b.service\n\n${SLEEP}`, "b.service": SLEEP });
    expect(report("a.service")?.active).toBe("active");
    expect(systemd.orders.slice(0, 2).every((order) => order.startsWith("load"))).toBe(true);
  });

  test("systemd reloads once for all units of a pass, and only if it must", async () => {
    systemd.pin("a.service");
    systemd.pin("b.service");
    agent.start();
    await run();
    await scheduleTogether({ "a.service": SLEEP, "b.service": SLEEP, "c.service": SLEEP });
    expect(systemd.orders.filter((order) => order === "reload").length).toBe(1);
    for (const name of ["a.service", "b.service", "c.service"]) expect(report(name)?.active).toBe("active");
  });

  test("an [Install] section is reloaded for after the start, not before", async () => {
    agent.start();
    await run();
    await schedule("a.service", `${SLEEP}\n[Install]\nWantedBy=multi-user.target\n`);
    expect(systemd.orders).toEqual(["load a.service", "start a.service", "reload"]);
  });

  test("a name that the host has itself is refused with a report, and not tried again until something changes", async () => {
    agent.start();
    await run();
    await schedule("ssh.service", SLEEP);
    await run(600_000);
    expect(systemd.orders).toEqual(["load ssh.service"]);
    expect(report("ssh.service")).toMatchObject({ jobState: "inactive", load: "not-found" });
    expect(report("ssh.service")?.problem).toContain("own systemd has a unit of this name");
    await place("ssh.service", null);
    await run();
    expect(report("ssh.service")).toBeUndefined();
  });

  test("an order that could not be given is given again, with growing pauses", async () => {
    agent.start();
    await run();
    systemd.failNext("load", new UnitManagerError("directory", "Cannot write: no space left on device"));
    await schedule("a.service", SLEEP);
    expect(report("a.service")?.problem).toContain("no space left");
    await run(500);
    expect(report("a.service")).toMatchObject({ active: "active" });
    expect(report("a.service")?.problem).toBeUndefined();
  });

  describe("when the daemon restarts", () => {
    test("units with the same file are adopted: no order is given", async () => {
      agent.start();
      await run();
      await schedule("a.service", SLEEP);
      await schedule("once.service", ONESHOT);
      await agent.stop({ handOver: false });
      const before = systemd.orders.length;
      agent = makeAgent();
      agent.start();
      await run(10_000);
      expect(systemd.orders.length).toBe(before);
      expect(report("a.service")).toMatchObject({ jobState: "launched", active: "active" });
      expect(report("once.service")).toMatchObject({ jobState: "launched", active: "inactive" });
    });

    test("what was given away meanwhile is unloaded, but only after the schedule was read", async () => {
      agent.start();
      await run();
      await schedule("a.service", SLEEP);
      await agent.stop({ handOver: false });
      await place("a.service", null);
      outage.down = true;
      agent = makeAgent();
      agent.start();
      await run(60_000);
      expect(systemd.names).toEqual(["a.service"]);
      outage.down = false;
      await run(5000);
      expect(systemd.names).toEqual([]);
    });
  });

  describe("when the store is out of reach", () => {
    test("units are left alone, and everything is reported again once it is back", async () => {
      agent.start();
      await run();
      await schedule("a.service", SLEEP);
      outage.down = true;
      await run(60_000);
      systemd.crash("a.service");
      await run(1000);
      expect(systemd.orders).toEqual(["load a.service", "start a.service"]);
      expect(world.view.machine(SELF)).toBeUndefined();
      outage.down = false;
      await run(3000);
      expect(world.view.machine(SELF)?.id).toBe(SELF);
      expect(report("a.service")).toMatchObject({ active: "failed" });
    });

    test("heartbeats keep the machine registered for as long as the store is there", async () => {
      agent.start();
      for (let second = 0; second < 60; second++) {
        await run(1000);
        expect(world.view.machine(SELF)?.id).toBe(SELF);
      }
    });
  });

  describe("when systemd is out of reach", () => {
    test("the machine stays registered, and orders are given once systemd is back", async () => {
      agent.start();
      await run();
      await schedule("a.service", SLEEP);
      systemd.disconnect();
      await schedule("b.service", SLEEP);
      await run(10_000);
      expect(agent.status).toMatchObject({ registered: true, systemdConnected: false });
      systemd.reconnect();
      await run(40_000);
      expect(report("b.service")).toMatchObject({ active: "active" });
      expect(systemd.orders.filter((order) => order.endsWith("a.service"))).toEqual([
        "load a.service",
        "start a.service",
      ]);
    });

    test("what happened meanwhile is noticed", async () => {
      agent.start();
      await run();
      await schedule("a.service", SLEEP);
      systemd.disconnect();
      systemd.crash("a.service");
      await run(1000);
      expect(report("a.service")?.active).toBe("active");
      systemd.reconnect();
      await run(1000);
      expect(report("a.service")?.active).toBe("failed");
    });
  });

  describe("when it leaves", () => {
    test("in order: units are stopped here first, then given back, and the machine is gone", async () => {
      agent.start();
      await run();
      await schedule("a.service", SLEEP);
      await agent.stop({ handOver: true });
      await run();
      expect(systemd.names).toEqual([]);
      expect(world.view.machine(SELF)).toBeUndefined();
      expect([...world.view.scheduled(SELF)]).toEqual([]);
      expect(world.view.job("a.service")?.machine).toBeNull();
    });

    test("a unit that does not stop is waited for no longer than handOverMs", async () => {
      agent.start();
      await run();
      await schedule("slow.service", SLOW_STOP);
      let ended = false;
      const stopping = agent.stop({ handOver: true }).then(() => {
        ended = true;
      });
      await run(9900);
      expect(ended).toBe(false);
      expect(world.view.machine(SELF)?.id).toBe(SELF);
      await run(200);
      await stopping;
      await run();
      expect(world.view.machine(SELF)).toBeUndefined();
    });

    test("without quorum units are stopped all the same", async () => {
      agent.start();
      await run();
      await schedule("a.service", SLEEP);
      outage.down = true;
      const stopping = agent.stop({ handOver: true });
      await run(5000);
      await stopping;
      expect(systemd.names).toEqual([]);
    });

    test("for a restart: units and lease stay", async () => {
      agent.start();
      await run();
      await schedule("a.service", SLEEP);
      await agent.stop({ handOver: false });
      expect(systemd.names).toEqual(["a.service"]);
      expect(world.view.machine(SELF)?.id).toBe(SELF);
    });
  });

  test("another host with this machine-id: fatal, and no unit is touched", async () => {
    const other = makeAgent("another-identity");
    other.start();
    await run();
    await schedule("theirs.service", SLEEP);
    const own = new FakeUnitManager();
    await own.load({ name: "mine.service", text: SLEEP, install: false });
    systemd = own;
    agent = makeAgent();
    agent.start();
    await run(10_000);
    expect(fatal.map((error) => error.code)).toEqual(["machine-id-taken"]);
    expect(own.orders).toEqual(["load mine.service"]);
    await agent.stop({ handOver: true });
    expect(own.names).toEqual(["mine.service"]);
    await other.stop({ handOver: false });
  });

  test("three hundred units are reported in a few publications", async () => {
    agent.start();
    await run();
    const names = Array.from({ length: 300 }, (_, at) => `u${at}.service`);
    for (const name of names) await world.units.putUnit(name, parseUnitFile(SLEEP), "launched");
    await world.settle();
    const before = (await world.local.range(world.keys.all)).revision;
    const jobs = names.map((name) => world.view.job(name)).filter((job) => job !== undefined);
    await engine.place(
      jobs.map((job) => ({ job, to: SELF, reason: "test" })),
      [],
    );
    const placed = (await world.local.range(world.keys.all)).revision;
    await run(3000);
    expect(names.every((name) => report(name)?.active === "active")).toBe(true);
    const after = (await world.local.range(world.keys.all)).revision;
    expect(placed).toBeGreaterThan(before);
    expect(after - placed).toBeLessThan(40);
  });
});
