import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { machineId, RegistryWorld, registration } from "../../test/fakes/registry-world.ts";
import { type Log, SILENT_LOG } from "../lib/log.ts";
import type { JobState } from "../model/states.ts";
import { becomeEngine, type EngineSession, KvError, type MachineSession } from "../registry/index.ts";
import { DEFAULT_ENGINE_CONFIG, Engine, type MachineProbe } from "./index.ts";

const TTL_MS = 4_000;
const GRACE_MS = 60_000;

/** Kernels by machine number: what is not listed answers nobody. */
class FakeProbe implements MachineProbe {
  readonly alive = new Set<number>();
  readonly asked: string[] = [];
  probe(address: string, signal: AbortSignal): Promise<"alive" | "silent"> {
    this.asked.push(address);
    const digit = Number(/10\.0\.0\.(\d+)/.exec(address)?.[1]);
    if (this.alive.has(digit)) return Promise.resolve("alive");
    return new Promise((resolve) => signal.addEventListener("abort", () => resolve("silent")));
  }
}

let world: RegistryWorld;
let probe: FakeProbe;
let engine: Engine;
let machines: Map<number, MachineSession>;
let deposed: number;
let log: string[];

beforeEach(async () => {
  world = await new RegistryWorld().start();
  probe = new FakeProbe();
  machines = new Map();
  deposed = 0;
  log = [];
  await startEngine();
});
afterEach(async () => {
  await stopEngine();
  await world.stop();
});

async function startEngine(wrap: (session: EngineSession) => EngineSession = (session) => session): Promise<void> {
  const session = wrap(await becomeEngine(world.kv, world.keys, machineId(9), world.view));
  const note = (message: string) => log.push(message);
  const loud: Log = { ...SILENT_LOG, info: note, notice: note, warning: note };
  engine = new Engine({
    view: world.view,
    session,
    clock: world.clock,
    log: loud,
    probe,
    selfId: machineId(9),
    config: { ...DEFAULT_ENGINE_CONFIG, daemonGraceMs: GRACE_MS },
    onDeposed: () => {
      deposed += 1;
    },
  });
  engine.start();
  await world.settle();
}
async function stopEngine(): Promise<void> {
  const stopped = engine.stop();
  await world.clock.advance(0);
  await stopped;
}
async function join(digit: number, metadata: Record<string, string> = {}): Promise<void> {
  machines.set(digit, await world.agents.register(registration(digit, metadata), TTL_MS));
  await world.clock.advance(0);
}
async function start(name: string, placement = "", state: JobState = "launched"): Promise<void> {
  await world.put(name, placement, state);
  await world.clock.advance(0);
}
/** Lets time pass while the daemons of these machines beat. */
async function pass(ms: number, beating: readonly number[]): Promise<void> {
  for (let left = ms; left > 0; left -= 1_000) {
    for (const digit of beating) await machines.get(digit)?.heartbeat();
    await world.clock.advance(Math.min(left, 1_000));
  }
}
/** Number of the machine that has the unit; null: nowhere. Job and schedule keys must agree. */
function where(name: string): number | null {
  const holders = [...world.view.scheduledMachines()].filter((id) => world.view.scheduledOn(id, name) !== undefined);
  const machine = world.view.job(name)?.machine ?? null;
  expect(holders).toEqual(machine === null ? [] : [machine]);
  return machine === null ? null : Number.parseInt(machine.slice(0, 8), 16);
}
function holders(name: string): number[] {
  return [...world.view.scheduledMachines()]
    .filter((id) => world.view.scheduledOn(id, name) !== undefined)
    .map((id) => Number.parseInt(id.slice(0, 8), 16))
    .sort((a, b) => a - b);
}

