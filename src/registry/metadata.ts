/**
 * Edited metadata: what PATCH /machines writes.
 *
 * Idea. One key an edit, beside the machine's registration and not under its lease: an edit outlives the machine's absence,
 * and a machine that never registered can have some. A removed key stays as a mark that hides the configured one.
 *
 * @module
 */
import type { CallOptions, Kv } from "../store/kv.ts";
import type { Keys } from "./keys.ts";
import { put } from "./operations.ts";
import { encodeMetadata } from "./records.ts";
import type { MachineWriter, MetadataEdit } from "./types.ts";

/** MachineWriter over a store. */
export class RegistryMachines implements MachineWriter {
  readonly #kv: Kv;
  readonly #keys: Keys;

  constructor(kv: Kv, keys: Keys) {
    this.#kv = kv;
    this.#keys = keys;
  }

  editMetadata(edits: readonly MetadataEdit[], options?: CallOptions): Promise<void> {
    return editMetadata(this.#kv, this.#keys, edits, options);
  }
}

/**
 * Writes all edits in one transaction; of two for the same key the later one counts. More than 128 different keys are
 * refused by the store (`too-many-operations`), and nothing is done.
 */
export async function editMetadata(
  kv: Kv,
  keys: Keys,
  edits: readonly MetadataEdit[],
  options?: CallOptions,
): Promise<void> {
  if (edits.length === 0) return;
  const latest = new Map(edits.map((edit) => [`${edit.machineId}/${edit.key}`, edit]));
  const success = [...latest.values()].map((edit) =>
    put(keys.metadata(edit.machineId, edit.key), encodeMetadata({ value: edit.value })),
  );
  await kv.txn({ compare: [], success, failure: [] }, options);
}
