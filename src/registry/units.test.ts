import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { machineId, RegistryWorld, registration, unitOptions } from "../../test/fakes/registry-world.ts";
import { unitHash } from "../model/unit-file.ts";
import { type Kv, KvError } from "../store/kv.ts";
import { becomeEngine } from "./index.ts";

let world: RegistryWorld;
beforeEach(async () => {
  world = await new RegistryWorld().start();
});
afterEach(() => world.stop());

/** Places a unit as the engine would. */
async function place(name: string, digit: number): Promise<void> {
  await world.agents.register(registration(digit), 4_000);
  const session = await becomeEngine(world.kv, world.keys, machineId(9), world.view);
  await world.settle();
  const job = world.view.job(name);
  if (job === undefined) throw new Error(`no ${name}`);
  const { refused } = await session.place([{ job, to: machineId(digit), reason: "test" }], []);
  expect(refused).toEqual([]);
  await world.settle();
}

describe("putUnit", () => {
  test("creates: unit file and job in one transaction", async () => {
    const before = world.view.revision;
    expect(await world.put("a.service", "")).toMatchObject({ kind: "created" });
    expect(world.view.revision).toBe(before + 1);
    const hash = unitHash(unitOptions(""));
    expect(world.view.job("a.service")).toMatchObject({ hash, desiredState: "launched", machine: null });
    expect(world.view.options(hash)).toEqual(unitOptions(""));
  });

  test("same content again: unchanged, or only its state changes", async () => {
    await world.put("a.service", "", "loaded");
    expect(await world.put("a.service", "", "loaded")).toMatchObject({ kind: "unchanged" });
    expect(await world.put("a.service", "", "launched")).toMatchObject({ kind: "changed" });
  });

  test("other content: replaced; a placed unit's schedule key gets the new hash, the old file goes", async () => {
    await world.put("a.service", "");
    await place("a.service", 1);
    const old = unitHash(unitOptions(""));
    expect(await world.put("a.service", "Conflicts=b.service")).toMatchObject({ kind: "replaced" });
    const hash = unitHash(unitOptions("Conflicts=b.service"));
    expect(world.view.job("a.service")).toMatchObject({ hash, machine: machineId(1) });
    expect(world.view.scheduledOn(machineId(1), "a.service")).toMatchObject({ hash, desiredState: "launched" });
    expect(world.view.options(old)).toBeUndefined();
  });

  test("a file that another unit shares stays", async () => {
    await world.put("a.service", "");
    await world.put("b.service", "");
    await world.put("a.service", "Global=true");
    expect(world.view.options(unitHash(unitOptions("")))).toBeDefined();
    await world.units.destroyUnit("b.service");
    await world.settle();
    expect(world.view.options(unitHash(unitOptions("")))).toBeUndefined();
  });

  test("turned global: the job names no machine, its order there stays", async () => {
    await world.put("a.service", "");
    await place("a.service", 1);
    await world.put("a.service", "Global=true");
    expect(world.view.job("a.service")?.machine).toBeNull();
    expect(world.view.scheduledOn(machineId(1), "a.service")).toBeDefined();
  });

  test("unreadable placement options are refused before anything is written", async () => {
    const { revision } = world.view;
    const put = world.units.putUnit("a.service", unitOptions("Conflicts=["), "launched");
    await expect(put).rejects.toThrow("Conflicts");
    expect(world.local.store.revision).toBe(revision);
  });
});

describe("setDesiredState", () => {
  test("inactive takes the unit off its machine in the same transaction", async () => {
    await world.put("a.service", "");
    await place("a.service", 1);
    const before = world.view.revision;
    expect(await world.units.setDesiredState("a.service", "inactive")).toMatchObject({ kind: "changed" });
    await world.settle();
    expect(world.view.revision).toBe(before + 1);
    expect(world.view.job("a.service")).toMatchObject({ desiredState: "inactive", machine: null });
    expect([...world.view.scheduled(machineId(1))]).toEqual([]);
  });

  test("loaded changes the order where the unit is", async () => {
    await world.put("a.service", "");
    await place("a.service", 1);
    await world.units.setDesiredState("a.service", "loaded");
    await world.settle();
    expect(world.view.scheduledOn(machineId(1), "a.service")?.desiredState).toBe("loaded");
  });

  test("refuses an unknown unit", async () => {
    const result = await world.units.setDesiredState("a.service", "loaded");
    expect(result).toMatchObject({ kind: "refused", error: { code: "unit-not-found" } });
  });
});

describe("destroyUnit", () => {
  test("leaves nothing behind", async () => {
    await world.put("a.service", "");
    await place("a.service", 1);
    expect(await world.units.destroyUnit("a.service")).toBe(true);
    expect(await world.units.destroyUnit("a.service")).toBe(false);
    expect(Object.keys(await world.dump()).filter((key) => /^(unit|job|schedule|reason)/.test(key))).toEqual([]);
  });
});

describe("races", () => {
  test("a writer whose view is old takes the truth from the refusal", async () => {
    const other = new RegistryWorld(() => world.local);
    await other.start();
    // Both before the views have heard of anything.
    const results = await Promise.all([
      world.units.putUnit("a.service", unitOptions(""), "loaded"),
      other.units.putUnit("a.service", unitOptions(""), "launched"),
    ]);
    expect(results.map(({ kind }) => kind)).toEqual(["created", "changed"]);
    await other.view.stop();
  });

  test("destroying the last user of a file never takes it from a unit that was created meanwhile", async () => {
    await world.put("a.service", "");
    const destroyed = world.units.destroyUnit("a.service");
    const created = world.units.putUnit("b.service", unitOptions(""), "launched");
    expect(await Promise.all([created, destroyed])).toEqual([{ kind: "created", revision: expect.any(Number) }, true]);
    await world.settle();
    const job = world.view.job("b.service");
    expect(world.view.options(job?.hash ?? "")).toEqual(unitOptions(""));
  });

  test("a record that cannot be read can be replaced and destroyed", async () => {
    await world.local.txn({
      compare: [],
      success: [{ op: "put", key: world.keys.job("a.service"), value: new Uint8Array([1]) }],
      failure: [],
    });
    await world.settle();
    expect(world.view.job("a.service")).toBeUndefined();
    expect(await world.units.setDesiredState("a.service", "loaded")).toMatchObject({ kind: "refused" });
    expect(await world.put("a.service", "")).toMatchObject({ kind: "replaced" });
    expect(world.view.job("a.service")?.desiredState).toBe("launched");
  });

  test("an unknown fate is passed on and not repeated", async () => {
    let writes = 0;
    const broken = await new RegistryWorld((kv) => failing(kv, () => (writes += 1))).start();
    const put = broken.units.putUnit("a.service", unitOptions(""), "launched");
    await expect(put).rejects.toMatchObject({ code: "unknown-fate" });
    expect(writes).toBe(1);
    await broken.stop();
  });
});

function failing(kv: Kv, onWrite: () => void): Kv {
  return new Proxy(kv, {
    get(target, property) {
      if (property === "txn") {
        return async () => {
          onWrite();
          throw new KvError("unknown-fate", "lost");
        };
      }
      const value: unknown = Reflect.get(target, property);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
