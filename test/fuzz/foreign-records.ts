/**
 * Records in the registry that no flt has written: what a tool on the store or a fault may leave there. (What a later release writes ends
 * a daemon on purpose: src/lib/format.ts.)
 *
 * Idea. They lie among the records of a cluster that works, with its engine. One broken key must never take a daemon down, nor keep
 * the others from their work.
 *
 * Checked of each: every list and every unit can be asked for, and each unit be changed and destroyed, without a 500; the engine goes
 * on: a good unit that is started afterwards is placed.
 *
 * @module
 */
import fc from "fast-check";
import type { FleetApi } from "../../src/api/fleet/index.ts";
import { encodeText } from "../../src/lib/text.ts";
import type { Op } from "../../src/store/kv.ts";
import { EngineWorld } from "../fakes/engine-world.ts";
import { machineId, unitOptions } from "../fakes/registry-world.ts";
import { apiOver } from "./cluster.ts";

export interface ForeignRecord {
  /** Below the prefix. */
  readonly key: string;
  /** null: the record is taken away. */
  readonly value: string | null;
}

/** The machine whose records are left alone. */
const HOME = 5;
const WITNESS = "after.service";

export async function checkForeign(records: readonly ForeignRecord[]): Promise<void> {
  const world = await new EngineWorld().start();
  try {
    await world.join(HOME, { disk: "ssd" });
    await world.launch("hello.service");
    await world.launch("idle.service", "Conflicts=hello*", "inactive");
    for (const { key, value } of records) {
      const at = encodeText(world.keys.prefix + key.replaceAll("HASH", hashOf(world)));
      const op: Op =
        value === null
          ? { op: "delete", key: at }
          : { op: "put", key: at, value: encodeText(value.replaceAll("HASH", hashOf(world))) };
      await world.local.txn({ compare: [], success: [op], failure: [] });
      await world.clock.advance(0);
    }
    const faults: string[] = [];
    await useAll(world, apiOver(world, faults));
    if (faults.length > 0) throw new Error(`Faults in the log: ${faults.join("\n")}`);
    await world.launch(WITNESS);
    await world.clock.advance(10);
    if (world.view.job(WITNESS)?.machine == null) {
      throw new Error(`The engine places nothing any more: ${JSON.stringify(world.view.reasons(WITNESS))}`);
    }
    if (world.deposed > 0) throw new Error("The engine took itself for deposed");
  } finally {
    await world.stop();
  }
}

function hashOf(world: EngineWorld): string {
  return world.view.job("hello.service")?.hash ?? "0".repeat(40);
}

async function useAll(world: EngineWorld, api: FleetApi): Promise<void> {
  const ask = async (method: string, path: string, body?: object) => {
    const headers = { "content-type": "application/json" };
    const init = body === undefined ? { method } : { method, headers, body: JSON.stringify(body) };
    const response = await api(new Request(`http://flt${path}`, init));
    const text = await response.text();
    if (response.status >= 500) throw new Error(`${method} ${path} is answered with ${response.status}: ${text}`);
    return text;
  };
  for (const list of ["units", "state", "machines"]) await ask("GET", `/fleet/v1/${list}`);
  const names = [...new Set([...world.view.jobs()].map(({ name }) => name).concat("hello.service", "broken.service"))];
  for (const name of names) {
    const path = `/flt/v1/units/${encodeURIComponent(name)}`;
    for (const end of ["", "/reasons", "/status"]) await ask("GET", `${path}${end}`);
    await ask("PUT", path, { desiredState: "loaded" });
    await world.clock.advance(0);
    await ask("PUT", path, { desiredState: "launched", options: unitOptions("MachineMetadata=disk=ssd") });
    await world.clock.advance(0);
    await ask("DELETE", path);
  }
}