describe("placement", () => {
  test("a new unit is placed at once, without a tick of the clock", async () => {
    await join(1);
    await start("a.service");
    expect(where("a.service")).toBe(1);
    expect(world.view.scheduledOn(machineId(1), "a.service")).toMatchObject({ desiredState: "launched" });
    expect(log.some((line) => line.startsWith('Placed "a.service" on 00000001'))).toBe(true);
  });

  test("the machine with the fewest units wins, ties go by id", async () => {
    for (const digit of [3, 1, 2]) await join(digit);
    for (const name of ["a", "b", "c", "d"]) await start(`${name}.service`);
    expect(["a", "b", "c", "d"].map((name) => where(`${name}.service`))).toEqual([1, 2, 3, 1]);
  });

  test("an inactive unit is placed nowhere, and comes off its machine", async () => {
    await join(1);
    await start("a.service", "", "inactive");
    expect(where("a.service")).toBeNull();
    await start("a.service");
    expect(where("a.service")).toBe(1);
    await world.units.setDesiredState("a.service", "inactive");
    await world.clock.advance(0);
    expect(where("a.service")).toBeNull();
  });

  test("a unit that fits nowhere gets a reason for each machine, and its place when one fits", async () => {
    await start("a.service", "MachineMetadata=region=eu");
    expect(world.view.reasons("a.service")).toEqual([{ machineId: "", reason: "No machine is registered" }]);
    await join(1);
    await join(2, { region: "us" });
    expect(world.view.reasons("a.service")).toEqual([
      { machineId: machineId(1), reason: "No metadata region: the unit needs region=eu" },
      { machineId: machineId(2), reason: "Has region=us: the unit needs region=eu" },
    ]);
    await join(3, { region: "eu" });
    expect(where("a.service")).toBe(3);
    expect(world.view.reasons("a.service")).toEqual([]);
  });

  test("300 units are placed in a few transactions", async () => {
    for (const digit of [1, 2, 3]) await join(digit);
    const names = Array.from({ length: 300 }, (_, index) => `u${index}.service`);
    await Promise.all(names.map((name) => world.put(name, "")));
    const before = world.view.revision;
    await world.clock.advance(100);
    expect(names.filter((name) => where(name) === 1)).toHaveLength(100);
    expect(world.view.revision - before).toBeLessThan(40);
  });
});

describe("conflicts", () => {
  test("keep apart, both ways; whoever waits is placed when the other leaves", async () => {
    await join(1);
    await start("a.service", "Conflicts=b*");
    await start("b.service");
    expect(where("b.service")).toBeNull();
    await start("c.service", "Conflicts=a.service");
    expect(where("c.service")).toBeNull();
    await world.units.destroyUnit("a.service");
    await world.clock.advance(0);
    expect([where("b.service"), where("c.service")]).toEqual([1, 1]);
  });

  test("a new file that conflicts moves the unit that has it, not its neighbour", async () => {
    await join(1);
    await join(2);
    for (const name of ["a", "x", "b"]) await start(`${name}.service`);
    expect([where("a.service"), where("b.service")]).toEqual([1, 1]);
    await start("b.service", "Conflicts=a.service");
    expect([where("a.service"), where("b.service")]).toEqual([1, 2]);
  });
});

describe("MachineOf", () => {
  test("waits for its target, and follows it in the same transaction", async () => {
    await join(1, { a: "1" });
    await start("follower.service", "MachineOf=target.service");
    expect(where("follower.service")).toBeNull();
    await start("target.service", "MachineMetadata=a=1");
    expect(where("follower.service")).toBe(1);
    await join(2, { a: "1" });
    await pass(3_000, [1, 2]);
    const revisions: number[] = [];
    const unsubscribe = world.view.subscribe((changes, revision) => {
      if (changes.some((change) => change.kind === "job")) revisions.push(revision);
    });
    await world.local.txn({
      compare: [],
      success: [
        {
          op: "put",
          key: world.keys.metadata(machineId(1), "a"),
          value: new TextEncoder().encode('{"v":1,"removed":true}'),
        },
      ],
      failure: [],
    });
    await world.clock.advance(0);
    unsubscribe();
    expect([where("target.service"), where("follower.service")]).toEqual([2, 2]);
    expect(revisions).toHaveLength(1);
  });

  test("is nowhere when its target is nowhere", async () => {
    await join(1);
    await start("target.service");
    await start("follower.service", "MachineOf=target.service");
    await world.units.setDesiredState("target.service", "inactive");
    await world.clock.advance(0);
    expect(where("follower.service")).toBeNull();
    expect(world.view.reasons("follower.service")[0]?.reason).toContain("which is placed nowhere");
  });
});

