import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { EngineWorld } from "../../test/fakes/engine-world.ts";
import { machineId } from "../../test/fakes/registry-world.ts";
import { encodeText } from "../lib/text.ts";

let world: EngineWorld;
beforeEach(async () => {
  world = await new EngineWorld().start();
});
afterEach(() => world.stop());

describe("placement", () => {
  test("a new unit is placed at once, without a tick of the clock", async () => {
    await world.join(1);
    await world.launch("a.service");
    expect(world.where("a.service")).toBe(1);
    expect(world.view.scheduledOn(machineId(1), "a.service")).toMatchObject({ desiredState: "launched" });
    expect(world.log.some((line) => line.startsWith('Placed "a.service" on 00000001'))).toBe(true);
  });

  test("the machine with the fewest units wins, ties go by id", async () => {
    for (const digit of [3, 1, 2]) await world.join(digit);
    for (const name of ["a", "b", "c", "d"]) await world.launch(`${name}.service`);
    expect(["a", "b", "c", "d"].map((name) => world.where(`${name}.service`))).toEqual([1, 2, 3, 1]);
  });

  test("an inactive unit is placed nowhere, and comes off its machine", async () => {
    await world.join(1);
    await world.launch("a.service", "", "inactive");
    expect(world.where("a.service")).toBeNull();
    await world.launch("a.service");
    expect(world.where("a.service")).toBe(1);
    await world.setState("a.service", "inactive");
    expect(world.where("a.service")).toBeNull();
  });

  test("a unit that fits nowhere gets a reason for each machine, and its place when one fits", async () => {
    await world.launch("a.service", "MachineMetadata=region=eu");
    expect(world.view.reasons("a.service")).toEqual([{ machineId: "", reason: "No machine is registered" }]);
    await world.join(1);
    await world.join(2, { region: "us" });
    expect(world.view.reasons("a.service")).toEqual([
      { machineId: machineId(1), reason: "No metadata region: the unit needs region=eu" },
      { machineId: machineId(2), reason: "Has region=us: the unit needs region=eu" },
    ]);
    await world.join(3, { region: "eu" });
    expect(world.where("a.service")).toBe(3);
    expect(world.view.reasons("a.service")).toEqual([]);
  });

  test("300 units are placed in a few transactions", async () => {
    for (const digit of [1, 2, 3]) await world.join(digit);
    const names = Array.from({ length: 300 }, (_, index) => `u${index}.service`);
    await Promise.all(names.map((name) => world.put(name, "")));
    const before = world.view.revision;
    await world.clock.advance(100);
    expect(names.filter((name) => world.where(name) === 1)).toHaveLength(100);
    expect(world.view.revision - before).toBeLessThan(40);
  });
});

describe("conflicts", () => {
  test("keep apart, both ways; whoever waits is placed when the other leaves", async () => {
    await world.join(1);
    await world.launch("a.service", "Conflicts=b*");
    await world.launch("b.service");
    expect(world.where("b.service")).toBeNull();
    await world.launch("c.service", "Conflicts=a.service");
    expect(world.where("c.service")).toBeNull();
    await world.destroy("a.service");
    expect([world.where("b.service"), world.where("c.service")]).toEqual([1, 1]);
  });

  test("a new file that conflicts moves the unit that has it, not its neighbour", async () => {
    await world.join(1);
    await world.join(2);
    for (const name of ["a", "x", "b"]) await world.launch(`${name}.service`);
    expect([world.where("a.service"), world.where("b.service")]).toEqual([1, 1]);
    await world.launch("b.service", "Conflicts=a.service");
    expect([world.where("a.service"), world.where("b.service")]).toEqual([1, 2]);
  });
});

