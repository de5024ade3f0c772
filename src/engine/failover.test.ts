import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { EngineWorld, GRACE_MS, TTL_MS } from "../../test/fakes/engine-world.ts";
import { machineId } from "../../test/fakes/registry-world.ts";
import { FENCE_OVER_MS } from "../model/fence.ts";
import { becomeEngine, KvError } from "../registry/index.ts";

let world: EngineWorld;
beforeEach(async () => {
  world = await new EngineWorld().start();
});
afterEach(() => world.stop());

describe("a machine that is gone", () => {
  test("with a silent kernel: its units are elsewhere within 6 s of its last heartbeat", async () => {
    await world.join(1);
    await world.launch("a.service");
    await world.launch("follower.service", "MachineOf=a.service");
    await world.join(2);
    await world.pass(6_000, [2]);
    expect([world.where("a.service"), world.where("follower.service")]).toEqual([2, 2]);
    expect(world.probe.asked).toEqual(["10.0.0.1:2380", "10.0.0.1:2380"]);
  });

  test("with a kernel that answers: nothing moves while its daemon has time to come back", async () => {
    await world.join(1);
    await world.launch("a.service");
    await world.launch("g.service", "Global=true");
    await world.join(2);
    world.probe.alive.add(1);
    await world.pass(30_000, [2]);
    expect(world.where("a.service")).toBe(1);
    expect(world.holders("g.service")).toEqual([1, 2]);
    await world.join(1);
    await world.pass(60_000, [1, 2]);
    expect(world.where("a.service")).toBe(1);
  });

  test("that only the engine's machine does not reach: others are asked, and nothing moves", async () => {
    await world.join(1);
    await world.launch("a.service");
    for (const digit of [2, 3, 4]) await world.join(digit);
    world.probe.aliveElsewhere.add(1);
    await world.pass(30_000, [2, 3, 4]);
    expect(world.where("a.service")).toBe(1);
    expect(new Set(world.probe.relayed)).toEqual(new Set(["10.0.0.2:2380: 1", "10.0.0.3:2380: 1"]));
    world.probe.aliveElsewhere.delete(1);
    await world.pass(5_000, [2, 3, 4]);
    expect(world.where("a.service")).toBe(2);
  });

  test("that stays without its daemon: given up when the grace is over", async () => {
    await world.join(1);
    await world.launch("a.service");
    await world.join(2);
    world.probe.alive.add(1);
    await world.pass(TTL_MS + GRACE_MS - 1_000, [2]);
    expect(world.where("a.service")).toBe(1);
    await world.pass(3_000, [2]);
    expect(world.where("a.service")).toBe(2);
  });

  test("that dies while its daemon is awaited: given up at once", async () => {
    await world.join(1);
    await world.launch("a.service");
    await world.join(2);
    world.probe.alive.add(1);
    await world.pass(20_000, [2]);
    world.probe.alive.delete(1);
    await world.pass(3_000, [2]);
    expect(world.where("a.service")).toBe(2);
  });

  test("a fenced unit stays until its machine has stopped it, also when the machine is dead long before", async () => {
    await world.join(1);
    await world.launch("a.service", "Fence=strict");
    await world.launch("b.service");
    await world.join(2);
    await world.pass(TTL_MS + FENCE_OVER_MS - 500, [2]);
    expect([world.where("a.service"), world.where("b.service")]).toEqual([1, 2]);
    await world.pass(1_000, [2]);
    expect(world.where("a.service")).toBe(2);
  });

  test("a fenced unit need not wait for the daemon: its machine has stopped it, and lives", async () => {
    await world.join(1);
    await world.launch("a.service", "Fence=strict");
    await world.launch("b.service");
    await world.join(2);
    world.probe.alive.add(1);
    await world.pass(TTL_MS + FENCE_OVER_MS - 500, [2]);
    expect(world.where("a.service")).toBe(1);
    await world.pass(1_000, [2]);
    expect([world.where("a.service"), world.where("b.service")]).toEqual([2, 1]);
  });

  test("a fenced unit of a machine that comes back in time stays; gone again, the time begins anew", async () => {
    await world.join(1);
    await world.launch("a.service", "Fence=strict");
    await world.join(2);
    await world.pass(TTL_MS + FENCE_OVER_MS - 2_000, [2]);
    await world.join(1);
    await world.pass(10_000, [1, 2]);
    expect(world.where("a.service")).toBe(1);
    await world.pass(TTL_MS + FENCE_OVER_MS - 1_500, [2]);
    expect(world.where("a.service")).toBe(1);
    await world.pass(2_000, [2]);
    expect(world.where("a.service")).toBe(2);
  });

  test("that left in order: its units are elsewhere at once, nobody is asked", async () => {
    await world.join(1);
    await world.launch("a.service");
    await world.launch("g.service", "Global=true");
    await world.join(2);
    await world.machines.get(1)?.leave();
    await world.clock.advance(0);
    expect(world.where("a.service")).toBe(2);
    expect(world.holders("g.service")).toEqual([2]);
    expect(world.probe.asked).toEqual([]);
    expect(Object.keys(await world.dump()).filter((key) => key.includes(machineId(1)))).toEqual([]);
  });

  test("a new engine finds units on a machine that is not registered, and asks for it", async () => {
    await world.join(1);
    await world.launch("a.service");
    await world.join(2);
    await world.stopEngine();
    await world.pass(TTL_MS + 2_000, [2]);
    expect(world.where("a.service")).toBe(1);
    await world.startEngine();
    await world.pass(2_000, [2]);
    expect(world.where("a.service")).toBe(2);
  });

  test("the engine's own machine is not asked and gets the grace", async () => {
    await world.join(9);
    await world.launch("a.service");
    await world.join(2);
    await world.pass(30_000, [2]);
    expect(world.where("a.service")).toBe(9);
    expect(world.probe.asked).toEqual([]);
  });

  test("the last one dies: its units are nowhere, and come back with it", async () => {
    await world.join(1);
    await world.launch("a.service");
    await world.launch("g.service", "Global=true");
    await world.pass(6_000, []);
    expect(world.where("a.service")).toBeNull();
    expect(world.holders("g.service")).toEqual([]);
    expect(world.view.reasons("a.service")).toEqual([{ machineId: "", reason: "No machine is registered" }]);
    await world.join(1);
    expect(world.where("a.service")).toBe(1);
    expect(world.holders("g.service")).toEqual([1]);
  });
});

