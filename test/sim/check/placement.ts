/**
 * At most one machine per unit and revision, and only the engine in office decides.
 *
 * @module
 */
import { Keys } from "../../../src/registry/keys.ts";
import { decodeJob, decodeSchedule } from "../../../src/registry/records.ts";
import type { Change } from "../../../src/store/change.ts";
import type { Revision } from "../../../src/store/kv.ts";
import { Violation } from "../violation.ts";

/** An engine's term of office; its revision is that of the leadership key, once it is known. */
export interface Office {
  revision: Revision | null;
}

export interface Scheduled {
  readonly hash: string;
  readonly desiredState: string;
  readonly sinceMs: number;
}

const { prefix } = new Keys();
const JOB = `${prefix}job/`;
const SCHEDULE = `${prefix}schedule/`;
const LEADER = `${prefix}leader`;

export class PlacementCheck {
  readonly jobs = new Map<string, { readonly machine: string | null; readonly desiredState: string }>();
  /** By unit, by machine. */
  readonly schedules = new Map<string, Map<string, Scheduled>>();
  #leaderRevision: Revision = 0;

  get leaderRevision(): Revision {
    return this.#leaderRevision;
  }

  /** @param nowMs When it was seen first. */
  revision(revision: Revision, changes: readonly Change[], nowMs: number): void {
    const touched = new Set<string>();
    for (const change of changes) {
      const { key, value } = change;
      if (key === LEADER) this.#leaderRevision = revision;
      else if (key.startsWith(JOB)) touched.add(this.#job(key.slice(JOB.length), value));
      else if (key.startsWith(SCHEDULE)) touched.add(this.#schedule(key.slice(SCHEDULE.length), value, nowMs));
    }
    for (const name of touched) this.#check(name, revision);
  }

  /** A change that an engine made: it must have been in office right before. */
  engineWrote(offices: ReadonlySet<Office>, leaderRevision: Revision): void {
    for (const { revision } of offices) if (revision === leaderRevision) return;
    const known = [...offices].map(({ revision }) => revision).join(", ");
    throw new Violation("engine", `an engine of revision ${known} wrote while that of ${leaderRevision} was in office`);
  }

  #job(name: string, value: Uint8Array | null): string {
    if (value === null) this.jobs.delete(name);
    else {
      const { machine, desiredState } = decodeJob(value);
      this.jobs.set(name, { machine, desiredState });
    }
    return name;
  }

  #schedule(below: string, value: Uint8Array | null, nowMs: number): string {
    const slash = below.indexOf("/");
    const machine = below.slice(0, slash);
    const name = below.slice(slash + 1);
    const machines = this.schedules.get(name) ?? new Map<string, Scheduled>();
    this.schedules.set(name, machines);
    if (value === null) machines.delete(machine);
    else {
      const { hash, desiredState } = decodeSchedule(value);
      const before = machines.get(machine);
      const isSame = before?.hash === hash && before.desiredState === desiredState;
      machines.set(machine, { hash, desiredState, sinceMs: isSame ? before.sinceMs : nowMs });
    }
    return name;
  }

  #check(name: string, revision: Revision): void {
    const scheduled = [...(this.schedules.get(name)?.keys() ?? [])];
    const machine = this.jobs.get(name)?.machine ?? null;
    const expected = machine === null ? [] : [machine];
    if (scheduled.join() !== expected.join()) {
      const where = scheduled.join(", ") || "nowhere";
      throw new Violation(
        "placement",
        `at revision ${revision} ${name} belongs to ${machine} and is scheduled ${where}`,
      );
    }
  }
}
