import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { machineId, RegistryWorld, registration, unitOptions, unitReport } from "../../test/fakes/registry-world.ts";
import { unitHash } from "../model/unit-file.ts";
import { becomeEngine, type GivenOrder } from "./index.ts";
import { KvError } from "./types.ts";

const TTL_MS = 4_000;
let world: RegistryWorld;
beforeEach(async () => {
  world = await new RegistryWorld().start();
});
afterEach(() => world.stop());

async function place(name: string, digit: number): Promise<void> {
  await world.settle();
  const session = await becomeEngine(world.kv, world.keys, machineId(9), world.view);
  const job = world.view.job(name) ?? expect.unreachable(`no ${name}`);
  expect((await session.place([{ job, to: machineId(digit), reason: "test" }], [])).refused).toEqual([]);
  await world.settle();
}

describe("register()", () => {
  test("lasts as long as its heartbeats, and takes its reports along", async () => {
    const session = await world.agents.register(registration(1), TTL_MS);
    await session.publish([unitReport(1, "a.service")], []);
    await world.clock.advance(TTL_MS - 1);
    await session.heartbeat();
    await world.clock.advance(TTL_MS - 1);
    expect(world.view.machine(machineId(1))).toMatchObject({ publicIp: "10.0.0.1", peerAddress: "10.0.0.1:2380" });
    await world.clock.advance(1);
    expect(world.view.machine(machineId(1))).toBeUndefined();
    expect([...world.view.reports()]).toEqual([]);
    expect(world.view.address(machineId(1))).toBe("10.0.0.1:2380");
    await expect(session.heartbeat()).rejects.toMatchObject({ code: "lease-not-found" });
    await expect(session.publish([unitReport(1, "a.service")], [])).rejects.toMatchObject({ code: "lease-not-found" });
  });

  test("the same identity takes over within the lease; the former session can write no more", async () => {
    const former = await world.agents.register(registration(1), TTL_MS);
    await former.publish([unitReport(1, "a.service"), unitReport(1, "b.service")], []);
    const present = await world.agents.register(registration(1, { new: "yes" }), TTL_MS);
    expect(present.inherited).toEqual(["a.service", "b.service"]);
    await present.publish([unitReport(1, "a.service", { active: "failed" })], []);
    await expect(former.publish([unitReport(1, "a.service")], [])).rejects.toMatchObject({ code: "lease-not-found" });
    await world.clock.advance(TTL_MS - 1);
    await present.heartbeat();
    await world.clock.advance(1);
    expect(world.view.machine(machineId(1))?.metadata).toEqual({ new: "yes" });
    // What the former one reported is not forgotten with its lease.
    expect([...world.view.reports()]).toMatchObject([
      { name: "a.service", active: "failed" },
      { name: "b.service", active: "active" },
    ]);
    await present.publish([], ["b.service"]);
    await world.clock.advance(TTL_MS);
    expect([...world.view.reports()]).toEqual([]);
  });

  test("the former session's reports change over with the machine, in one write: nobody sees it alive and empty-handed", async () => {
    const former = await world.agents.register(registration(1), TTL_MS);
    await former.publish([unitReport(1, "a.service")], []);
    await world.clock.advance(TTL_MS - 1);
    const { local } = world;
    const txn = local.txn.bind(local);
    const answer = Promise.withResolvers<void>();
    local.txn = async (request, options) => {
      await txn(request, options);
      await answer.promise;
      throw new KvError("unknown-fate", "Transaction failed: no answer");
    };
    const failed = world.agents.register(registration(1), TTL_MS).catch(({ code }: KvError) => code);
    await world.clock.advance(1);
    expect(world.view.machine(machineId(1))).toBeDefined();
    expect([...world.view.reports()]).toMatchObject([{ name: "a.service" }]);
    answer.resolve();
    expect(await failed).toBe("unknown-fate");
    local.txn = txn;
    await world.settle();
    expect([[...world.view.away()], [...world.view.reports()]]).toEqual([[machineId(1)], []]);
  });

  test("more reports than one write takes are moved, too", async () => {
    const former = await world.agents.register(registration(1), TTL_MS);
    const names = Array.from({ length: 300 }, (_, index) => `u${index}.service`);
    await former.publish(
      names.map((name) => unitReport(1, name)),
      [],
    );
    await world.clock.advance(TTL_MS - 1);
    const present = await world.agents.register(registration(1), TTL_MS);
    await world.clock.advance(TTL_MS - 1);
    expect([...world.view.reports()]).toHaveLength(300);
    expect(new Set(present.inherited)).toEqual(new Set(names));
  });

  test("another identity is refused while the first one lives, which keeps everything", async () => {
    const first = await world.agents.register(registration(1), TTL_MS);
    const second = { ...registration(1), identity: "another host", publicIp: "10.9.9.9" };
    const refused = world.agents.register(second, TTL_MS);
    await expect(refused).rejects.toMatchObject({ code: "machine-id-taken" });
    await expect(refused).rejects.toThrow("(10.0.0.1) is alive with the same machine-id");
    expect(await world.local.leases()).toHaveLength(1);
    await first.heartbeat();
    await world.clock.advance(TTL_MS);
    await world.agents.register(second, TTL_MS);
    await world.settle();
    expect(world.view.machine(machineId(1))?.publicIp).toBe("10.9.9.9");
  });

  test("of two that come at once, one gets the place and the other is refused, without a lease left over", async () => {
    const results = await Promise.allSettled([
      world.agents.register(registration(1), TTL_MS),
      world.agents.register({ ...registration(1), identity: "another host" }, TTL_MS),
    ]);
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(await world.local.leases()).toHaveLength(1);
  });

  test("a registration that cannot be read is written over", async () => {
    const op = { op: "put" as const, key: world.keys.machine(machineId(1)), value: new Uint8Array([0]) };
    await world.local.txn({ compare: [], success: [op], failure: [] });
    await world.agents.register(registration(1), TTL_MS);
    await world.settle();
    expect(world.view.machine(machineId(1))).toBeDefined();
  });
});

