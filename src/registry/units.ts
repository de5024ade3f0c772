/**
 * UnitWriter: how the API creates, changes and destroys units.
 *
 * Problem. Several daemons take requests at once, and the engine moves units meanwhile; no write may build on old news.
 * Idea. Guess from the view, write one transaction that compares what was guessed, and take the true record from its
 * answer when the guess was old. A transaction whose compare failed has done nothing, so going on is safe.
 * Invariants.
 * - An answer that says "nothing to do" or "no such unit" rests on a linearizable read, never on the view alone.
 * - A write of unknown fate is passed on to the caller, never repeated.
 * - Each transaction that makes a job name a hash writes unit/<hash>, too. Whoever deletes a unit file compares that key's
 *   revision with that of a view in which nobody names the hash: so no job can lose its file.
 *
 * Not here. Where units run (engine/); a global unit's schedule keys follow its job by the engine's hand.
 *
 * @module
 */

import { parseRequirements } from "../model/requirements.ts";
import type { JobState } from "../model/states.ts";
import { type UnitOption, unitHash } from "../model/unit-file.ts";
import type { CallOptions, Compare, Kv, Op, TxnResponse } from "../store/kv.ts";
import type { Keys } from "./keys.ts";
import { absent, put, read, remove, unchangedSince } from "./operations.ts";
import { decodeJob, encodeJob, encodeSchedule, encodeUnitFile, RecordError } from "./records.ts";
import { type Job, RegistryError, type UnitWriteResult, type UnitWriter } from "./types.ts";
import type { RegistryView } from "./view.ts";

/** Each further try has lost a race against another writer of the same unit: sixteen in a row mean that something is wrong. */
const MAX_TRIES = 16;

/** What a transaction is to do, given the unit as it is; `write` null: nothing, and this is the answer. */
interface Step<T> {
  readonly result: T;
  readonly write: { readonly compare: readonly Compare[]; readonly success: readonly Op[] } | null;
}
type JobFields = Pick<Job, "name" | "hash" | "desiredState" | "machine">;

export class RegistryUnits implements UnitWriter {
  readonly #kv: Kv;
  readonly #keys: Keys;
  readonly #view: RegistryView;

  constructor(kv: Kv, keys: Keys, view: RegistryView) {
    this.#kv = kv;
    this.#keys = keys;
    this.#view = view;
  }

  /** Rejects with UnitOptionsError when the options' placement requirements cannot be read. */
  async putUnit(
    name: string,
    options: readonly UnitOption[],
    desiredState: JobState,
    call?: CallOptions,
  ): Promise<UnitWriteResult> {
    const hash = unitHash(options);
    const { global } = parseRequirements(name, options);
    const file = put(this.#keys.unit(hash), encodeUnitFile(options));
    return this.#attempt<UnitWriteResult>(name, call, (job) => {
      if (job?.hash === hash) return this.#changeState(job, desiredState);
      if (job === undefined) {
        const success = [file, this.#putJob({ name, hash, desiredState, machine: null })];
        return { result: { kind: "created" }, write: { compare: [], success } };
      }
      const write = this.#rewrite(job, { name, hash, desiredState, machine: job.machine }, global);
      const collected = this.#collect(job.hash);
      return {
        result: { kind: "replaced" },
        write: {
          compare: collected.compare,
          success: [file, ...write, ...collected.success, remove({ key: this.#keys.reason(name) })],
        },
      };
    });
  }

  setDesiredState(name: string, desiredState: JobState, call?: CallOptions): Promise<UnitWriteResult> {
    return this.#attempt<UnitWriteResult>(name, call, (job) => {
      if (job !== undefined && job.hash !== UNREADABLE_HASH) return this.#changeState(job, desiredState);
      const error = new RegistryError("unit-not-found", `Cannot change unit "${name}": there is no such unit`);
      return { result: { kind: "refused", error }, write: null };
    });
  }

  destroyUnit(name: string, call?: CallOptions): Promise<boolean> {
    return this.#attempt(name, call, (job) => {
      if (job === undefined) return { result: false, write: null };
      const collected = this.#collect(job.hash);
      const keys = [this.#keys.job(name), this.#keys.reason(name)];
      if (job.machine !== null) keys.push(this.#keys.schedule(job.machine, name));
      return {
        result: true,
        write: { compare: collected.compare, success: [...keys.map((key) => remove({ key })), ...collected.success] },
      };
    });
  }

  #changeState(job: Job, desiredState: JobState): Step<UnitWriteResult> {
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
  #collect(hash: string): { readonly compare: readonly Compare[]; readonly success: readonly Op[] } {
    const file = this.#view.unitFile(hash);
    if (file === undefined || this.#view.referencesOf(hash) !== 1) return { compare: [], success: [] };
    const key = this.#keys.unit(hash);
    return { compare: [unchangedSince(key, file.modRevision)], success: [remove({ key })] };
  }

  async #attempt<T>(name: string, call: CallOptions | undefined, plan: (job: Job | undefined) => Step<T>): Promise<T> {
    const key = this.#keys.job(name);
    let job = this.#view.job(name);
    let isFresh = false;
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const { result, write } = plan(job);
      if (write === null && isFresh) return result;
      const guard = job === undefined ? absent(key) : unchangedSince(key, job.modRevision);
      const request =
        write === null
          ? { compare: [], success: [read({ key })], failure: [] }
          : { compare: [guard, ...write.compare], success: write.success, failure: [read({ key })] };
      const answer = await this.#kv.txn(request, call);
      if (write !== null && answer.succeeded) return result;
      // A unit file that changed under us is in a later view, not in this answer.
      if (write !== null && write.compare.length > 0) await this.#view.reached(answer.revision, call);
      job = jobOf(name, answer);
      isFresh = true;
    }
    throw new RegistryError(
      "conflict",
      `Cannot write unit "${name}": it was changed by others ${MAX_TRIES} times in a row. Try again`,
    );
  }
}

/** A record that cannot be read is no unit, but it holds the key: it can be replaced or destroyed, nothing else. */
const UNREADABLE_HASH = "";

function jobOf(name: string, answer: TxnResponse): Job | undefined {
  const [result] = answer.results;
  const kv = result?.op === "range" ? result.kvs[0] : undefined;
  if (kv === undefined) return undefined;
  const { modRevision } = kv;
  try {
    return { name, ...decodeJob(kv.value), modRevision };
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return { name, hash: UNREADABLE_HASH, desiredState: "inactive", machine: null, modRevision };
  }
}
