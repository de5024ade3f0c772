/**
 * The planner against a dumb oracle: random clusters live through random events, and after each one every rule of
 * spec/fleet.md section 4 is checked by brute force, from the unit files alone.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { machineId, unitOptions } from "../../test/fakes/registry-world.ts";
import { matchGlob } from "../model/glob.ts";
import type { Machine, Metadata } from "../model/machine.ts";
import { parseRequirements, type Requirements } from "../model/requirements.ts";
import type { JobState } from "../model/states.ts";
import type { Job, Refusal, Scheduled } from "../registry/types.ts";
import { Cluster } from "./cluster.ts";
import { readNeeds } from "./needs.ts";
import { type Plan, plan } from "./plan.ts";

const NAMES = ["a", "b", "c", "d", "e", "f"].map((letter) => `${letter}.service`);

interface Record {
  readonly placement: string;
  readonly requirements: Requirements;
  readonly job: Job;
}

/** The registry as the engine would find it, and the model beside it. */
class Simulation {
  readonly cluster = new Cluster();
  readonly records = new Map<string, Record>();
  readonly schedules = new Map<string, Scheduled>();
  readonly registered = new Map<string, Metadata>();
  readonly dead = new Set<string>();
  readonly reasons = new Map<string, readonly Refusal[]>();
  #revision = 0;

  setMachine(digit: number, metadata: Metadata | null): void {
    const id = machineId(digit);
    if (metadata === null) this.registered.delete(id);
    else this.registered.set(id, metadata);
    this.dead.delete(id);
    const machine: Machine | null =
      metadata === null ? null : { id, publicIp: "", metadata, version: "", peerAddress: "" };
    this.cluster.setMachine(id, machine);
  }
  kill(digit: number): void {
    const id = machineId(digit);
    if (!this.cluster.missing().has(id)) return;
    this.dead.add(id);
    this.cluster.markDead(id);
  }
  put(name: string, placement: string, desiredState: JobState): void {
    let requirements: Requirements;
    try {
      requirements = parseRequirements(name, unitOptions(placement));
    } catch {
      return;
    }
    const before = this.records.get(name)?.job;
    const machine = desiredState === "inactive" || requirements.global ? null : (before?.machine ?? null);
    this.#setJob(name, placement, requirements, { hash: placement, desiredState, machine });
    // As registry/units.ts does it: the order changes, stays or goes along with the job.
    if (before !== undefined && before.machine !== null) {
      this.#setSchedule(
        before.machine,
        name,
        desiredState === "inactive" ? null : { name, hash: placement, desiredState },
      );
    }
  }
  destroy(name: string): void {
    const record = this.records.get(name);
    if (record === undefined) return;
    this.records.delete(name);
    this.reasons.delete(name);
    if (record.job.machine !== null) this.schedules.delete(`${record.job.machine} ${name}`);
    this.cluster.setJob(name, null, readNeeds(name, []));
    if (record.job.machine !== null) this.cluster.setSchedule(record.job.machine, name, null);
  }
  /** Writes a plan; what `refuse` names is refused, and taken from the registry again. */
  write(decisions: Plan, refuse: ReadonlySet<string>): void {
    for (const { job, to } of decisions.placements) {
      const record = this.records.get(job.name);
      if (record === undefined || refuse.has(job.name)) continue;
      expect(job).toBe(record.job);
      const { name, hash, desiredState } = job;
      if (to !== null) this.reasons.delete(name);
      this.#setJob(name, record.placement, record.requirements, { hash, desiredState, machine: to });
      if (job.machine !== null) this.#setSchedule(job.machine, name, null);
      if (to !== null) this.#setSchedule(to, name, { name, hash, desiredState });
    }
    for (const { machineId: id, name, scheduled } of decisions.globals) {
      if (!refuse.has(name)) this.#setSchedule(id, name, scheduled);
    }
    for (const [name, list] of decisions.reasons) this.reasons.set(name, list);
    for (const { machineId: id, name } of decisions.globals) {
      this.cluster.setSchedule(id, name, this.schedules.get(`${id} ${name}`) ?? null);
    }
    for (const name of refuse) {
      const record = this.records.get(name);
      if (record !== undefined) this.cluster.setJob(name, record.job, this.#needs(name, record.placement));
    }
  }
  at(name: string): string | null {
    return this.records.get(name)?.job.machine ?? null;
  }
  on(id: string): string[] {
    return [...this.records.keys()].filter((name) => this.schedules.has(`${id} ${name}`));
  }

  #setJob(
    name: string,
    placement: string,
    requirements: Requirements,
    fields: Omit<Job, "name" | "modRevision">,
  ): void {
    this.#revision += 1;
    const job = { name, ...fields, modRevision: this.#revision };
    this.records.set(name, { placement, requirements, job });
    this.cluster.setJob(name, job, this.#needs(name, placement));
  }
  #needs(name: string, placement: string) {
    const known = this.cluster.unit(name);
    return known?.job.hash === placement ? known.needs : readNeeds(name, unitOptions(placement));
  }
  #setSchedule(id: string, name: string, scheduled: Scheduled | null): void {
    if (scheduled === null) this.schedules.delete(`${id} ${name}`);
    else this.schedules.set(`${id} ${name}`, scheduled);
    this.cluster.setSchedule(id, name, scheduled);
  }
}

