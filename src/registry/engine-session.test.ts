import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { machineId, RegistryWorld, registration, unitOptions } from "../../test/fakes/registry-world.ts";
import { unitHash } from "../model/unit-file.ts";
import type { Kv, TxnRequest } from "../store/kv.ts";
import { becomeEngine, type EngineSession, type Job, type MachineSession } from "./index.ts";

let requests: TxnRequest[];
let world: RegistryWorld;
let machine: MachineSession;
let engine: EngineSession;
beforeEach(async () => {
  requests = [];
  world = await new RegistryWorld(spy).start();
  machine = await world.agents.register(registration(1), 60_000);
  engine = await becomeEngine(world.kv, world.keys, machineId(9), world.view);
  await world.settle();
});
afterEach(() => world.stop());

function spy(kv: Kv): Kv {
  return new Proxy(kv, {
    get(target, property) {
      if (property === "txn") {
        return (...call: Parameters<Kv["txn"]>) => {
          requests.push(call[0]);
          return target.txn(...call);
        };
      }
      const value: unknown = Reflect.get(target, property);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
async function unit(name: string, placement = ""): Promise<Job> {
  await world.put(name, placement);
  return world.view.job(name) ?? expect.unreachable(`no ${name}`);
}
function operations(request: TxnRequest): number {
  const own = (each: TxnRequest) => Math.max(each.compare.length, each.success.length, each.failure.length);
  return request.success.reduce((sum, op) => sum + (op.op === "txn" ? own(op) : 0), own(request));
}

describe("place()", () => {
  test("job, order and reason change in one revision", async () => {
    const job = await unit("a.service");
    await engine.explain(new Map([["a.service", [{ machineId: "", reason: "none" }]]]));
    await world.settle();
    const result = await engine.place([{ job, to: machineId(1), reason: "" }], []);
    await world.settle();
    expect(result).toEqual({ refused: [], revision: world.view.revision });
    expect(world.view.job("a.service")).toMatchObject({ machine: machineId(1), modRevision: result.revision });
    expect(world.view.scheduledOn(machineId(1), "a.service")).toMatchObject({ hash: job.hash });
    expect(world.view.reasons("a.service")).toEqual([]);
  });

  test("stale decisions are refused alone, their neighbours are not", async () => {
    const [a, b, c] = [await unit("a.service"), await unit("b.service"), await unit("c.service")];
    await world.units.setDesiredState("b.service", "loaded");
    const to = machineId(1);
    const { refused } = await engine.place(
      [a, b, c].map((job) => ({ job, to, reason: "" })),
      [],
    );
    await world.settle();
    expect(refused).toEqual(["b.service"]);
    expect([...world.view.scheduled(to)].map(({ name }) => name)).toEqual(["a.service", "c.service"]);
  });

  test("refuses a machine that is not registered (any more), and a death that was none", async () => {
    const job = await unit("a.service");
    expect((await engine.place([{ job, to: machineId(2), reason: "" }], [])).refused).toEqual(["a.service"]);
    await engine.place([{ job, to: machineId(1), reason: "" }], []);
    await world.settle();
    const placed = world.view.job("a.service") ?? job;
    const away = { job: placed, to: null, reason: "", fromIsGone: true };
    expect((await engine.place([away], [])).refused).toEqual(["a.service"]);
    await machine.leave();
    await world.settle();
    const orphan = world.view.job("a.service") ?? job;
    const order = { machineId: machineId(1), name: "a.service", job: orphan, scheduled: orphan };
    expect((await engine.place([], [order])).refused).toEqual(["a.service"]);
  });

  test("an order for a global unit compares the unit it was decided for", async () => {
    const job = await unit("g.service", "Global=true");
    const order = { machineId: machineId(1), name: "g.service", job, scheduled: job };
    expect((await engine.place([], [order])).refused).toEqual([]);
    await world.settle();
    expect(world.view.scheduledOn(machineId(1), "g.service")).toBeDefined();
    await world.units.destroyUnit("g.service");
    expect((await engine.place([], [order])).refused).toEqual(["g.service"]);
    const stray = { machineId: machineId(1), name: "g.service", job: null, scheduled: null };
    expect((await engine.place([], [stray])).refused).toEqual([]);
    await world.settle();
    expect([...world.view.scheduled(machineId(1))]).toEqual([]);
  });

  test("no transaction exceeds etcd's 128 operations, nested ones counted in", async () => {
    const names = Array.from({ length: 200 }, (_, index) => `u${index}.service`);
    for (const name of names) await world.put(name, "");
    requests = [];
    const { refused } = await engine.place(
      [...world.view.jobs()].map((job) => ({ job, to: machineId(1), reason: "" })),
      [],
    );
    expect(refused).toEqual([]);
    expect(requests.length).toBeLessThan(12);
    for (const request of requests) expect(operations(request)).toBeLessThanOrEqual(128);
    await world.settle();
    expect([...world.view.scheduled(machineId(1))]).toHaveLength(200);
  });
});

describe("a deposed engine", () => {
  test("is refused everything by the store", async () => {
    const job = await unit("a.service");
    await becomeEngine(world.kv, world.keys, machineId(8), world.view);
    await world.settle();
    expect(world.view.leader).toBe(machineId(8));
    const before = await world.dump();
    const refusal = { code: "not-leader" };
    const placement = { job, to: machineId(1), reason: "" };
    await expect(engine.place([placement], [])).rejects.toMatchObject(refusal);
    await expect(engine.explain(new Map([["a.service", []]]))).rejects.toMatchObject(refusal);
    expect(await world.dump()).toEqual(before);
  });
});

describe("explain()", () => {
  test("passes over a unit that is gone, removes with an empty list", async () => {
    await unit("a.service");
    const refusals = [{ machineId: machineId(1), reason: "Full" }];
    await engine.explain(
      new Map([
        ["a.service", refusals],
        ["b.service", refusals],
      ]),
    );
    await world.settle();
    expect([world.view.reasons("a.service"), world.view.reasons("b.service")]).toEqual([refusals, []]);
    await engine.explain(new Map([["a.service", []]]));
    await world.settle();
    expect(world.view.reasons("a.service")).toEqual([]);
  });
});

describe("collect()", () => {
  test("deletes a file that nobody names, never one that came into use meanwhile", async () => {
    const hash = unitHash(unitOptions(""));
    await unit("a.service");
    const job = world.keys.job("a.service");
    await world.local.txn({ compare: [], success: [{ op: "delete", key: job }], failure: [] });
    await world.settle();
    expect([...world.view.orphanFiles()]).toEqual([hash]);
    // The unit is created before the engine's view can know of it.
    const created = world.units.putUnit("b.service", unitOptions(""), "loaded");
    await engine.collect([hash]);
    await created;
    await world.settle();
    expect(world.view.options(hash)).toBeDefined();
    await world.local.txn({
      compare: [],
      success: [{ op: "delete", key: world.keys.job("b.service") }],
      failure: [],
    });
    await world.settle();
    await engine.collect([hash]);
    await world.settle();
    expect(world.view.options(hash)).toBeUndefined();
  });
});
