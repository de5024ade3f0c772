/**
 * What commands answer, as bytes: a member that forwarded a command to the leader reads its result from these.
 *
 * Idea. The same rules as in request-codec.ts. Only members of one cluster exchange results, they are never stored.
 *
 * @module
 */
import { BinaryReader, BinaryWriter, CodecError } from "../lib/binary.ts";
import { refuseNewer } from "../lib/format.ts";
import type { CommandResult } from "./command.ts";
import type { KeyValue, KvErrorCode, OpResult, RangeResponse, TxnResponse } from "./kv.ts";
import { readKind, readList, writeKind } from "./request-codec.ts";

const VERSION = 1;
const KINDS: readonly CommandResult["kind"][] = ["txn", "lease-grant", "lease-revoke", "compact", "refused"];
const OPS: readonly OpResult["op"][] = ["range", "put", "delete", "txn"];
/** Smallest key-value: four empty fields and two lengths. */
const KV_BYTES_MIN = 6;

export function encodeResult(result: CommandResult): Uint8Array {
  const writer = new BinaryWriter();
  writer.u8(VERSION);
  writeKind(writer, KINDS, result.kind);
  switch (result.kind) {
    case "txn":
      writeResponse(writer, result.response);
      break;
    case "lease-grant":
      writer.varint(result.lease.id).varint(result.lease.ttlMs).varint(result.revision);
      break;
    case "lease-revoke":
      writer.varint(result.revoked.length);
      for (const id of result.revoked) writer.varint(id);
      writer.varint(result.revision);
      break;
    case "compact":
      writer.varint(result.revision);
      break;
    case "refused":
      writer
        .text(result.code)
        .text(result.message)
        .bool(result.compactRevision !== undefined);
      if (result.compactRevision !== undefined) writer.varint(result.compactRevision);
  }
  return writer.finish();
}

/** @throws CodecError whenever the bytes are not exactly one result. */
export function decodeResult(bytes: Uint8Array): CommandResult {
  const reader = new BinaryReader(bytes);
  const version = reader.u8();
  refuseNewer("the leader's result", version, VERSION);
  if (version !== VERSION) throw new CodecError(`Decoding result failed: there is no format ${version}`);
  const result = readResult(reader);
  reader.end();
  return result;
}

function readResult(reader: BinaryReader): CommandResult {
  const kind = readKind(reader, KINDS, "result");
  switch (kind) {
    case "txn":
      return { kind, response: readResponse(reader) };
    case "lease-grant":
      return { kind, lease: { id: reader.varint(), ttlMs: reader.varint() }, revision: reader.varint() };
    case "lease-revoke":
      return { kind, revoked: readList(reader, 1, () => reader.varint()), revision: reader.varint() };
    case "compact":
      return { kind, revision: reader.varint() };
    case "refused":
      return {
        kind,
        // A newer leader may know more codes: they pass through as they are.
        code: reader.text() as KvErrorCode,
        message: reader.text(),
        compactRevision: reader.bool() ? reader.varint() : undefined,
      };
  }
}

function writeResponse(writer: BinaryWriter, response: TxnResponse): void {
  writer.varint(response.revision).bool(response.succeeded).varint(response.results.length);
  for (const result of response.results) writeOpResult(writer, result);
}

function readResponse(reader: BinaryReader): TxnResponse {
  return {
    revision: reader.varint(),
    succeeded: reader.bool(),
    results: readList(reader, 2, () => readOpResult(reader)),
  };
}

function writeOpResult(writer: BinaryWriter, result: OpResult): void {
  writeKind(writer, OPS, result.op);
  switch (result.op) {
    case "range":
      return writeRangeResponse(writer, result);
    case "txn":
      return writeResponse(writer, result);
    case "delete":
      writer.varint(result.deleted);
      return writeKeyValues(writer, result.prevKvs);
    case "put":
      return writeKeyValues(writer, result.prev === undefined ? [] : [result.prev]);
  }
}

function readOpResult(reader: BinaryReader): OpResult {
  const op = readKind(reader, OPS, "operation");
  switch (op) {
    case "range":
      return { op, ...readRangeResponse(reader) };
    case "txn":
      return { op, ...readResponse(reader) };
    case "delete":
      return { op, deleted: reader.varint(), prevKvs: readKeyValues(reader) };
    case "put": {
      const prev = readKeyValues(reader)[0];
      return prev === undefined ? { op } : { op, prev };
    }
  }
}

export function writeRangeResponse(writer: BinaryWriter, response: RangeResponse): void {
  writer.varint(response.revision).bool(response.more).varint(response.count);
  writeKeyValues(writer, response.kvs);
}

export function readRangeResponse(reader: BinaryReader): RangeResponse {
  const revision = reader.varint();
  const more = reader.bool();
  const count = reader.varint();
  return { revision, kvs: readKeyValues(reader), more, count };
}

function writeKeyValues(writer: BinaryWriter, kvs: readonly KeyValue[]): void {
  writer.varint(kvs.length);
  for (const kv of kvs) {
    writer.bytes(kv.key).bytes(kv.value).varint(kv.createRevision);
    writer.varint(kv.modRevision).varint(kv.version).varint(kv.lease);
  }
}

function readKeyValues(reader: BinaryReader): KeyValue[] {
  return readList(reader, KV_BYTES_MIN, () => ({
    key: reader.bytes(),
    value: reader.bytes(),
    createRevision: reader.varint(),
    modRevision: reader.varint(),
    version: reader.varint(),
    lease: reader.varint(),
  }));
}
