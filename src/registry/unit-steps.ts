/**
 * What a write of one unit is to do, given the unit as it is: pure planning for the UnitWriter.
 *
 * Idea. A step is made from one version of the job and is only good for that one: whoever carries it out compares the job's
 * revision, and plans anew from the true record when that has changed.
 * Invariants.
 * - Each transaction that makes a job name a hash writes unit/<hash>, too. Whoever deletes a unit file compares that key's
 *   revision with that of a view in which nobody names the hash: so no job can lose its file.
 *
 * Not here. Transactions and retries (units.ts).
 *
 * @module
 */
import { parseRequirements } from "../model/requirements.ts";
import type { JobState } from "../model/states.ts";
import { type UnitOption, unitHash } from "../model/unit-file.ts";
import type { Bytes, Compare, KeyValue, Op } from "../store/kv.ts";
import type { Keys } from "./keys.ts";
import { put, remove, unchangedSince } from "./operations.ts";
import { decodeJob, encodeJob, encodeSchedule, encodeUnitFile, RecordError } from "./records.ts";
import { type Job, RegistryError, type UnitChange, type UnitWriteResult } from "./types.ts";
import type { RegistryView } from "./view.ts";

/** What comes of a step; the store has a revision to add. */
export type StepResult =
  | { readonly kind: Exclude<UnitWriteResult["kind"], "refused"> }
  | Extract<UnitWriteResult, { readonly kind: "refused" }>;
/** `write` null: nothing is to be done, and this is the answer. */
export interface Step {
  readonly result: StepResult;
  readonly write: StepWrite | null;
}
export interface StepWrite {
  /** Beside the job's own revision. */
  readonly compare: readonly Compare[];
  readonly success: readonly Op[];
}
/** One unit's change, ready to be planned as often as it takes. */
export interface Planned {
  readonly name: string;
  /** The unit file that must be there with the job; null: the change names none. */
  readonly file: { readonly key: Bytes; readonly hash: string; readonly value: Bytes } | null;
  /** @param kept Hashes whose files the same transaction puts: they must not be collected by it. */
  plan(job: Job | undefined, kept: ReadonlySet<string>): Step;
}
type JobFields = Pick<Job, "name" | "hash" | "desiredState" | "machine">;

/** A record that cannot be read is no unit, but it holds the key: it can be replaced or destroyed, nothing else. */
const UNREADABLE_HASH = "";

export class UnitSteps {
  readonly #keys: Keys;
  readonly #view: RegistryView;

  constructor(keys: Keys, view: RegistryView) {
    this.#keys = keys;
    this.#view = view;
  }

  /** Throws UnitOptionsError when the options' placement requirements cannot be read. */
  of(change: UnitChange): Planned {
    switch (change.kind) {
      case "put":
        return this.#put(change.name, change.options, change.desiredState);
      case "state":
        return this.#setState(change.name, change.desiredState);
      case "destroy":
        return this.#destroy(change.name);
    }
  }

  #put(name: string, options: readonly UnitOption[], desiredState: JobState): Planned {
    const hash = unitHash(options);
    const { global } = parseRequirements(name, options);
    const file = { key: this.#keys.unit(hash), hash, value: encodeUnitFile(options) };
    return {
      name,
      file,
      plan: (job, kept) => {
        if (job?.hash === hash) return this.#changeState(job, desiredState);
        if (job === undefined) {
          const success = [this.#putJob({ name, hash, desiredState, machine: null })];
          return { result: { kind: "created" }, write: { compare: [], success } };
        }
        const rewrite = this.#rewrite(job, { name, hash, desiredState, machine: job.machine }, global);
        const collected = this.#collect(job.hash, kept);
        const success = [...rewrite, ...collected.success, remove({ key: this.#keys.reason(name) })];
        return { result: { kind: "replaced" }, write: { compare: collected.compare, success } };
      },
    };
  }

  #setState(name: string, desiredState: JobState): Planned {
    const plan = (job: Job | undefined): Step => {
      if (job !== undefined && job.hash !== UNREADABLE_HASH) return this.#changeState(job, desiredState);
      return unknownUnit(`Cannot change unit "${name}": there is no such unit`);
    };
    return { name, file: null, plan };
  }

  #destroy(name: string): Planned {
    const plan = (job: Job | undefined, kept: ReadonlySet<string>): Step => {
      if (job === undefined) return unknownUnit(`Cannot destroy unit "${name}": there is no such unit`);
      const collected = this.#collect(job.hash, kept);
      const keys = [this.#keys.job(name), this.#keys.reason(name)];
      if (job.machine !== null) keys.push(this.#keys.schedule(job.machine, name));
      const success = [...keys.map((key) => remove({ key })), ...collected.success];
      return { result: { kind: "destroyed" }, write: { compare: collected.compare, success } };
    };
    return { name, file: null, plan };
  }

  #changeState(job: Job, desiredState: JobState): Step {
    if (job.desiredState === desiredState) return { result: { kind: "unchanged" }, write: null };
    const success = this.#rewrite(job, { ...job, desiredState }, false);
    if (desiredState === "inactive") success.push(remove({ key: this.#keys.reason(job.name) }));
    return { result: { kind: "changed" }, write: { compare: [], success } };
  }

  /**
   * The job as it shall be, and its schedule key along with it. Inactive: off its machine. Turned global: the job names no
   * machine any more, but the key stays, so that the unit is not stopped where the engine would place it at once.
   */
  #rewrite(job: Job, next: JobFields, turnedGlobal: boolean): Op[] {
    const { machine, name } = job;
    const keepsPlace = machine !== null && next.desiredState !== "inactive";
    const ops = [this.#putJob({ ...next, machine: keepsPlace && !turnedGlobal ? machine : null })];
    if (machine === null) return ops;
    const key = this.#keys.schedule(machine, name);
    ops.push(keepsPlace ? put(key, encodeSchedule(next)) : remove({ key }));
    return ops;
  }

  #putJob(job: JobFields): Op {
    return put(this.#keys.job(job.name), encodeJob(job));
  }

  /** Deletes the unit file together with the last job that names it, as far as the view can tell; the engine finds the rest. */
  #collect(hash: string, kept: ReadonlySet<string>): StepWrite {
    const file = this.#view.unitFile(hash);
    if (file === undefined || kept.has(hash) || this.#view.referencesOf(hash) !== 1)
      return { compare: [], success: [] };
    const key = this.#keys.unit(hash);
    return { compare: [unchangedSince(key, file.modRevision)], success: [remove({ key })] };
  }
}

function unknownUnit(message: string): Step {
  return { result: { kind: "refused", error: new RegistryError("unit-not-found", message) }, write: null };
}

/** The job in a record that was read; undefined when there is none. */
export function jobOf(name: string, kv: KeyValue | undefined): Job | undefined {
  if (kv === undefined) return undefined;
  const { modRevision } = kv;
  try {
    return { name, ...decodeJob(kv.value), modRevision };
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return { name, hash: UNREADABLE_HASH, desiredState: "inactive", machine: null, modRevision };
  }
}