describe("writes that fail", () => {
  test("a deposed engine writes nothing and says so once", async () => {
    await world.join(1);
    await becomeEngine(world.kv, world.keys, machineId(8), world.view);
    await world.launch("a.service");
    expect(world.where("a.service")).toBeNull();
    expect(world.deposed).toBe(1);
  });

  test("a stale decision is refused alone and planned anew", async () => {
    await world.stopEngine();
    let meddle = true;
    await world.startEngine((session) => ({
      place: async (placements, globals) => {
        // The user changes one unit between decision and write.
        if (meddle && placements.length > 0) {
          meddle = false;
          await world.units.setDesiredState("b.service", "loaded");
        }
        return session.place(placements, globals);
      },
      explain: (reasons) => session.explain(reasons),
      collect: (hashes) => session.collect(hashes),
    }));
    for (const name of ["a", "b", "c"]) await world.put(`${name}.service`, "");
    await world.join(1);
    await world.clock.advance(0);
    expect(["a", "b", "c"].map((name) => world.where(`${name}.service`))).toEqual([1, 1, 1]);
    expect(world.view.scheduledOn(machineId(1), "b.service")?.desiredState).toBe("loaded");
    expect(world.log).toContain("Planned anew what had changed meanwhile");
  });

  test.each(["unavailable", "unknown-fate"] as const)(
    "%s: looks at the store again before it goes on",
    async (code) => {
      await world.stopEngine();
      let failures = 3;
      await world.startEngine((session) => ({
        place: async (placements, globals) => {
          if (failures > 0 && placements.length > 0) {
            failures -= 1;
            if (code === "unknown-fate" && failures === 1) await session.place(placements, globals);
            throw new KvError(code, "no answer");
          }
          return session.place(placements, globals);
        },
        explain: (reasons) => session.explain(reasons),
        collect: (hashes) => session.collect(hashes),
      }));
      await world.join(1);
      await world.launch("a.service");
      await world.pass(2_000, [1]);
      expect(world.where("a.service")).toBe(1);
    },
  );

  test("the safety net collects unit files that no job names, and puts a lost order right", async () => {
    await world.join(1);
    await world.launch("a.service");
    await world.launch("b.service", "Conflicts=x");
    const lost = world.keys.unit("f".repeat(40));
    await world.local.txn({
      compare: [],
      success: [
        { op: "put", key: lost, value: new TextEncoder().encode('{"v":1,"options":[]}') },
        { op: "delete", key: world.keys.schedule(machineId(1), "a.service") },
      ],
      failure: [],
    });
    await world.pass(3_000, [1]);
    expect(world.where("a.service")).toBe(1);
    expect((await world.local.range({ key: lost })).count).toBe(0);
    expect(Object.keys(await world.dump()).filter((key) => key.startsWith("unit/"))).toHaveLength(2);
  });
});
