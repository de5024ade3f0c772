/**
 * The model at its promised size: 1,000 machines, 20,000 units. Counts what is looked at, not milliseconds.
 */
import { expect, test } from "bun:test";
import { machineId, unitOptions } from "../../test/fakes/registry-world.ts";
import type { Machine } from "../model/machine.ts";
import type { Job } from "../registry/types.ts";
import { Cluster } from "./cluster.ts";
import { type Needs, readNeeds } from "./needs.ts";
import { plan } from "./plan.ts";

const MACHINES = 1_000;
const UNITS = 20_000;

function machine(digit: number): Machine {
  const metadata = digit % 100 === 0 ? { disk: "ssd" } : {};
  return { id: machineId(digit), publicIp: "", metadata, version: "", peerAddress: "" };
}
function job(index: number, place: string | null): Job {
  return { name: `u${index}.service`, hash: "h", desiredState: "launched", machine: place, modRevision: index + 1 };
}
function fill(needsOf: (index: number) => Needs): Cluster {
  const cluster = new Cluster();
  for (let digit = 0; digit < MACHINES; digit += 1) cluster.setMachine(machineId(digit), machine(digit));
  for (let index = 0; index < UNITS; index += 1) {
    const id = machineId(index % MACHINES);
    const placed = job(index, id);
    cluster.setJob(placed.name, placed, needsOf(index));
    cluster.setSchedule(id, placed.name, { name: placed.name, hash: "h", desiredState: "launched" });
  }
  while (!cluster.isClean) expect(plan(cluster)).toMatchObject({ placements: [], globals: [] });
  return cluster;
}

const plain = readNeeds("u.service", []);
const apart = readNeeds("u.service", unitOptions("Conflicts=v*"));

/** 2 s of CPU, on a machine that may have other work. */
const BUSY_MACHINE_MS = 60_000;

test(
  "one change marks one unit, a machine that comes marks no unit that runs",
  () => {
    const cluster = fill((index) => (index % 3 === 0 ? apart : plain));
    cluster.setJob("u7.service", job(7, machineId(7)), plain);
    expect([...cluster.dirty]).toEqual(["u7.service"]);
    plan(cluster);
    cluster.setMachine(machineId(5_000), machine(5_000));
    expect(cluster.dirty.size + cluster.urgent.size).toBe(0);
    cluster.setMachine(machineId(7), null);
    expect([cluster.dirty.size, cluster.missing().size]).toEqual([0, 1]);
    cluster.markDead(machineId(7));
    expect(cluster.dirty.size).toBe(UNITS / MACHINES);
    expect(plan(cluster).placements).toHaveLength(UNITS / MACHINES);
  },
  BUSY_MACHINE_MS,
);

test("a plan stays within its budget, and what is left over stays marked", () => {
  const cluster = fill(() => plain);
  const picky = readNeeds("w.service", unitOptions("MachineMetadata=disk=tape"));
  for (let index = 0; index < 200; index += 1) {
    const name = `w${index}.service`;
    cluster.setJob(name, { ...job(index, null), name }, picky);
  }
  const first = plan(cluster);
  expect(first.reasons.size).toBeLessThan(50);
  expect(cluster.isClean).toBe(false);
  let total = first.reasons.size;
  while (!cluster.isClean) total += plan(cluster).reasons.size;
  expect(total).toBe(200);
  expect(first.reasons.get("w0.service")).toHaveLength(33);
  expect(first.reasons.get("w0.service")?.at(-1)?.reason).toStartWith("968 further machines do not fit");
});
