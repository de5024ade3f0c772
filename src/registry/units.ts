/**
 * UnitWriter: how the API creates, changes and destroys units, one or many at a time.
 *
 * Problem. Several daemons take requests at once, and the engine moves units meanwhile; no write may build on old news.
 * Idea. Guess from the view, write transactions that compare what was guessed, and take the true record from the answer when
 * the guess was old. Each unit is a nested transaction with comparisons of its own, as many to a transaction as etcd's limit
 * lets in: one stale guess is refused alone, and its neighbours need no second round.
 * Invariants.
 * - An answer that says "nothing to do" or "no such unit" rests on a comparison in the store, never on the view alone.
 * - A write of unknown fate is passed on to the caller, never repeated; it settles the units of its own transaction only.
 * - Of several writes at once of one unit file, one in each transaction is enough; a file whose jobs were all refused is the
 *   engine's to collect.
 *
 * Not here. What a write consists of (unit-steps.ts); where units run (engine/); a global unit's schedule keys follow its job by
 * the engine's hand.
 *
 * @module
 */
import type { JobState } from "../model/states.ts";
import type { UnitOption } from "../model/unit-file.ts";
import { type CallOptions, type Kv, KvError, type Op, type Revision, type TxnResponse } from "../store/kv.ts";
import type { Keys } from "./keys.ts";
import { absent, type Guarded, guarded, MAX_TXN_OPERATIONS, put, read, sizeOf, unchangedSince } from "./operations.ts";
import {
  type Job,
  RegistryError,
  type UnitChange,
  type UnitChangeResult,
  type UnitWriteResult,
  type UnitWriter,
} from "./types.ts";
import { jobOf, type Planned, type StepResult, UnitSteps } from "./unit-steps.ts";
import type { RegistryView } from "./view.ts";

/** Each further try has lost a race against another writer of the same unit: sixteen in a row mean that something is wrong. */
const MAX_TRIES = 16;
/** Transactions of one call on their way at once: enough to fill the log's pipeline, few enough to leave room for others. */
const MAX_IN_FLIGHT = 8;

/** A unit whose outcome is open, and the record that the next try builds on. */
interface Open extends Planned {
  readonly index: number;
  readonly job: Job | undefined;
}
interface Part extends Guarded {
  readonly open: Open;
  readonly result: StepResult;
  /** Guards something beside the job: a unit file, which only a later view can tell. */
  readonly guardsFile: boolean;
}
interface Batch {
  readonly parts: readonly Part[];
  readonly files: readonly Op[];
}

export class RegistryUnits implements UnitWriter {
  readonly #kv: Kv;
  readonly #keys: Keys;
  readonly #view: RegistryView;
  readonly #steps: UnitSteps;

  constructor(kv: Kv, keys: Keys, view: RegistryView) {
    this.#kv = kv;
    this.#keys = keys;
    this.#view = view;
    this.#steps = new UnitSteps(keys, view);
  }

  /** Rejects with UnitOptionsError when the options' placement requirements cannot be read. */
  async putUnit(
    name: string,
    options: readonly UnitOption[],
    desiredState: JobState,
    call?: CallOptions,
  ): Promise<UnitWriteResult> {
    return await this.#changeOne({ kind: "put", name, options, desiredState }, call);
  }

  async setDesiredState(name: string, desiredState: JobState, call?: CallOptions): Promise<UnitWriteResult> {
    return await this.#changeOne({ kind: "state", name, desiredState }, call);
  }

