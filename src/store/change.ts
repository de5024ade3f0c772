/**
 * One change of one key: the record that index, history, watch and snapshot share.
 *
 * Invariants.
 * - A change is never altered once it is made; its value is memory of the store's own and is never written to.
 * - A deletion has no value, and zero for everything but key and revision.
 *
 * @module
 */
import { type Key, toBytes } from "./key.ts";
import type { Bytes, KeyValue, LeaseId, Revision } from "./kv.ts";

export interface Change {
  readonly key: Key;
  readonly revision: Revision;
  /** null: the key was deleted. */
  readonly value: Bytes | null;
  readonly createRevision: Revision;
  readonly version: number;
  readonly lease: LeaseId;
}

/** A change that left the key alive. */
export type Version = Change & { readonly value: Bytes };

export const NO_BYTES: Bytes = new Uint8Array(0);

export function isVersion(change: Change): change is Version {
  return change.value !== null;
}

export function deletion(key: Key, revision: Revision): Change {
  return { key, revision, value: null, createRevision: 0, version: 0, lease: 0 };
}

export function toKeyValue(change: Change, keysOnly = false): KeyValue {
  return {
    key: toBytes(change.key),
    value: keysOnly || change.value === null ? NO_BYTES : change.value,
    createRevision: change.createRevision,
    modRevision: change.revision,
    version: change.version,
    lease: change.lease,
  };
}
