/**
 * EngineSession: the engine's writes, all of them behind the leadership key.
 *
 * Problem. An engine that was deposed may not know it yet; a decision may be older than the unit it is about.
 * Idea. becomeEngine() puts `leader` and remembers the revision; every transaction compares it first, so the store itself
 * refuses a former engine. Inside, each decision is a nested transaction with its own comparisons: one stale decision is
 * refused alone, and its neighbours need no second round.
 * Invariants.
 * - A placement moves the job and its schedule key in one transaction, onto a machine that is registered at that revision.
 * - No transaction holds more than 128 operations, nested ones counted in.
 *
 * Not here. What to decide (engine/).
 *
 * @module
 */
import type { MachineId } from "../model/machine.ts";
import type { CallOptions, Compare, Kv, Op, Revision, TxnResponse } from "../store/kv.ts";
import type { Keys } from "./keys.ts";
import { absent, exists, type Guarded, guarded, packTransactions, put, remove, unchangedSince } from "./operations.ts";
import { encodeJob, encodeLeader, encodeReasons, encodeSchedule } from "./records.ts";
import {
  type EngineSession,
  type GlobalPlacement,
  type Placement,
  type PlaceResult,
  type Refusal,
  RegistryError,
} from "./types.ts";
import type { RegistryView } from "./view.ts";

/** Transactions on their way at once: enough to fill the log's pipeline, few enough to leave room for others. */
const MAX_IN_FLIGHT = 8;
/** The comparison of the leadership key takes one place in each transaction. */
const RESERVED_OPERATIONS = 1;

interface Item extends Guarded {
  readonly name: string;
}
interface Outcome {
  readonly refused: readonly string[];
  readonly revision: Revision;
}

/**
 * Takes the leadership key; whoever had it is refused from here on. Call it when this member became leader, and again after
 * a KvError: a put of unknown fate that comes late only deposes this very session.
 */
export async function becomeEngine(
  kv: Kv,
  keys: Keys,
  machineId: MachineId,
  view: RegistryView,
  options?: CallOptions,
): Promise<EngineSession> {
  const answer = await kv.txn(
    { compare: [], success: [put(keys.leader, encodeLeader(machineId))], failure: [] },
    options,
  );
  return engineSession(kv, keys, view, answer.revision);
}

/** For whoever took the key himself (election.ts): `leaderRevision` is the revision of that put. */
export function engineSession(kv: Kv, keys: Keys, view: RegistryView, leaderRevision: Revision): EngineSession {
  return new RegistryEngineSession(kv, keys, view, leaderRevision);
}

class RegistryEngineSession implements EngineSession {
  readonly #kv: Kv;
  readonly #keys: Keys;
  readonly #view: RegistryView;
  readonly #leadership: Compare;

  constructor(kv: Kv, keys: Keys, view: RegistryView, leaderRevision: Revision) {
    this.#kv = kv;
    this.#keys = keys;
    this.#view = view;
    this.#leadership = unchangedSince(keys.leader, leaderRevision);
  }

  place(placements: readonly Placement[], globals: readonly GlobalPlacement[]): Promise<PlaceResult> {
    return this.#write([
      ...placements.map((placement) => this.#placementItem(placement)),
      ...globals.map((global) => this.#globalItem(global)),
    ]);
  }

  async explain(reasons: ReadonlyMap<string, readonly Refusal[]>): Promise<void> {
    await this.#write(
      [...reasons].map(([name, refusals]) => {
        const key = this.#keys.reason(name);
        const op = refusals.length === 0 ? remove({ key }) : put(key, encodeReasons(refusals));
        return { name, compare: [exists(this.#keys.job(name))], success: [op] };
      }),
    );
  }

  async collect(hashes: readonly string[]): Promise<void> {
    const items: Item[] = [];
    for (const hash of hashes) {
      const file = this.#view.unitFile(hash);
      if (file === undefined || this.#view.referencesOf(hash) > 0) continue;
      const key = this.#keys.unit(hash);
      items.push({ name: hash, compare: [unchangedSince(key, file.modRevision)], success: [remove({ key })] });
    }
    await this.#write(items);
  }

  #placementItem({ job, to, fromIsGone }: Placement): Item {
    const { name, machine: from } = job;
    const compare = [unchangedSince(this.#keys.job(name), job.modRevision)];
    const success: Op[] = [put(this.#keys.job(name), encodeJob({ ...job, machine: to }))];
    if (from !== null && from !== to) success.push(remove({ key: this.#keys.schedule(from, name) }));
    if (from !== null && fromIsGone === true) compare.push(absent(this.#keys.machine(from)));
    if (to !== null) {
      compare.push(exists(this.#keys.machine(to)));
      success.push(put(this.#keys.schedule(to, name), encodeSchedule(job)), remove({ key: this.#keys.reason(name) }));
    }
    return { name, compare, success };
  }

  #globalItem({ machineId, name, job, scheduled, machineIsGone }: GlobalPlacement): Item {
    const jobKey = this.#keys.job(name);
    const key = this.#keys.schedule(machineId, name);
    const compare = [job === null ? absent(jobKey) : unchangedSince(jobKey, job.modRevision)];
    if (machineIsGone === true) compare.push(absent(this.#keys.machine(machineId)));
    if (scheduled === null) return { name, compare, success: [remove({ key })] };
    compare.push(exists(this.#keys.machine(machineId)));
    return { name, compare, success: [put(key, encodeSchedule(scheduled))] };
  }

  async #write(items: readonly Item[]): Promise<Outcome> {
    const batches = packTransactions(items, RESERVED_OPERATIONS);
    const refused: string[] = [];
    let revision: Revision = 0;
    for (let first = 0; first < batches.length; first += MAX_IN_FLIGHT) {
      const group = batches.slice(first, first + MAX_IN_FLIGHT);
      const answers = await Promise.all(group.map((batch) => this.#commit(batch)));
      for (const [index, answer] of answers.entries()) {
        revision = Math.max(revision, answer.revision);
        refused.push(...refusedOf(group[index] ?? [], answer));
      }
    }
    return { refused, revision };
  }

  async #commit(batch: readonly Item[]): Promise<TxnResponse> {
    const answer = await this.#kv.txn({ compare: [this.#leadership], success: batch.map(guarded), failure: [] });
    if (!answer.succeeded) {
      throw new RegistryError("not-leader", "Cannot write the engine's decisions: another engine leads by now");
    }
    return answer;
  }
}

function refusedOf(batch: readonly Item[], answer: TxnResponse): string[] {
  return batch.flatMap((item, index) => {
    const result = answer.results[index];
    return result?.op === "txn" && !result.succeeded ? [item.name] : [];
  });
}