describe("publish()", () => {
  test("one transaction for a flush, a few above 128 keys", async () => {
    const session = await world.agents.register(registration(1), TTL_MS);
    const before = world.local.store.revision;
    await session.publish([unitReport(1, "a.service"), unitReport(1, "b.service")], []);
    expect(world.local.store.revision).toBe(before + 1);
    await session.publish([unitReport(1, "b.service", { sub: "exited" })], ["a.service"]);
    await world.settle();
    expect([...world.view.reports()]).toMatchObject([{ name: "b.service", sub: "exited" }]);
    const many = Array.from({ length: 300 }, (_, index) => unitReport(1, `u${index}.service`));
    await session.publish(many, []);
    expect(world.local.store.revision).toBe(before + 5);
    await world.settle();
    expect([...world.view.reports()]).toHaveLength(301);
  });
});

describe("leave()", () => {
  test("few units: all in one revision; nothing is left but edited metadata", async () => {
    const session = await world.agents.register(registration(1), TTL_MS);
    for (const name of ["a.service", "b.service"]) {
      await world.put(name, "");
      await place(name, 1);
    }
    await session.publish([unitReport(1, "a.service")], []);
    await world.settle();
    const seen: string[][] = [];
    world.view.subscribe((changes) => seen.push(changes.map(({ kind }) => kind)));
    await session.leave();
    await world.settle();
    expect(new Set(seen[0])).toEqual(new Set(["machine", "report", "job", "schedule"]));
    expect(seen.slice(1)).toEqual([["left"]]);
    expect(["a", "b"].map((name) => world.view.job(`${name}.service`)?.machine)).toEqual([null, null]);
    expect(Object.keys(await world.dump()).filter((key) => key.includes(machineId(1)))).toEqual([]);
    expect(await world.local.leases()).toEqual([]);
  });

  test("many units, and a stray order of a unit that is elsewhere", async () => {
    const session = await world.agents.register(registration(1), TTL_MS);
    await world.agents.register(registration(2), 60_000);
    const names = Array.from({ length: 150 }, (_, index) => `u${index}.service`);
    for (const name of names) await world.put(name, "", "loaded");
    const engine = await becomeEngine(world.kv, world.keys, machineId(9), world.view);
    const jobs = [...world.view.jobs()];
    await engine.place(
      jobs.map((job) => ({ job, to: machineId(job.name === "u7.service" ? 2 : 1), reason: "" })),
      [],
    );
    const stray = { op: "put" as const, key: world.keys.schedule(machineId(1), "u7.service"), value: new Uint8Array() };
    await world.local.txn({ compare: [], success: [stray], failure: [] });
    await session.leave();
    await world.settle();
    expect(world.view.job("u7.service")?.machine).toBe(machineId(2));
    expect([...world.view.jobs()].filter((job) => job.machine !== null)).toHaveLength(1);
    expect(Object.keys(await world.dump()).filter((key) => key.includes(machineId(1)))).toEqual([]);
  });

  test("a session that is over cannot leave for its successor", async () => {
    const former = await world.agents.register(registration(1), TTL_MS);
    await world.agents.register(registration(1), TTL_MS);
    await expect(former.leave()).rejects.toMatchObject({ code: "lease-not-found" });
    await world.settle();
    expect(world.view.machine(machineId(1))).toBeDefined();
  });
});

describe("watchSchedule()", () => {
  test("yields the whole set first, then after each change; a busy reader finds the sum", async () => {
    await world.agents.register(registration(1), TTL_MS);
    await world.put("a.service", "");
    await place("a.service", 1);
    const watch = world.agents.watchSchedule(machineId(1));
    const sets = watch[Symbol.asyncIterator]();
    const names = async () => ((await sets.next()).value as readonly GivenOrder[]).map(({ name }) => name);
    expect(await names()).toEqual(["a.service"]);
    for (const name of ["b.service", "c.service"]) {
      await world.put(name, "");
      await place(name, 1);
    }
    expect(await names()).toEqual(["a.service", "b.service", "c.service"]);
    const next = names();
    await world.units.destroyUnit("a.service");
    expect(await next).toEqual(["b.service", "c.service"]);
    watch.close();
    expect((await sets.next()).done).toBe(true);
  });

  test("hears nothing of other machines", async () => {
    for (const digit of [1, 2]) await world.agents.register(registration(digit), TTL_MS);
    const watch = world.agents.watchSchedule(machineId(1));
    const sets = watch[Symbol.asyncIterator]();
    expect((await sets.next()).value).toEqual([]);
    let isWoken = false;
    const next = sets.next().then((result) => {
      isWoken = true;
      return result;
    });
    await world.put("a.service", "");
    await place("a.service", 2);
    expect(isWoken).toBe(false);
    watch.close();
    expect((await next).done).toBe(true);
  });

  test("a lost source is an error, not an empty set", async () => {
    const watch = world.agents.watchSchedule(machineId(1));
    const sets = watch[Symbol.asyncIterator]();
    await sets.next();
    const next = sets.next();
    world.local.close();
    await expect(next).rejects.toMatchObject({ name: "KvError" });
  });
});

test("unitFile() finds the file by its hash", async () => {
  await world.put("a.service", "Global=true");
  const hash = unitHash(unitOptions("Global=true"));
  expect(await world.agents.unitFile(hash)).toEqual(unitOptions("Global=true"));
  expect(await world.agents.unitFile("0".repeat(40))).toBeUndefined();
});
