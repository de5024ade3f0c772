import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { machineId, RegistryWorld, registration, unitOptions, unitReport } from "../../test/fakes/registry-world.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { encodeText } from "../lib/text.ts";
import { unitHash } from "../model/unit-file.ts";
import { type Kv, KvError, type RangeRequest, type ReadOptions, type Watch } from "../store/kv.ts";
import { editMetadata, type RegistryView, RegistryView as View, type ViewChange } from "./index.ts";

let world: RegistryWorld;
beforeEach(async () => {
  world = await new RegistryWorld().start();
});
afterEach(() => world.stop());

/** Everything a reader can see. */
function picture(view: RegistryView) {
  const machines = [...view.machines()];
  return {
    jobs: [...view.jobs()],
    machines,
    reports: [...view.reports()],
    scheduled: [...view.scheduledMachines()]
      .sort((a, b) => a.localeCompare(b))
      .map((id) => [id, ...view.scheduled(id)]),
    orphans: [...view.orphanFiles()].sort((a, b) => a.localeCompare(b)),
    files: [...view.jobs()].map((job) => view.options(job.hash)),
    counts: view.recordCounts,
  };
}
async function put(key: Uint8Array, value: string): Promise<void> {
  await world.local.txn({ compare: [], success: [{ op: "put", key, value: encodeText(value) }], failure: [] });
}