  async destroyUnit(name: string, call?: CallOptions): Promise<boolean> {
    return (await this.#changeOne({ kind: "destroy", name }, call)).kind === "destroyed";
  }

  /** Rejects, before anything is written, when a unit is named twice or a file's placement requirements cannot be read. */
  async changeUnits(changes: readonly UnitChange[], call?: CallOptions): Promise<readonly UnitChangeResult[]> {
    if (new Set(changes.map(({ name }) => name)).size < changes.length) {
      throw new RangeError("Cannot change units: one of them is named twice");
    }
    const results: UnitChangeResult[] = [];
    let open: Open[] = changes.map((change, index) => {
      return { ...this.#steps.of(change), index, job: this.#view.job(change.name) };
    });
    for (let tries = 0; open.length > 0 && tries < MAX_TRIES; tries += 1) {
      open = await this.#round(open, results, call);
    }
    for (const { name, index } of open) {
      const message = `Cannot write unit "${name}": it was changed by others ${MAX_TRIES} times in a row. Try again`;
      results[index] = { kind: "failed", error: new RegistryError("conflict", message) };
    }
    return results;
  }

  async #changeOne(change: UnitChange, call: CallOptions | undefined): Promise<UnitWriteResult> {
    const [result] = await this.changeUnits([change], call);
    if (result === undefined) throw new Error(`No result for unit "${change.name}"`);
    if (result.kind === "failed") throw result.error;
    return result;
  }

  /** Tries every open unit once; returns those that were refused, with their records as they are. */
  async #round(open: readonly Open[], results: UnitChangeResult[], call: CallOptions | undefined): Promise<Open[]> {
    const kept = new Set(open.flatMap(({ file }) => file?.hash ?? []));
    const batches = pack(open.map((unit) => this.#part(unit, kept)));
    const again: Open[] = [];
    for (let first = 0; first < batches.length; first += MAX_IN_FLIGHT) {
      const group = batches.slice(first, first + MAX_IN_FLIGHT);
      const left = await Promise.all(group.map((batch) => this.#commit(batch, results, call)));
      again.push(...left.flat());
    }
    return again;
  }

  async #commit(batch: Batch, results: UnitChangeResult[], call: CallOptions | undefined): Promise<Open[]> {
    let answer: TxnResponse;
    const again: Open[] = [];
    let waitsForView = false;
    try {
      const success = [...batch.files, ...batch.parts.map(guarded)];
      answer = await this.#kv.txn({ compare: [], success, failure: [] }, call);
      for (const [index, part] of batch.parts.entries()) {
        const nested = answer.results[batch.files.length + index];
        if (nested?.op !== "txn") throw new Error("The store answered a nested transaction with something else");
        if (nested.succeeded) {
          results[part.open.index] = resultAt(part.result, answer.revision);
          continue;
        }
        const [found] = nested.results;
        const job = jobOf(part.open.name, found?.op === "range" ? found.kvs[0] : undefined);
        again.push({ ...part.open, job });
        waitsForView ||= part.guardsFile;
      }
      if (waitsForView) await this.#view.reached(answer.revision, call);
      return again;
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      for (const { open } of batch.parts) results[open.index] ??= { kind: "failed", error };
      return [];
    }
  }

  #part(open: Open, kept: ReadonlySet<string>): Part {
    const key = this.#keys.job(open.name);
    const { result, write } = open.plan(open.job, kept);
    const guard = open.job === undefined ? absent(key) : unchangedSince(key, open.job.modRevision);
    return {
      open,
      result,
      guardsFile: (write?.compare.length ?? 0) > 0,
      compare: [guard, ...(write?.compare ?? [])],
      success: write?.success ?? [],
      failure: [read({ key })],
    };
  }
}

function resultAt(result: StepResult, revision: Revision): UnitWriteResult {
  return result.kind === "refused" ? result : { kind: result.kind, revision };
}

/** Transactions within the limit, in order; each puts the files that its units name, once each. */
function pack(parts: readonly Part[]): Batch[] {
  const batches: { parts: Part[]; files: Map<string, Op> }[] = [];
  let room = 0;
  for (const part of parts) {
    const { file } = part.open;
    const writesFile = file !== null && (part.result.kind === "created" || part.result.kind === "replaced");
    // The file's own place is reserved whether or not it is there already: simpler, and hardly ever wasted.
    const size = sizeOf(part) + (writesFile ? 1 : 0);
    if (size > room) {
      batches.push({ parts: [], files: new Map() });
      room = MAX_TXN_OPERATIONS;
    }
    const batch = batches.at(-1);
    batch?.parts.push(part);
    if (writesFile) batch?.files.set(file.hash, put(file.key, file.value));
    room -= size;
  }
  return batches.map(({ parts: packed, files }) => ({ parts: packed, files: [...files.values()] }));
}
