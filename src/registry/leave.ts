/**
 * Gives a leaving machine's units back: each job forgets its machine, each schedule key goes, in one transaction a unit.
 *
 * Idea. List what is scheduled here, look up the jobs, write. Whatever was changed in between (its comparison fails) is still
 * in the next listing: go round until the list is empty.
 *
 * @module
 */
import type { MachineId } from "../model/machine.ts";
import { type CallOptions, type Compare, type KeyValue, type Kv, KvError, type Op } from "../store/kv.ts";
import type { Keys } from "./keys.ts";
import {
  absent,
  type Guarded,
  guarded,
  MAX_TXN_OPERATIONS,
  packTransactions,
  put,
  read,
  remove,
  unchangedSince,
} from "./operations.ts";
import { decodeJob, encodeJob, RecordError } from "./records.ts";

/** Units change while they are given back only when a user changes them: more rounds than this are no coincidence. */
const MAX_ROUNDS = 8;

/** What the first transaction does beside: it says that the machine is gone. */
export interface Farewell {
  readonly compare: readonly Compare[];
  readonly success: readonly Op[];
  /** The comparison failed. */
  readonly refusal: () => Error;
}

export async function leaveMachine(
  kv: Kv,
  keys: Keys,
  machineId: MachineId,
  farewell: Farewell,
  options?: CallOptions,
): Promise<void> {
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const names = await scheduledNames(kv, keys, machineId, options);
    if (round > 0 && names.length === 0) {
      await kv.txn({ compare: [], success: [remove({ key: keys.address(machineId) })], failure: [] }, options);
      return;
    }
    const parts = await giveBackAll(kv, keys, machineId, names, options);
    const batches = packTransactions(parts, 1 + farewell.success.length);
    if (round === 0) {
      const success = [...farewell.success, ...(batches.shift() ?? []).map(guarded)];
      const answer = await kv.txn({ compare: farewell.compare, success, failure: [] }, options);
      if (!answer.succeeded) throw farewell.refusal();
    }
    for (const batch of batches) await kv.txn({ compare: [], success: batch.map(guarded), failure: [] }, options);
  }
  throw new KvError(
    "unavailable",
    `Cannot give back every unit of machine ${machineId}: they are changed faster than they can be given back`,
  );
}

async function giveBackAll(
  kv: Kv,
  keys: Keys,
  machineId: MachineId,
  names: readonly string[],
  options?: CallOptions,
): Promise<Guarded[]> {
  const parts: Guarded[] = [];
  for (let first = 0; first < names.length; first += MAX_TXN_OPERATIONS) {
    const some = names.slice(first, first + MAX_TXN_OPERATIONS);
    const success = some.map((name) => read({ key: keys.job(name) }));
    const answer = await kv.txn({ compare: [], success, failure: [] }, options);
    for (const [index, name] of some.entries()) {
      const result = answer.results[index];
      parts.push(giveBack(keys, machineId, name, result?.op === "range" ? result.kvs[0] : undefined));
    }
  }
  return parts;
}

async function scheduledNames(kv: Kv, keys: Keys, machineId: MachineId, options?: CallOptions): Promise<string[]> {
  const answer = await kv.range({ ...keys.scheduleOf(machineId), keysOnly: true }, options);
  return answer.kvs.flatMap((kv) => {
    const parsed = keys.parse(kv.key);
    return parsed?.kind === "schedule" ? [parsed.name] : [];
  });
}

function giveBack(keys: Keys, machineId: MachineId, name: string, kv: KeyValue | undefined): Guarded {
  const key = keys.job(name);
  const success = [remove({ key: keys.schedule(machineId, name) })];
  if (kv === undefined) return { compare: [absent(key)], success };
  const job = readJob(kv);
  if (job?.machine === machineId) success.push(put(key, encodeJob({ ...job, machine: null })));
  return { compare: [unchangedSince(key, kv.modRevision)], success };
}

/** null for a record that cannot be read: it says nothing about this machine. */
function readJob(kv: KeyValue) {
  try {
    return decodeJob(kv.value);
  } catch (error) {
    if (error instanceof RecordError) return null;
    throw error;
  }
}