describe("Replaces", () => {
  test("moves the matching unit to another machine", async () => {
    await join(1);
    await start("old.service");
    await join(2);
    await start("y.service");
    await start("new.service", "Replaces=old.service");
    expect([where("old.service"), where("new.service")]).toEqual([2, 1]);
  });

  test("that other machine does not exist: the replaced unit waits, with its reasons", async () => {
    await join(1);
    await start("old.service");
    await start("new.service", "Replaces=old.service");
    expect([where("old.service"), where("new.service")]).toEqual([null, 1]);
    expect(world.view.reasons("old.service")).toEqual([
      { machineId: machineId(1), reason: 'Holds "new.service", which replaces the unit' },
    ]);
  });

  test("two that replace each other leave each other alone", async () => {
    await join(1);
    await start("a.service", "Replaces=b.service");
    await start("b.service", "Replaces=a.service");
    expect([where("a.service"), where("b.service")]).toEqual([1, 1]);
  });
});

describe("global units", () => {
  test("run on every machine that fits, also on one that joins later, and follow their desired state", async () => {
    await join(1, { a: "1" });
    await join(2);
    await start("g.service", "Global=true\nMachineMetadata=a=1");
    expect(holders("g.service")).toEqual([1]);
    await join(3, { a: "1" });
    expect(holders("g.service")).toEqual([1, 3]);
    await world.units.setDesiredState("g.service", "loaded");
    await world.clock.advance(0);
    expect(world.view.scheduledOn(machineId(3), "g.service")?.desiredState).toBe("loaded");
    await world.units.setDesiredState("g.service", "inactive");
    await world.clock.advance(0);
    expect(holders("g.service")).toEqual([]);
    expect(world.view.job("g.service")?.machine).toBeNull();
  });

  test("stay off a machine with a conflict until that unit leaves; vanish when destroyed", async () => {
    await join(1);
    await start("a.service");
    await start("g.service", "Global=true\nConflicts=a.service");
    expect(holders("g.service")).toEqual([]);
    await world.units.destroyUnit("a.service");
    await world.clock.advance(0);
    expect(holders("g.service")).toEqual([1]);
    await world.units.destroyUnit("g.service");
    await world.clock.advance(0);
    expect(holders("g.service")).toEqual([]);
  });

  test("a unit that is global no longer stays on one machine", async () => {
    for (const digit of [1, 2, 3]) await join(digit);
    await start("g.service", "Global=true");
    await start("g.service", "");
    expect(where("g.service")).toBe(1);
    await start("g.service", "Global=yes");
    expect(holders("g.service")).toEqual([1, 2, 3]);
  });
});