/** Whether a move of `from` can make `to` move, by way of Replaces and MachineOf: the closure over all units. */
function canMove(sim: Simulation, from: string, to: string): boolean {
  const reached = new Set([from]);
  for (let grown = true; grown; ) {
    grown = false;
    for (const [name, { requirements }] of sim.records) {
      if (reached.has(name)) continue;
      const isMoved = [...reached].some(
        (mover) =>
          requirements.machineOf.includes(mover) ||
          sim.records.get(mover)?.requirements.replaces.some((glob) => matchGlob(glob, name)),
      );
      if (isMoved) {
        reached.add(name);
        grown = true;
      }
    }
  }
  return reached.has(to);
}

/** Whether the unit may be on that machine, beside what is there. */
function fits(sim: Simulation, name: string, id: string): boolean {
  const metadata = sim.registered.get(id);
  const record = sim.records.get(name);
  if (metadata === undefined || record === undefined) return false;
  const { requirements } = record;
  const others = sim.on(id).filter((other) => other !== name);
  if (requirements.machineIds.some((wanted) => !id.startsWith(wanted))) return false;
  for (const [key, values] of requirements.metadata) if (!values.has(metadata[key] ?? "")) return false;
  if (requirements.machineOf.some((target) => target !== name && !others.includes(target))) return false;
  if (others.some((other) => requirements.conflicts.some((glob) => matchGlob(glob, other)))) return false;
  return others.every((other) => {
    const theirs = sim.records.get(other)?.requirements;
    if (theirs?.conflicts.some((glob) => matchGlob(glob, name))) return false;
    const replaces = !requirements.global && theirs?.replaces.some((glob) => matchGlob(glob, name));
    return !replaces || canMove(sim, name, other);
  });
}

function check(sim: Simulation): void {
  const ids = [...sim.registered.keys()].sort((a, b) => a.localeCompare(b));
  for (const [name, { job, requirements }] of sim.records) {
    const wanted = job.desiredState !== "inactive";
    const holders = [1, 2, 3, 4].map(machineId).filter((id) => sim.schedules.has(`${id} ${name}`));
    if (requirements.global) {
      expect(job.machine).toBeNull();
      for (const id of ids) expect([name, id, holders.includes(id)]).toEqual([name, id, wanted && fits(sim, name, id)]);
      const refused = !wanted || holders.length > 0 ? [] : ids.length === 0 ? [""] : ids;
      expect([name, sim.reasons.get(name)?.map((refusal) => refusal.machineId)]).toEqual([name, refused]);
    } else {
      expect([name, ...holders]).toEqual(job.machine === null ? [name] : [name, job.machine]);
      if (!wanted) expect([name, job.machine]).toEqual([name, null]);
      else if (job.machine === null) {
        expect([name, ids.filter((id) => fits(sim, name, id))]).toEqual([name, []]);
        const refused = ids.length === 0 ? [""] : ids;
        expect([name, sim.reasons.get(name)?.map((refusal) => refusal.machineId)]).toEqual([name, refused]);
      } else if (sim.registered.has(job.machine)) expect([name, fits(sim, name, job.machine)]).toEqual([name, true]);
      else expect([name, sim.dead.has(job.machine)]).toEqual([name, false]);
    }
    for (const id of holders) {
      // An order on a machine that is away is put right when it comes back.
      if (!sim.registered.has(id)) continue;
      expect(sim.schedules.get(`${id} ${name}`)).toEqual({ name, hash: job.hash, desiredState: job.desiredState });
    }
  }
}

