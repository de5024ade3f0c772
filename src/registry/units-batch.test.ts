/**
 * Bulk writes against two judges: the same changes one at a time, and a replicated cluster whose leaders are cut off meanwhile.
 *
 * @module
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { KvCluster } from "../../test/fakes/kv-cluster.ts";
import { machineId, RegistryWorld, registration, unitOptions } from "../../test/fakes/registry-world.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { decodeText } from "../lib/text.ts";
import { becomeEngine } from "./engine-session.ts";
import { Keys } from "./keys.ts";
import { decodeJob } from "./records.ts";
import type { UnitChange, UnitChangeResult } from "./types.ts";
import { RegistryUnits } from "./units.ts";
import { RegistryView } from "./view.ts";

const FILES = ["", "Conflicts=x.service", "Global=true"].map(unitOptions);
const NAMES = ["a", "b", "c", "d", "e"].map((letter) => `${letter}.service`);
const state = fc.constantFrom("inactive", "loaded", "launched" as const);

function changeOf(name: string): fc.Arbitrary<UnitChange> {
  return fc.oneof(
    fc.record({
      kind: fc.constant("put" as const),
      name: fc.constant(name),
      options: fc.constantFrom(...FILES),
      desiredState: state,
    }),
    fc.record({ kind: fc.constant("state" as const), name: fc.constant(name), desiredState: state }),
    fc.constant({ kind: "destroy" as const, name }),
  );
}
/** Each name at most once, in any order. */
const batch = fc.shuffledSubarray(NAMES).chain((names) => fc.tuple(...names.map(changeOf)));

/** Some units, half of them placed. */
async function prepare(world: RegistryWorld): Promise<void> {
  await world.start();
  await world.agents.register(registration(1), 4_000);
  const session = await becomeEngine(world.kv, world.keys, machineId(9), world.view);
  for (const name of NAMES.slice(0, 4)) await world.put(name, name < "c" ? "" : "Conflicts=x.service");
  const jobs = ["a.service", "c.service"].flatMap((name) => world.view.job(name) ?? []);
  await session.place(
    jobs.map((job) => ({ job, to: machineId(1), reason: "test" })),
    [],
  );
  await world.settle();
}

/** All that there is but unit files that nobody names: those are the engine's to collect. */
async function named(world: RegistryWorld): Promise<Record<string, string>> {
  await world.settle();
  const orphans = new Set([...world.view.orphanFiles()].map((hash) => `unit/${hash}`));
  return Object.fromEntries(Object.entries(await world.dump()).filter(([key]) => !orphans.has(key)));
}

async function one(world: RegistryWorld, change: UnitChange): Promise<string> {
  if (change.kind === "put") {
    return (await world.units.putUnit(change.name, change.options, change.desiredState)).kind;
  }
  if (change.kind === "state") return (await world.units.setDesiredState(change.name, change.desiredState)).kind;
  return (await world.units.destroyUnit(change.name)) ? "destroyed" : "refused";
}

test("a batch does what its changes do one at a time", async () => {
  await fc.assert(
    fc.asyncProperty(batch, fc.boolean(), async (changes, isStale) => {
      const together = new RegistryWorld();
      const apart = new RegistryWorld();
      await prepare(together);
      await prepare(apart);
      const expected: string[] = [];
      for (const change of changes) {
        expected.push(await one(apart, change));
        await apart.settle();
      }
      // A writer that has no view at all yet guesses wrong about every unit that exists.
      const blind = new RegistryView({ kv: together.kv, keys: together.keys, clock: together.clock, log: SILENT_LOG });
      const units = isStale ? new RegistryUnits(together.kv, together.keys, blind) : together.units;
      const results = await units.changeUnits(changes);
      expect(results.map(({ kind }) => kind)).toEqual(expected as UnitChangeResult["kind"][]);
      expect(await named(together)).toEqual(await named(apart));
      await together.stop();
      await apart.stop();
    }),
    { numRuns: 150 },
  );
});

test("while leaders are cut off, what a bulk write says of a unit is so", async () => {
  const tally = { done: 0, failed: 0 };
  for (let seed = 1; seed <= 4; seed += 1) await torture(seed, tally);
  expect(tally.done).toBeGreaterThan(1_000);
  expect(tally.failed).toBeGreaterThan(20);
}, 60_000);

async function torture(seed: number, tally: { done: number; failed: number }): Promise<void> {
  const cluster = new KvCluster();
  await cluster.start();
  const keys = new Keys();
  const writers = [1, 2, 3].map((id) => {
    const { kv } = cluster.member(id);
    const view = new RegistryView({ kv, keys, clock: cluster.clock, log: SILENT_LOG });
    return { view, started: view.start(), units: new RegistryUnits(kv, keys, view) };
  });
  await Promise.all(writers.map(({ started }) => started));
  let isBusy = true;
  const disturb = async (): Promise<void> => {
    for (let turn = seed; isBusy; turn += 1) {
      await cluster.advance(5 + (turn % 7) * 40);
      cluster.isolate(cluster.leader()?.id ?? 1);
      await cluster.advance(300 + (turn % 3) * 700);
      cluster.heal();
    }
  };
  const disturbed = disturb();
  const told = new Map<string, UnitChangeResult>();
  const write = async (writer: number): Promise<void> => {
    for (let round = 0; round < 12; round += 1) {
      await cluster.advance(40 + 30 * writer);
      const changes = Array.from({ length: 60 }, (_, index): UnitChange => {
        const name = `u${writer}-${round}-${index}.service`;
        return { kind: "put", name, options: unitOptions(`Conflicts=${name}`), desiredState: "loaded" };
      });
      const results = (await writers[writer]?.units.changeUnits(changes, { timeoutMs: 400 })) ?? [];
      for (const [index, { name }] of changes.entries()) told.set(name, results[index] as UnitChangeResult);
    }
  };
  await Promise.all([0, 1, 2].map(write));
  isBusy = false;
  await disturbed;
  // Whatever was on its way has arrived, or never will.
  await cluster.advance(10_000);
  const { kvs } = await cluster.theLeader().kv.range(keys.all);
  const found = new Map(kvs.map(({ key, value }) => [decodeText(key).slice(keys.prefix.length), value]));
  for (const [name, result] of told) {
    const record = found.get(`job/${name}`);
    if (result.kind === "created") {
      tally.done += 1;
      expect(record).toBeDefined();
      if (record !== undefined) expect(found.has(`unit/${decodeJob(record).hash}`)).toBe(true);
    } else {
      tally.failed += 1;
      if (result.kind !== "failed") throw new Error(`${name}: ${result.kind}`);
      expect(["unavailable", "unknown-fate"]).toContain(result.error.code);
      if (result.error.code === "unavailable") expect(record).toBeUndefined();
    }
  }
  for (const { view } of writers) await view.stop();
  await cluster.stop();
}
