/**
 * The API over the real registry and a store in memory: what a client writes is what the next one reads and hears of.
 *
 * @module
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { machineId, RegistryWorld, registration, unitOptions, unitReport } from "../../../test/fakes/registry-world.ts";
import { SILENT_LOG } from "../../lib/log.ts";
import { decodeText } from "../../lib/text.ts";
import type { FleetEvent } from "../../model/events.ts";
import { unitHash } from "../../model/unit-file.ts";
import { becomeEngine, RegistryMachines } from "../../registry/index.ts";
import { createFleetApi, type FleetApi } from "./index.ts";

let world: RegistryWorld;
let api: FleetApi;

beforeEach(async () => {
  world = await new RegistryWorld().start();
  const nothing = async function* (): AsyncGenerator<Uint8Array> {};
  api = createFleetApi({
    view: world.view,
    units: world.units,
    machines: new RegistryMachines(world.kv, world.keys),
    machineCalls: { unitStatus: nothing, unitJournal: nothing },
    ready: () => world.view.ready || "the registry has not been read",
    tokenLimit: 2,
    version: "0",
    machineId: machineId(1),
    leader: () => world.view.leader,
    log: SILENT_LOG,
    clock: world.clock,
  });
});
afterEach(() => world.stop());

async function ask(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
  const response = await api(
    new Request(`http://localhost/flt/v1${path}`, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    }),
  );
  const text = await response.text();
  return { status: response.status, body: text === "" ? null : JSON.parse(text) };
}

const PLAIN = unitOptions("");
const SSD = unitOptions("MachineMetadata=disk=ssd");

test("the life of a unit: created, read, replaced, changed, destroyed, each at once for the next reader", async () => {
  const path = "/units/a.service";
  expect((await ask("PUT", path, { desiredState: "loaded" })).status).toBe(409);
  expect((await ask("PUT", path, { options: PLAIN, desiredState: "launched" })).status).toBe(201);
  expect((await ask("GET", path)).body).toMatchObject({ desiredState: "launched", currentState: "inactive" });
  expect((await ask("PUT", path, { options: PLAIN, desiredState: "launched" })).status).toBe(204);
  expect((await ask("PUT", path, { options: PLAIN })).status).toBe(409);
  expect((await ask("PUT", path, { options: SSD })).status).toBe(201);
  expect((await ask("GET", path)).body).toMatchObject({ desiredState: "inactive" });
  expect((await ask("PUT", path, { desiredState: "loaded" })).status).toBe(204);
  expect((await ask("GET", "/units")).body).toMatchObject({ units: [{ name: "a.service", desiredState: "loaded" }] });
  expect((await ask("DELETE", path)).status).toBe(204);
  expect((await ask("DELETE", path)).status).toBe(404);
  expect(await ask("GET", "/units")).toEqual({ status: 200, body: {} });
});

test("a stream hears of what clients, engine and agents do, in the order of the store", async () => {
  const response = await api(new Request("http://localhost/flt/v1/events?unitName=a.service"));
  const reader = response.body?.getReader();
  const next = async (): Promise<FleetEvent[]> => {
    const chunk = await reader?.read();
    const lines = decodeText(chunk?.value ?? new Uint8Array()).trimEnd();
    return lines.split("\n").map((line) => JSON.parse(line) as FleetEvent);
  };
  expect((await next()).map((event) => event.type)).toEqual(["unit-gone", "synced"]);

  await ask("PUT", "/units/a.service", { options: PLAIN, desiredState: "launched" });
  expect(await next()).toMatchObject([{ type: "unit", desiredState: "launched", hash: unitHash(PLAIN) }]);

  const session = await world.agents.register(registration(1), 4_000);
  const engine = await becomeEngine(world.kv, world.keys, machineId(1), world.view);
  await world.settle();
  await engine.explain(new Map([["a.service", [{ machineId: machineId(1), reason: "it is full" }]]]));
  const machine = { id: machineId(1), primaryIP: "10.0.0.1" };
  expect(await next()).toMatchObject([{ type: "reasons", reasons: [{ machine, reason: "it is full" }] }]);

  const job = world.view.job("a.service");
  if (job === undefined) throw new Error("no job");
  await engine.place([{ job, to: machineId(1), reason: "it fits" }], []);
  await world.settle();
  expect(await next()).toContainEqual(expect.objectContaining({ type: "unit", machine }));

  const report = unitReport(1, "a.service", { hash: unitHash(PLAIN), pending: "start", active: "activating" });
  await session.publish([report], []);
  expect(await next()).toEqual([{ type: "state", machine, report }]);
  expect((await ask("GET", "/state")).body).toMatchObject({ states: [{ systemdActiveState: "activating" }] });
  await session.publish([], ["a.service"]);
  expect(await next()).toEqual([{ type: "state-gone", name: "a.service", machineID: machineId(1) }]);
  await reader?.cancel();
});

test("pages over the real index", async () => {
  for (const letter of "edcba") await world.units.putUnit(`${letter}.service`, PLAIN, "inactive");
  const first = (await ask("GET", "/units")).body as { units: { name: string }[]; nextPageToken: string };
  const second = (await ask("GET", `/units?nextPageToken=${first.nextPageToken}`)).body as typeof first;
  const third = (await ask("GET", `/units?nextPageToken=${second.nextPageToken}`)).body as typeof first;
  const names = [...first.units, ...second.units, ...third.units].map((unit) => unit.name);
  expect(names).toEqual(["a", "b", "c", "d", "e"].map((letter) => `${letter}.service`));
  expect(third.nextPageToken).toBeUndefined();
});
