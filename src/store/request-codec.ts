/**
 * Ranges and transactions as bytes.
 *
 * Format. Optional numbers are 0 when absent (as in etcd's own protocol), options are one byte of flags, kinds are one
 * byte from a fixed list: its order is part of the format and only ever grows at the end.
 *
 * @module
 */
import { type BinaryReader, type BinaryWriter, CodecError } from "../lib/binary.ts";
import type { Compare, KeyRange, Op, RangeRequest, SortTarget, TxnRequest } from "./kv.ts";
import { MAX_TXN_OPS } from "./kv.ts";

const OPS: readonly Op["op"][] = ["range", "put", "delete", "txn"];
const SORT_TARGETS: readonly SortTarget[] = ["key", "version", "create", "mod", "value"];
const COMPARE_TARGETS: readonly Compare["target"][] = ["value", "version", "create", "mod", "lease"];
const COMPARE_RESULTS: readonly Compare["result"][] = ["=", "!=", "<", ">"];

const HAS_END = 1;
const KEYS_ONLY = 2;
const COUNT_ONLY = 4;
const SORTED = 8;
const DESCENDING = 16;
const PREV_KV = 2;
const IGNORE_VALUE = 4;
const IGNORE_LEASE = 8;

export function writeKind<T extends string>(writer: BinaryWriter, kinds: readonly T[], kind: T): void {
  writer.u8(kinds.indexOf(kind));
}

export function readKind<T extends string>(reader: BinaryReader, kinds: readonly T[], what: string): T {
  const byte = reader.u8();
  const kind = kinds[byte];
  if (kind === undefined) throw new CodecError(`Decoding failed: ${what} ${byte} is unknown`);
  return kind;
}

function writeKeys(writer: BinaryWriter, range: KeyRange, flags: number): void {
  writer.u8(flags | (range.end === undefined ? 0 : HAS_END)).bytes(range.key);
  if (range.end !== undefined) writer.bytes(range.end);
}

function readKeys(reader: BinaryReader, flagsKnown: number): { readonly keys: KeyRange; readonly flags: number } {
  const flags = reader.u8();
  if ((flags & ~(flagsKnown | HAS_END)) !== 0) throw new CodecError(`Decoding failed: flags ${flags} are unknown`);
  const key = reader.bytes();
  return { keys: flags & HAS_END ? { key, end: reader.bytes() } : { key }, flags };
}

export function writeRange(writer: BinaryWriter, request: RangeRequest): void {
  const { sort } = request;
  const flags =
    (request.keysOnly ? KEYS_ONLY : 0) |
    (request.countOnly ? COUNT_ONLY : 0) |
    (sort ? SORTED : 0) |
    (sort?.descending ? DESCENDING : 0);
  writeKeys(writer, request, flags);
  if (sort) writeKind(writer, SORT_TARGETS, sort.target);
  writer.varint(request.revision ?? 0).varint(request.limit ?? 0);
  writer.varint(request.minModRevision ?? 0).varint(request.maxModRevision ?? 0);
  writer.varint(request.minCreateRevision ?? 0).varint(request.maxCreateRevision ?? 0);
}

export function readRange(reader: BinaryReader): RangeRequest {
  const { keys, flags } = readKeys(reader, KEYS_ONLY | COUNT_ONLY | SORTED | DESCENDING);
  const sorted = (flags & SORTED) !== 0;
  const target = sorted ? readKind(reader, SORT_TARGETS, "sort target") : undefined;
  return {
    ...keys,
    ...(target === undefined ? {} : { sort: { target, descending: (flags & DESCENDING) !== 0 } }),
    keysOnly: (flags & KEYS_ONLY) !== 0,
    countOnly: (flags & COUNT_ONLY) !== 0,
    revision: reader.varint(),
    limit: reader.varint(),
    minModRevision: reader.varint(),
    maxModRevision: reader.varint(),
    minCreateRevision: reader.varint(),
    maxCreateRevision: reader.varint(),
  };
}

export function writeTxn(writer: BinaryWriter, request: TxnRequest): void {
  writer.varint(request.compare.length);
  for (const compare of request.compare) writeCompare(writer, compare);
  for (const branch of [request.success, request.failure]) {
    writer.varint(branch.length);
    for (const op of branch) writeOp(writer, op);
  }
}

/** @param depth Levels above this one: each uses up an operation of its parent, so no valid one is deeper. */
export function readTxn(reader: BinaryReader, depth = 0): TxnRequest {
  if (depth > MAX_TXN_OPS) throw new CodecError("Decoding failed: a transaction is nested too deeply");
  return {
    compare: readList(reader, 4, () => readCompare(reader)),
    success: readList(reader, 3, () => readOp(reader, depth)),
    failure: readList(reader, 3, () => readOp(reader, depth)),
  };
}

export function readList<T>(reader: BinaryReader, itemBytesMin: number, read: () => T): T[] {
  const items: T[] = [];
  for (let count = reader.count(itemBytesMin); count > 0; count--) items.push(read());
  return items;
}

function writeCompare(writer: BinaryWriter, compare: Compare): void {
  writeKind(writer, COMPARE_TARGETS, compare.target);
  writeKind(writer, COMPARE_RESULTS, compare.result);
  writeKeys(writer, compare, 0);
  if (compare.target === "value") writer.bytes(compare.value);
  else writer.varint(compare.value);
}

function readCompare(reader: BinaryReader): Compare {
  const target = readKind(reader, COMPARE_TARGETS, "compare target");
  const result = readKind(reader, COMPARE_RESULTS, "compare result");
  const { keys } = readKeys(reader, 0);
  if (target === "value") return { ...keys, result, target, value: reader.bytes() };
  return { ...keys, result, target, value: reader.varint() };
}

function writeOp(writer: BinaryWriter, op: Op): void {
  writeKind(writer, OPS, op.op);
  switch (op.op) {
    case "range":
      return writeRange(writer, op);
    case "txn":
      return writeTxn(writer, op);
    case "delete":
      return writeKeys(writer, op, op.prevKv ? PREV_KV : 0);
    case "put": {
      const flags =
        (op.prevKv ? PREV_KV : 0) | (op.ignoreValue ? IGNORE_VALUE : 0) | (op.ignoreLease ? IGNORE_LEASE : 0);
      writeKeys(writer, { key: op.key }, flags);
      writer.bytes(op.value).varint(op.lease ?? 0);
    }
  }
}

function readOp(reader: BinaryReader, depth: number): Op {
  const op = readKind(reader, OPS, "operation");
  switch (op) {
    case "range":
      return { op, ...readRange(reader) };
    case "txn":
      return { op, ...readTxn(reader, depth + 1) };
    case "delete": {
      const { keys, flags } = readKeys(reader, PREV_KV);
      return { op, ...keys, prevKv: (flags & PREV_KV) !== 0 };
    }
    case "put": {
      const { keys, flags } = readKeys(reader, PREV_KV | IGNORE_VALUE | IGNORE_LEASE);
      return {
        op,
        key: keys.key,
        value: reader.bytes(),
        lease: reader.varint(),
        prevKv: (flags & PREV_KV) !== 0,
        ignoreValue: (flags & IGNORE_VALUE) !== 0,
        ignoreLease: (flags & IGNORE_LEASE) !== 0,
      };
    }
  }
}