/** Plans until there is nothing left to decide; the first plan's decisions for `refuse` are refused. */
function settle(sim: Simulation, refuse: ReadonlySet<string>): void {
  const before = new Map([...sim.records].map(([name, { job }]) => [name, job.machine]));
  const couldStay = new Map([...before].map(([name, id]) => [name, id === null || fits(sim, name, id)]));
  let refused = refuse;
  for (let round = 0; ; round += 1) {
    expect(round).toBeLessThan(50);
    const decisions = plan(sim.cluster, 60);
    sim.write(decisions, refused);
    refused = new Set();
    if (sim.cluster.isClean && decisions.placements.length + decisions.globals.length === 0) break;
  }
  // A unit that made way for one whose own write was refused has moved for nothing: the two are written side by side.
  if (refuse.size > 0) return;
  for (const [name, id] of before) {
    if (id === null || sim.at(name) === id || !sim.records.has(name)) continue;
    // It moved: the machine is dead or gone from it, or did not fit before, or does not fit now.
    const hadReason = !couldStay.get(name) || sim.dead.has(id) || !fits(sim, name, id);
    expect([name, "moved for a reason", hadReason]).toEqual([name, "moved for a reason", true]);
  }
}

const name = fc.constantFrom(...NAMES);
const glob = fc.oneof(name, fc.constantFrom("[ab]*", "*", "[!a-c]*"));
const metadata = fc.record({ k: fc.constantFrom("1", "2") }, { requiredKeys: [] });
const digit = fc.integer({ min: 1, max: 4 });
const option = fc.oneof(
  name.map((target) => `MachineOf=${target}`),
  glob.map((pattern) => `Conflicts=${pattern}`),
  glob.map((pattern) => `Replaces=${pattern}`),
  fc.constantFrom("MachineMetadata=k=1", "MachineMetadata=k=2", "Global=true"),
  digit.map((number) => `MachineID=${machineId(number).slice(0, 8)}`),
);
const placement = fc.array(option, { maxLength: 2 }).map((lines) => lines.join("\n"));
const desired = fc.constantFrom<JobState>("launched", "launched", "loaded", "inactive");

const event = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("put" as const), name, placement, desired }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("machine" as const), digit, metadata }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("destroy" as const), name }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("away" as const, "kill" as const), digit }) },
);
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

function happen(sim: Simulation, what: Event): void {
  switch (what.kind) {
    case "put":
      return sim.put(what.name, what.placement, what.desired);
    case "machine":
      return sim.setMachine(what.digit, what.metadata);
    case "destroy":
      return sim.destroy(what.name);
    case "away":
      return sim.setMachine(what.digit, null);
    case "kill":
      return sim.kill(what.digit);
  }
}

/** 3 s of CPU, on a machine that may have other work. */
const BUSY_MACHINE_MS = 60_000;

describe("plan()", () => {
  test(
    "keeps every rule, whatever happens, and moves nothing without a reason",
    () => {
      const step = fc.record({
        events: fc.array(event, { minLength: 1, maxLength: 4 }),
        refuse: fc.array(name, { maxLength: 2 }),
      });
      fc.assert(
        fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
          const sim = new Simulation();
          for (const { events, refuse } of steps) {
            for (const what of events) happen(sim, what);
            settle(sim, new Set(refuse));
            for (const [waiting, list] of lastReasons(sim)) sim.reasons.set(waiting, list);
            check(sim);
          }
        }),
        { numRuns: Number(process.env.FLT_PLAN_RUNS ?? 1_500) },
      );
    },
    BUSY_MACHINE_MS,
  );
});

/** Reasons that were put off: a last plan writes them. */
function lastReasons(sim: Simulation): ReadonlyMap<string, readonly Refusal[]> {
  return plan(sim.cluster).reasons;
}