describe("RegistryView", () => {
  test("a record of a later release ends the view with advice, in a listing and in the watch; it is never passed over", async () => {
    await world.view.stop();
    await put(world.keys.job("a.service"), '{"v":2,"hash":"?"}');
    await world.settle();
    const told: string[] = [];
    const { kv, keys, clock } = world;
    const options = { kv, keys, clock, log: SILENT_LOG };
    const listing = new View({ ...options, onNewer: (error) => told.push(error.message) });
    void listing.start();
    await world.settle();
    expect(told).toEqual([expect.stringContaining("Cannot read a job in the registry: it has format 2")]);
    expect(listing.ready).toBe(false);
    await listing.stop();
    await world.local.txn({ compare: [], success: [{ op: "delete", key: keys.job("a.service") }], failure: [] });
    const watching = new View({ ...options, onNewer: (error) => told.push(error.message) });
    await watching.start();
    const { revision } = watching;
    await put(keys.job("b.service"), '{"v":2}');
    await world.settle();
    expect(told).toHaveLength(2);
    expect(watching.revision).toBe(revision);
    await watching.stop();
  });

  test("tells listeners what changed, after the change, one call a revision", async () => {
    const seen: (readonly ViewChange[])[] = [];
    world.view.subscribe((changes, revision) => {
      expect(revision).toBe(world.view.revision);
      seen.push(changes);
    });
    await world.put("a.service", "");
    await world.agents.register(registration(1), 4_000);
    await world.settle();
    expect(seen).toEqual([[{ kind: "job", name: "a.service" }], [{ kind: "machine", id: machineId(1) }]]);
  });

  test("iterates by name, reports by name and then machine", async () => {
    for (const name of ["b.service", "a.service", "a.service2.service"]) await world.put(name, "");
    expect([...world.view.jobs()].map(({ name }) => name)).toEqual(["a.service", "a.service2.service", "b.service"]);
    for (const digit of [2, 1]) {
      const session = await world.agents.register(registration(digit), 4_000);
      await session.publish([unitReport(digit, "b.service"), unitReport(digit, "a.service")], []);
    }
    await world.settle();
    expect(world.view.recordCounts).toEqual({ unit: 1, job: 3, schedule: 0, state: 4, reason: 0, machine: 2 });
    const order = [...world.view.reports()].map((report) => [report.name, report.machineId]);
    expect(order).toEqual([
      ["a.service", machineId(1)],
      ["a.service", machineId(2)],
      ["b.service", machineId(1)],
      ["b.service", machineId(2)],
    ]);
    expect([...world.view.reports("a.service")]).toHaveLength(2);
    expect(world.view.report(machineId(2), "b.service")?.active).toBe("active");
  });

  test("edited metadata lies over the configured one, before, while and after the machine is there", async () => {
    const [id] = [machineId(1)];
    await editMetadata(world.kv, world.keys, [
      { machineId: id, key: "a", value: "edited" },
      { machineId: id, key: "b", value: null },
      { machineId: id, key: "c", value: "lost" },
      { machineId: id, key: "c", value: "last one counts" },
    ]);
    const session = await world.agents.register(registration(1, { a: "1", b: "2", d: "4" }), 4_000);
    await world.settle();
    const merged = { a: "edited", c: "last one counts", d: "4" };
    expect(world.view.machine(id)?.metadata).toEqual(merged);
    await session.leave();
    await world.settle();
    expect(world.view.machine(id)).toBeUndefined();
    await world.agents.register(registration(1, { a: "1" }), 4_000);
    await world.settle();
    expect(world.view.machine(id)?.metadata).toEqual({ a: "edited", c: "last one counts" });
  });

  test("passes over records that cannot be read, and takes them when they can", async () => {
    await put(world.keys.job("a.service"), "{");
    await put(world.keys.machine(machineId(1)), '{"v":"99"}');
    await put(world.keys.unit("a".repeat(40)), "[]");
    await put(encodeText(`${world.keys.prefix}job/`), "no name");
    await world.settle();
    expect(picture(world.view)).toMatchObject({ jobs: [], machines: [] });
    expect(world.view.options("a".repeat(40))).toBeUndefined();
    await put(
      world.keys.job("a.service"),
      `{"v":1,"hash":"${"0".repeat(40)}","desiredState":"loaded","added":"later"}`,
    );
    await world.settle();
    expect(world.view.job("a.service")?.desiredState).toBe("loaded");
  });

  test("reads the listing in pages of one revision", async () => {
    for (let index = 0; index < 2_500; index += 1) await put(world.keys.reason(`u${index}`), '{"v":1,"refusals":[]}');
    const pages: (RangeRequest & ReadOptions)[] = [];
    const spy = wrap(world.local, { onRange: (request, options) => pages.push({ ...request, ...options }) });
    const late = new View({ kv: spy, keys: world.keys, clock: world.clock, log: SILENT_LOG });
    await late.start();
    expect(pages.map(({ revision }) => revision)).toEqual([undefined, late.revision, late.revision]);
    // Or each page would cost as much as all that are left.
    expect(pages.every(({ uncounted }) => uncounted)).toBe(true);
    await late.stop();
  });

  test("after compaction it lists anew, says reset, and has missed nothing", async () => {
    let isCut = true;
    const onWatch = (watch: Watch) => {
      if (isCut) watch.close();
      return watch;
    };
    const kv = wrap(world.local, { onWatch });
    const late = new View({ kv, keys: world.keys, clock: world.clock, log: SILENT_LOG });
    await late.start();
    const changes: ViewChange[] = [];
    late.subscribe((some) => changes.push(...some));
    await world.put("a.service", "");
    await world.local.compact(world.local.store.revision);
    isCut = false;
    await world.clock.advance(1_000);
    expect(changes).toContainEqual({ kind: "reset" });
    expect(picture(late)).toEqual(picture(world.view));
    await late.stop();
  });

  test("a store that is away for long is worth two lines: one when it goes, one when it is back", async () => {
    let isAway = false;
    const watches: Watch[] = [];
    const onWatch = (watch: Watch) => {
      watches.push(watch);
      return watch;
    };
    const onRange = async () => {
      if (isAway) throw new KvError("unavailable", "away");
    };
    const said: string[] = [];
    const log = { ...SILENT_LOG, notice: (message: string) => void said.push(message) };
    const late = new View({ kv: wrap(world.local, { onWatch, onRange }), keys: world.keys, clock: world.clock, log });
    await late.start();
    await world.settle();
    isAway = true;
    for (const watch of watches) watch.close();
    await world.clock.advance(120_000);
    isAway = false;
    await world.clock.advance(1_000);
    await world.put("a.service", "");
    expect(said).toEqual(["Lost the watch on the registry: reading it anew", "Reading the registry again"]);
    expect(picture(late)).toEqual(picture(world.view));
    await late.stop();
  });

  test("is what a fresh listing says, whatever was written in whatever order", async () => {
    const name = fc.constantFrom("a.service", "b.service", "c.service");
    const digit = fc.integer({ min: 1, max: 3 });
    const action = fc.oneof(
      fc.record({
        kind: fc.constant("put" as const),
        name,
        placement: fc.constantFrom("", "Global=true", "Conflicts=x"),
      }),
      fc.record({ kind: fc.constant("destroy" as const), name }),
      fc.record({ kind: fc.constant("report" as const), name, digit }),
      fc.record({ kind: fc.constant("leave" as const), digit }),
      fc.record({ kind: fc.constant("edit" as const), digit, value: fc.option(fc.constantFrom("x", "y")) }),
      fc.record({ kind: fc.constant("garbage" as const), name }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 25 }), async (actions) => {
        const own = await new RegistryWorld().start();
        for (const act of actions) {
          if (act.kind === "put") await own.units.putUnit(act.name, unitOptions(act.placement), "launched");
          else if (act.kind === "destroy") await own.units.destroyUnit(act.name);
          else if (act.kind === "edit") {
            const key = "k";
            await editMetadata(own.kv, own.keys, [{ machineId: machineId(act.digit), key, value: act.value }]);
          } else if (act.kind === "garbage") {
            const op = { op: "put" as const, key: own.keys.job(act.name), value: encodeText("?") };
            await own.kv.txn({ compare: [], success: [op], failure: [] });
          } else {
            const session = await own.agents.register(registration(act.digit), 4_000);
            if (act.kind === "leave") await session.leave();
            else await session.publish([unitReport(act.digit, act.name)], []);
          }
        }
        await own.view.sync();
        const fresh = new View({ kv: own.kv, keys: own.keys, clock: own.clock, log: SILENT_LOG });
        await fresh.start();
        expect(picture(own.view)).toEqual(picture(fresh));
        const orphans = new Set([...own.view.jobs()].map(({ hash }) => hash));
        for (const hash of own.view.orphanFiles()) expect(orphans.has(hash)).toBe(false);
        await fresh.stop();
        await own.stop();
      }),
      { numRuns: 60 },
    );
  });
});