describe("a new engine", () => {
  test("reads the units in slices, and decides nothing before it has read them all", async () => {
    await world.join(1);
    const names = Array.from({ length: 40 }, (_, index) => `u${10 + index}.service`);
    for (const name of names) await world.launch(name);
    await world.stopEngine();
    await world.put("a.service", "Conflicts=u49.service");
    const placed = world.log.length;
    // Reading a unit takes 4 ms on it: three to a slice.
    let spentMs = 0;
    let slices = 0;
    const now = () => {
      spentMs += 4;
      return world.clock.now() + spentMs;
    };
    const after = (delayMs: number, run: () => void) => {
      if (delayMs === 0) slices += 1;
      return world.clock.after(delayMs, run);
    };
    await world.startEngine(undefined, { now, after });
    expect(slices).toBe(1);
    await world.clock.advance(0);
    expect(slices).toBeGreaterThan(10);
    expect(world.log.slice(placed).filter((line) => line.startsWith("Placed"))).toEqual([]);
    expect(world.where("a.service")).toBeNull();
    expect(world.view.reasons("a.service")).toHaveLength(1);
  });

  test("that is stopped while it reads leaves everything as it was", async () => {
    await world.stopEngine();
    await world.join(1);
    for (const name of ["a", "b", "c"]) await world.put(`${name}.service`, "");
    let spentMs = 0;
    const now = () => {
      spentMs += 20;
      return world.clock.now() + spentMs;
    };
    await world.startEngine(undefined, { now, after: (delayMs, run) => world.clock.after(delayMs, run) });
    await world.stopEngine();
    expect(["a", "b", "c"].map((name) => world.where(`${name}.service`))).toEqual([null, null, null]);
  });
});

describe("MachineOf", () => {
  test("waits for its target, and follows it in the same transaction", async () => {
    await world.join(1, { a: "1" });
    await world.launch("follower.service", "MachineOf=target.service");
    expect(world.where("follower.service")).toBeNull();
    await world.launch("target.service", "MachineMetadata=a=1");
    expect(world.where("follower.service")).toBe(1);
    await world.join(2, { a: "1" });
    await world.pass(3_000, [1, 2]);
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
    expect([world.where("target.service"), world.where("follower.service")]).toEqual([2, 2]);
    expect(revisions).toHaveLength(1);
  });

  test("is nowhere when its target is nowhere", async () => {
    await world.join(1);
    await world.launch("target.service");
    await world.launch("follower.service", "MachineOf=target.service");
    await world.setState("target.service", "inactive");
    expect(world.where("follower.service")).toBeNull();
    expect(world.view.reasons("follower.service")[0]?.reason).toContain("which is placed nowhere");
  });
});

describe("Replaces", () => {
  test("moves the matching unit to another machine", async () => {
    await world.join(1);
    await world.launch("old.service");
    await world.join(2);
    await world.launch("y.service");
    await world.launch("new.service", "Replaces=old.service");
    expect([world.where("old.service"), world.where("new.service")]).toEqual([2, 1]);
  });

  test("that other machine does not exist: the replaced unit waits, with its reasons", async () => {
    await world.join(1);
    await world.launch("old.service");
    await world.launch("new.service", "Replaces=old.service");
    expect([world.where("old.service"), world.where("new.service")]).toEqual([null, 1]);
    expect(world.view.reasons("old.service")).toEqual([
      { machineId: machineId(1), reason: 'Holds "new.service", which replaces the unit' },
    ]);
  });

  test("two that replace each other leave each other alone", async () => {
    await world.join(1);
    await world.launch("a.service", "Replaces=b.service");
    await world.launch("b.service", "Replaces=a.service");
    expect([world.where("a.service"), world.where("b.service")]).toEqual([1, 1]);
  });
});

