/**
 * Bulk changes through the API's functions over the real registry: every unit's own status, few transactions, no neighbour harmed.
 *
 * @module
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { RegistryWorld, unitOptions } from "../../../test/fakes/registry-world.ts";
import { SILENT_LOG } from "../../lib/log.ts";
import { RegistryMachines } from "../../registry/index.ts";
import { type Kv, KvError, type TxnRequest } from "../../store/kv.ts";
import { createFleetApi, type FleetApi } from "./index.ts";

let world: RegistryWorld;
let api: FleetApi;
let writes: TxnRequest[];
/** Called before each transaction; may refuse it. */
let before: (request: TxnRequest) => Promise<void>;

beforeEach(async () => {
  writes = [];
  before = async () => {};
  world = await new RegistryWorld(watched).start();
  api = createFleetApi({
    view: world.view,
    units: world.units,
    machines: new RegistryMachines(world.kv, world.keys),
    machineCalls: {
      unitStatus: () => [] as never,
      unitJournal: () => [] as never,
    },
    ready: () => true,
    tokenLimit: 100,
    version: "0.1.0",
    machineId: "1".repeat(32),
    log: SILENT_LOG,
    clock: world.clock,
  });
});
afterEach(() => world.stop());

function watched(kv: Kv): Kv {
  return new Proxy(kv, {
    get(target, property) {
      if (property === "txn") {
        return async (request: TxnRequest) => {
          writes.push(request);
          await before(request);
          return await kv.txn(request);
        };
      }
      const value: unknown = Reflect.get(target, property);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

interface Outcome {
  readonly name: string;
  readonly status: number;
  readonly revision?: number;
  readonly error?: { readonly code: number; readonly message: string };
}

async function batch(units: readonly object[]): Promise<Outcome[]> {
  const response = await post({ units });
  expect(response.status).toBe(200);
  return ((await response.json()) as { units: Outcome[] }).units;
}

async function post(body: unknown): Promise<Response> {
  const headers = { "content-type": "application/json" };
  return await api(new Request("http://x/flt/v1/units:batch", { method: "POST", headers, body: JSON.stringify(body) }));
}

const FILE = unitOptions("");
const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `u${index}.service`);

test("each unit has the status that it would have alone, and the wrong ones hide nothing", async () => {
  await world.put("known.service", "", "loaded");
  await world.put("old.service", "", "launched");
  const outcomes = await batch([
    { name: "new.service", options: FILE, desiredState: "launched" },
    { name: "bad", options: FILE },
    { name: "known.service", desiredState: "launched" },
    { name: "absent.service", desiredState: "launched" },
    { name: "absent2.service", delete: true },
    { name: "old.service", delete: true },
    { name: "t@.service", options: FILE, desiredState: "launched" },
    { name: "odd.service", desiredState: "running" },
    { name: "both.service", delete: true, desiredState: "loaded" },
    { name: "clash.service", options: unitOptions("Global=true\nMachineID=1"), desiredState: "loaded" },
    { name: "none.service" },
  ]);
  expect(outcomes.map(({ name, status }) => `${status} ${name}`)).toEqual([
    "201 new.service",
    "400 bad",
    "204 known.service",
    "409 absent.service",
    "404 absent2.service",
    "204 old.service",
    "400 t@.service",
    "400 odd.service",
    "400 both.service",
    "400 clash.service",
    "409 none.service",
  ]);
  for (const { status, error } of outcomes) expect(error?.code).toBe(status >= 400 ? status : undefined);
  expect(outcomes[6]?.error?.message).toBe('cannot activate template "t@.service"');
  await world.settle();
  expect([...world.view.jobs()].map(({ name, desiredState }) => `${name} ${desiredState}`)).toEqual([
    "known.service launched",
    "new.service launched",
  ]);
});

test("what cannot be read as a list changes nothing at all", async () => {
  const good = { name: "a.service", options: FILE };
  const bad = [null, [], {}, { units: {} }, { units: [good, {}] }, { units: [good, good] }, { units: [good, 7] }];
  for (const body of bad) expect((await post(body)).status).toBe(400);
  const many = names(1_001).map((name) => ({ name, options: FILE }));
  expect((await post({ units: many })).status).toBe(413);
  expect(writes).toEqual([]);
  expect(await batch([])).toEqual([]);
});

test("300 units take as many transactions as etcd's limit asks for, with one file put once in each", async () => {
  const created = await batch(names(300).map((name) => ({ name, options: FILE, desiredState: "launched" })));
  expect(created.every(({ status }) => status === 201)).toBe(true);
  expect(writes.length).toBe(8);
  const files = writes.map(({ success }) => success.filter(({ op }) => op === "put").length);
  expect(files).toEqual(files.map(() => 1));
  await world.settle();
  writes = [];
  expect(
    (await batch(names(300).map((name) => ({ name, desiredState: "loaded" })))).map((each) => each.status),
  ).toEqual(names(300).map(() => 204));
  expect(writes.length).toBe(5);
  await world.settle();
  await batch(names(300).map((name) => ({ name, delete: true })));
  await world.settle();
  expect([...world.view.jobs()]).toEqual([]);
});

test("a stale guess is tried again alone: its neighbours are written once", async () => {
  await batch(names(40).map((name) => ({ name, options: FILE, desiredState: "loaded" })));
  await world.settle();
  writes = [];
  // Another daemon changes one of the units between the guess and the write.
  before = async () => {
    before = async () => {};
    const other = await new RegistryWorld(() => world.local).start();
    await other.units.setDesiredState("u7.service", "inactive");
    await other.view.stop();
  };
  const outcomes = await batch(names(40).map((name) => ({ name, desiredState: "launched" })));
  expect(outcomes.every(({ status }) => status === 204)).toBe(true);
  expect(writes.map(({ success }) => success.length)).toEqual([40, 1]);
  await world.settle();
  expect(new Set([...world.view.jobs()].map(({ desiredState }) => desiredState))).toEqual(new Set(["launched"]));
});

test("each unit that was written names a revision at which it was so, and which a picture can be compared with", async () => {
  const [written, refused] = await batch([
    { name: "a.service", desiredState: "inactive", options: FILE },
    { name: "absent.service", desiredState: "launched" },
  ]);
  await world.settle();
  expect([written?.revision, refused?.revision]).toEqual([world.view.job("a.service")?.modRevision, undefined]);
});

test("a transaction that fails is told of its own units only", async () => {
  const parts = names(90).map((name) => ({ name, options: unitOptions(`Conflicts=${name}`), desiredState: "loaded" }));
  let count = 0;
  before = async () => {
    count += 1;
    if (count === 2) throw new KvError("unknown-fate", "the leader is gone");
  };
  const outcomes = await batch(parts);
  const failed = outcomes.filter(({ status }) => status === 504);
  expect(failed.length).toBe(42);
  expect(failed[0]?.error?.message).toContain("may or may not have happened");
  expect(outcomes.filter(({ status }) => status === 201).length).toBe(48);
  await world.settle();
  expect([...world.view.jobs()].length).toBe(48);
});

test("destroying a file's last unit and creating another with that file, in one batch", async () => {
  await world.put("old.service", "");
  const outcomes = await batch([
    { name: "old.service", delete: true },
    { name: "new.service", options: FILE, desiredState: "loaded" },
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual([204, 201]);
  await world.settle();
  const job = world.view.job("new.service");
  expect(world.view.options(job?.hash ?? "")).toEqual(FILE);
});

test("known with other options is replaced; without a state it becomes inactive; the same file alone says nothing", async () => {
  await world.put("a.service", "", "launched");
  await world.put("b.service", "", "launched");
  const other = unitOptions("Conflicts=x.service");
  const outcomes = await batch([
    { name: "a.service", options: other },
    { name: "b.service", options: FILE },
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual([201, 409]);
  await world.settle();
  expect(world.view.job("a.service")?.desiredState).toBe("inactive");
  expect(world.view.job("b.service")?.desiredState).toBe("launched");
});