describe("sync()", () => {
  test("without an answer in its caller's time: the store's own reason is told, where it has one", async () => {
    let trouble: string | null = null;
    let isMute = false;
    const onRange = () => (isMute ? new Promise<void>(() => {}) : undefined);
    const kv = wrap(world.local, { onRange });
    const options = { kv, keys: world.keys, clock: world.clock, log: SILENT_LOG, storeTrouble: () => trouble };
    const view = new View(options);
    await view.start();
    isMute = true;
    const said = async (): Promise<string> => {
      const work = view.sync({ timeoutMs: 2_500 }).catch((error: Error) => error.message);
      await world.clock.advance(2_500);
      return (await work) ?? "done";
    };
    const noQuorum = "no quorum: no leader of the store confirmed it within 2500 ms";
    expect(await said()).toEndWith(noQuorum);
    trouble = "no server answers";
    expect(await said()).toEndWith(`${noQuorum} (no server answers)`);
    await view.stop();
  });

  test("waits for what was committed before the call, also outside the prefix", async () => {
    void world.units.putUnit("a.service", unitOptions(""), "launched");
    await world.view.sync();
    expect(world.view.job("a.service")?.hash).toBe(unitHash(unitOptions("")));
    await put(encodeText("/elsewhere"), "x");
    await world.view.sync();
    expect(world.view.revision).toBe(world.local.store.revision);
  });

  test("callers of one moment share a question; none shares one that was asked before it came", async () => {
    const gates: PromiseWithResolvers<void>[] = [];
    const kv = wrap(world.local, {
      onRange: (request) => {
        if (request.countOnly !== true) return undefined;
        const gate = Promise.withResolvers<void>();
        gates.push(gate);
        return gate.promise;
      },
    });
    const view = new View({ kv, keys: world.keys, clock: world.clock, log: SILENT_LOG });
    await view.start();
    const first = view.sync();
    const later = [view.sync(), view.sync(), view.sync()];
    expect(gates).toHaveLength(1);
    gates[0]?.resolve();
    await first;
    await world.settle();
    expect(gates).toHaveLength(2);
    gates[1]?.resolve();
    await Promise.all(later);
    await view.stop();
  });

  test("without a quorum: unavailable, at the latest when its time is up; cancelled by its signal", async () => {
    const kv = wrap(world.local, {
      onRange: (request) => (request.countOnly === true ? new Promise<void>(() => {}) : undefined),
    });
    const view = new View({ kv, keys: world.keys, clock: world.clock, log: SILENT_LOG });
    await view.start();
    const failed = view.sync({ timeoutMs: 1_000 }).catch((error: unknown) => error);
    const cancelled = view.sync({ signal: AbortSignal.abort() }).catch((error: unknown) => error);
    await world.clock.advance(1_000);
    expect(await failed).toMatchObject({ code: "unavailable" });
    expect(await cancelled).toMatchObject({ code: "cancelled" });
    const refused = wrap(world.local, {
      onRange: () => Promise.reject(new KvError("unavailable", "no leader")),
    });
    const down = new View({ kv: refused, keys: world.keys, clock: world.clock, log: SILENT_LOG });
    const starting = down.start();
    await expect(down.sync()).rejects.toMatchObject({ code: "unavailable" });
    expect(down.ready).toBe(false);
    await down.stop();
    await starting;
    await view.stop();
  });
});

interface Hooks {
  readonly onRange?: (request: RangeRequest, options?: ReadOptions) => Promise<void> | number | undefined;
  readonly onWatch?: (watch: Watch) => Watch;
}
function wrap(kv: Kv, hooks: Hooks): Kv {
  return new Proxy(kv, {
    get(target, property) {
      if (property === "range") {
        return async (...call: Parameters<Kv["range"]>) => {
          await hooks.onRange?.(...call);
          return target.range(...call);
        };
      }
      if (property === "watch") {
        return (...call: Parameters<Kv["watch"]>) => {
          const watch = target.watch(...call);
          return hooks.onWatch?.(watch) ?? watch;
        };
      }
      const value: unknown = Reflect.get(target, property);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