const HASHES = ["HASH", "0".repeat(40), "x", "", "../x", "HASHHASH"];
const MACHINES = [machineId(1), machineId(HOME), "m", "", "..", "\0"];
const json = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      ...HASHES,
      ...MACHINES,
      "inactive",
      "loaded",
      "launched",
      "true",
      "10.0.0.1:1",
      "__proto__",
    ),
  },
  fc.jsonValue({ maxDepth: 2 }),
);
const field = fc.constantFrom(
  ...["hash", "desiredState", "machine", "options", "identity", "publicIp", "metadata", "version", "peerAddress"],
  ...[
    "load",
    "active",
    "sub",
    "jobState",
    "problem",
    "refusals",
    "value",
    "removed",
    "address",
    "machineId",
    "__proto__",
  ],
);
const row = fc.array(
  fc.oneof(fc.constantFrom("X-Fleet", "MachineOf", "hello.service", "Global", "true", "a\nb"), json),
  { maxLength: 4 },
);
const job = fc.record({
  v: fc.constant(1),
  hash: fc.constantFrom(...HASHES),
  desiredState: fc.constantFrom("inactive", "loaded", "launched", "launched"),
  machine: fc.constantFrom(undefined, ...MACHINES),
});
const file = fc.record({ v: fc.constant(1), options: fc.array(row, { maxLength: 3 }) });
const machine = fc.record({
  v: fc.constant(1),
  identity: fc.constantFrom("identity-1", "", "other"),
  publicIp: fc.constantFrom("10.0.0.1", "", "x\ny"),
  metadata: fc.constantFrom({}, { a: "b" }, { ["__proto__"]: "x" }, { a: 1 }, []),
  version: fc.constantFrom("0.1.0", "99"),
  peerAddress: fc.constantFrom("10.0.0.1:2380", "", "nowhere"),
});
const report = fc.record({
  v: fc.constant(1),
  load: fc.constant("loaded"),
  active: fc.constantFrom("active", "odd"),
  sub: fc.constant("running"),
  hash: fc.constantFrom(...HASHES),
  jobState: fc.constantFrom("loaded", "launched", "inactive"),
});
const odd = fc
  .tuple(fc.constantFrom(1, 1, 1, 0, "1"), fc.dictionary(field, json, { maxKeys: 6 }))
  .map(([v, fields]) => ({ v, ...fields }));
const value = fc.oneof(
  { weight: 8, arbitrary: fc.oneof(job, file, machine, report, odd).map((record) => JSON.stringify(record)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(null, "", "{", "null", "[]", "\0", '{"v":1}', '{"v":1,"__proto__":{"hash":"x"}}'),
  },
);
const name = fc.constantFrom(
  "hello.service",
  "idle.service",
  "broken.service",
  "b@r.service",
  "no name",
  "x",
  "a.b.c",
  "\0",
  "é.service",
  "__proto__",
);
const id = fc.constantFrom(...MACHINES.filter((text) => text !== machineId(HOME)));
const key = fc.oneof(
  { weight: 4, arbitrary: name.map((unit) => `job/${unit}`) },
  { weight: 2, arbitrary: fc.constantFrom(...HASHES).map((hash) => `unit/${hash}`) },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom("schedule", "state"), id, name).map((parts) => parts.join("/")) },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom("machine", "address"), id).map((parts) => parts.join("/")) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(id, fc.constantFrom("k", "a/b", "__proto__", "=", ""))
      .map(([of, rest]) => `metadata/${of}/${rest}`),
  },
  { weight: 1, arbitrary: name.map((unit) => `reason/${unit}`) },
  { weight: 1, arbitrary: fc.constantFrom("", "job", "job/", "job/a/b", "unknown/x", "schedule/x", "leader/x") },
);

export const foreignRecords: fc.Arbitrary<readonly ForeignRecord[]> = fc.array(
  // A good record under its own kind of key, mostly.
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.tuple(name, job).map(([unit, record]) => ({ key: `job/${unit}`, value: JSON.stringify(record) })),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(id, machine).map(([of, record]) => ({ key: `machine/${of}`, value: JSON.stringify(record) })),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(id, name, report)
        .map(([of, unit, record]) => ({ key: `state/${of}/${unit}`, value: JSON.stringify(record) })),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.constantFrom(...HASHES), file)
        .map(([hash, record]) => ({ key: `unit/${hash}`, value: JSON.stringify(record) })),
    },
    { weight: 4, arbitrary: fc.record({ key, value }) },
  ),
  { minLength: 1, maxLength: 5 },
);