describe("global units", () => {
  test("run on every machine that fits, also on one that joins later, and follow their desired state", async () => {
    await world.join(1, { a: "1" });
    await world.join(2);
    await world.launch("g.service", "Global=true\nMachineMetadata=a=1");
    expect(world.holders("g.service")).toEqual([1]);
    await world.join(3, { a: "1" });
    expect(world.holders("g.service")).toEqual([1, 3]);
    await world.setState("g.service", "loaded");
    expect(world.view.scheduledOn(machineId(3), "g.service")?.desiredState).toBe("loaded");
    await world.setState("g.service", "inactive");
    expect(world.holders("g.service")).toEqual([]);
    expect(world.view.job("g.service")?.machine).toBeNull();
  });

  test("that fit nowhere say why, one reason a machine, until one fits; on some machines only there is nothing to say", async () => {
    await world.launch("g.service", "Global=true\nMachineMetadata=a=1");
    expect(world.view.reasons("g.service")).toEqual([{ machineId: "", reason: "No machine is registered" }]);
    await world.join(1);
    await world.pass(2_000, [1]);
    const refusal = (digit: number) => ({ machineId: machineId(digit), reason: "No metadata a: the unit needs a=1" });
    expect(world.view.reasons("g.service")).toEqual([refusal(1)]);
    await world.join(2);
    await world.pass(2_000, [1, 2]);
    expect(world.view.reasons("g.service")).toEqual([refusal(1), refusal(2)]);
    await world.join(3, { a: "1" });
    expect(world.holders("g.service")).toEqual([3]);
    expect(world.view.reasons("g.service")).toEqual([]);
  });

  test("that are crowded out say so, and so does one whose last machine goes; unwanted ones say nothing", async () => {
    await world.join(1);
    await world.launch("a.service");
    await world.launch("g.service", "Global=true\nConflicts=a.service");
    const reason = 'Holds "a.service": the unit conflicts with "a.service"';
    expect(world.view.reasons("g.service")).toEqual([{ machineId: machineId(1), reason }]);
    await world.setState("g.service", "inactive");
    expect(world.view.reasons("g.service")).toEqual([]);
    await world.setState("g.service", "launched");
    await world.destroy("a.service");
    expect(world.view.reasons("g.service")).toEqual([]);
    await world.machines.get(1)?.leave();
    await world.clock.advance(0);
    expect(world.view.reasons("g.service")).toEqual([{ machineId: "", reason: "No machine is registered" }]);
  });

  test("stay off a machine with a conflict until that unit leaves; vanish when destroyed", async () => {
    await world.join(1);
    await world.launch("a.service");
    await world.launch("g.service", "Global=true\nConflicts=a.service");
    expect(world.holders("g.service")).toEqual([]);
    await world.destroy("a.service");
    expect(world.holders("g.service")).toEqual([1]);
    await world.destroy("g.service");
    expect(world.holders("g.service")).toEqual([]);
  });

  test("a unit that is global no longer stays on one machine", async () => {
    for (const digit of [1, 2, 3]) await world.join(digit);
    await world.launch("g.service", "Global=true");
    await world.launch("g.service", "");
    expect(world.where("g.service")).toBe(1);
    await world.launch("g.service", "Global=yes");
    expect(world.holders("g.service")).toEqual([1, 2, 3]);
  });
});

test("a job that cannot be read keeps its place and its file, and the engine goes on with the others", async () => {
  const world = await new EngineWorld().start();
  await world.join(1);
  await world.launch("damaged.service", "Conflicts=x*");
  const before = await world.dump();
  const key = world.keys.job("damaged.service");
  const value = encodeText('{"v":1,"file":"elsewhere"}');
  await world.local.txn({ compare: [], success: [{ op: "put", key, value }], failure: [] });
  // The engine would never come to rest here.
  await world.pass(10_000, [1]);
  await world.launch("other.service");
  await world.pass(10_000, [1]);
  expect(world.view.job("other.service")?.machine).toBe(machineId(1));
  const after = await world.dump();
  for (const kept of Object.keys(before).filter((name) => /^(schedule|unit)/.test(name))) {
    expect(after[kept]).toBe(before[kept] ?? "");
  }
  expect(world.log.filter((line) => line.startsWith('Gave up on "damaged.service"'))).toHaveLength(1);
  await world.destroy("damaged.service");
  await world.pass(10_000, [1]);
  expect(Object.keys(await world.dump()).filter((name) => name.includes("damaged.service"))).toEqual([]);
  await world.stop();
});

test("a machine that cannot be read may live: no unit of it goes elsewhere, and the engine comes to rest until it can be read", async () => {
  const world = await new EngineWorld().start();
  await world.join(1);
  await world.launch("one.service");
  await world.launch("g.service", "Global=true");
  await world.join(2);
  const key = world.keys.machine(machineId(1));
  const [kept] = (await world.local.range({ key })).kvs;
  const write = (value: Uint8Array): Promise<unknown> =>
    world.local.txn({
      compare: [],
      success: [{ op: "put", key, value, lease: kept?.lease ?? 0 }],
      failure: [],
    });
  const before = await world.dump();
  const schedules = Object.keys(before).filter((name) => name.startsWith("schedule/00000001"));
  await write(encodeText('{"v":1,"identity":7}'));
  // Its kernel answers nobody either: the view takes it for gone, and the store knows better.
  await world.pass(60_000, [1, 2]);
  expect(world.view.machine(machineId(1))).toBeUndefined();
  expect([world.where("one.service"), world.holders("one.service")]).toEqual([1, [1]]);
  const during = await world.dump();
  for (const name of schedules) expect([name, during[name]]).toEqual([name, before[name]]);
  expect(world.log.filter((line) => line.startsWith('Gave up on "one.service"'))).toHaveLength(1);
  await world.launch("other.service");
  expect(world.where("other.service")).toBe(2);
  if (kept !== undefined) await write(kept.value);
  await world.pass(10_000, [1, 2]);
  expect([world.where("one.service"), world.holders("g.service")]).toEqual([1, [1, 2]]);
  await world.stop();
});
