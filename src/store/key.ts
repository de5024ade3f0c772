/**
 * Keys inside the store: binary strings, one character a byte.
 *
 * Idea. JavaScript compares strings by code unit; with one unit a byte (latin1) that is byte order, which is the order
 * etcd promises. Strings are hashed and compared by the engine itself, where byte arrays would need code of ours.
 *
 * Invariants.
 * - A span is half open: [from, to). One key k is [k, k + "\0"): nothing lies between a key and itself with a zero byte.
 *
 * @module
 */
import { type Bytes, type KeyRange, KvError } from "./kv.ts";

/** A key as a binary string: every character is below U+0100. */
export type Key = string;

export interface KeySpan {
  readonly from: Key;
  /** undefined: no upper bound. */
  readonly to: Key | undefined;
  /** Holds just `from`. */
  readonly single: boolean;
}

export function toKey(bytes: Bytes): Key {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

export function toBytes(key: Key): Bytes {
  const bytes = new Uint8Array(key.length);
  for (let i = 0; i < key.length; i++) bytes[i] = key.charCodeAt(i);
  return bytes;
}

export function compareKeys(a: Key, b: Key): number {
  if (a < b) return -1;
  return a > b ? 1 : 0;
}

/** An empty `end` counts as absent, the single byte 0 as "no upper bound" (etcd's api: range_end). */
export function toSpan(range: KeyRange): KeySpan {
  const from = toKey(range.key);
  const end = range.end;
  if (end === undefined || end.length === 0) return { from, to: `${from}\0`, single: true };
  if (end.length === 1 && end[0] === 0) return { from, to: undefined, single: false };
  return { from, to: toKey(end), single: false };
}

export function spanHolds(span: KeySpan, key: Key): boolean {
  return key >= span.from && (span.to === undefined || key < span.to);
}

export function requireKey(key: Bytes, action: string): void {
  if (key.length === 0) throw new KvError("key-empty", `${action} failed: the key is empty`);
}