describe("a machine that is gone", () => {
  test("with a silent kernel: its units are elsewhere within 6 s of its last heartbeat", async () => {
    await join(1);
    await start("a.service");
    await start("follower.service", "MachineOf=a.service");
    await join(2);
    await pass(6_000, [2]);
    expect([where("a.service"), where("follower.service")]).toEqual([2, 2]);
    expect(probe.asked).toEqual(["10.0.0.1:2380", "10.0.0.1:2380"]);
  });

  test("with a kernel that answers: nothing moves while its daemon has time to come back", async () => {
    await join(1);
    await start("a.service");
    await start("g.service", "Global=true");
    await join(2);
    probe.alive.add(1);
    await pass(30_000, [2]);
    expect(where("a.service")).toBe(1);
    expect(holders("g.service")).toEqual([1, 2]);
    await join(1);
    await pass(60_000, [1, 2]);
    expect(where("a.service")).toBe(1);
  });

  test("that stays without its daemon: given up when the grace is over", async () => {
    await join(1);
    await start("a.service");
    await join(2);
    probe.alive.add(1);
    await pass(TTL_MS + GRACE_MS - 1_000, [2]);
    expect(where("a.service")).toBe(1);
    await pass(3_000, [2]);
    expect(where("a.service")).toBe(2);
  });

  test("that dies while its daemon is awaited: given up at once", async () => {
    await join(1);
    await start("a.service");
    await join(2);
    probe.alive.add(1);
    await pass(20_000, [2]);
    probe.alive.delete(1);
    await pass(3_000, [2]);
    expect(where("a.service")).toBe(2);
  });

  test("that left in order: its units are elsewhere at once, nobody is asked", async () => {
    await join(1);
    await start("a.service");
    await start("g.service", "Global=true");
    await join(2);
    await machines.get(1)?.leave();
    await world.clock.advance(0);
    expect(where("a.service")).toBe(2);
    expect(holders("g.service")).toEqual([2]);
    expect(probe.asked).toEqual([]);
    expect(Object.keys(await world.dump()).filter((key) => key.includes(machineId(1)))).toEqual([]);
  });

  test("a new engine finds units on a machine that is not registered, and asks for it", async () => {
    await join(1);
    await start("a.service");
    await join(2);
    await stopEngine();
    await pass(TTL_MS + 2_000, [2]);
    expect(where("a.service")).toBe(1);
    await startEngine();
    await pass(2_000, [2]);
    expect(where("a.service")).toBe(2);
  });

  test("the engine's own machine is not asked and gets the grace", async () => {
    await join(9);
    await start("a.service");
    await join(2);
    await pass(30_000, [2]);
    expect(where("a.service")).toBe(9);
    expect(probe.asked).toEqual([]);
  });

  test("the last one dies: its units are nowhere, and come back with it", async () => {
    await join(1);
    await start("a.service");
    await start("g.service", "Global=true");
    await pass(6_000, []);
    expect(where("a.service")).toBeNull();
    expect(holders("g.service")).toEqual([]);
    expect(world.view.reasons("a.service")).toEqual([{ machineId: "", reason: "No machine is registered" }]);
    await join(1);
    expect(where("a.service")).toBe(1);
    expect(holders("g.service")).toEqual([1]);
  });
});

describe("writes that fail", () => {
  test("a deposed engine writes nothing and says so once", async () => {
    await join(1);
    await becomeEngine(world.kv, world.keys, machineId(8), world.view);
    await start("a.service");
    expect(where("a.service")).toBeNull();
    expect(deposed).toBe(1);
  });

  test("a stale decision is refused alone and planned anew", async () => {
    await stopEngine();
    let meddle = true;
    await startEngine((session) => ({
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
    await join(1);
    await world.clock.advance(0);
    expect(["a", "b", "c"].map((name) => where(`${name}.service`))).toEqual([1, 1, 1]);
    expect(world.view.scheduledOn(machineId(1), "b.service")?.desiredState).toBe("loaded");
    expect(log).toContain("Planned anew what had changed meanwhile");
  });

  test.each(["unavailable", "unknown-fate"] as const)(
    "%s: looks at the store again before it goes on",
    async (code) => {
      await stopEngine();
      let failures = 3;
      await startEngine((session) => ({
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
      await join(1);
      await start("a.service");
      await pass(2_000, [1]);
      expect(where("a.service")).toBe(1);
    },
  );

  test("the safety net collects unit files that no job names, and puts a lost order right", async () => {
    await join(1);
    await start("a.service");
    await start("b.service", "Conflicts=x");
    const lost = world.keys.unit("f".repeat(40));
    await world.local.txn({
      compare: [],
      success: [
        { op: "put", key: lost, value: new TextEncoder().encode('{"v":1,"options":[]}') },
        { op: "delete", key: world.keys.schedule(machineId(1), "a.service") },
      ],
      failure: [],
    });
    await pass(3_000, [1]);
    expect(where("a.service")).toBe(1);
    expect((await world.local.range({ key: lost })).count).toBe(0);
    expect(Object.keys(await world.dump()).filter((key) => key.startsWith("unit/"))).toHaveLength(2);
  });
});
