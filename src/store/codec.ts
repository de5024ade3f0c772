/**
 * Commands as bytes: the format of log entries, so it outlives any one program.
 *
 * Format. A byte for the level that the command needs (lib/format.ts), a byte for the kind, the fields (request-codec.ts). A
 * program that meets a level or a kind that it does not know refuses the entry; it must not guess, since every replica has to do
 * the same. So a new kind is written under a new level, and the leader proposes it only when every member knows that one.
 *
 * Invariants.
 * - decode(encode(c)) equals c, with absent options spelled out; encode(decode(b)) equals b.
 * - Decoded keys and values are views into the bytes: the store copies what it keeps.
 *
 * @module
 */
import { BinaryReader, BinaryWriter, CodecError } from "../lib/binary.ts";
import { refuseNewer } from "../lib/format.ts";
import type { Command } from "./command.ts";
import { KvError, MAX_REQUEST_BYTES } from "./kv.ts";
import { readKind, readList, readTxn, writeKind, writeTxn } from "./request-codec.ts";

const LEVEL = 1;
const KINDS: readonly Command["kind"][] = ["txn", "lease-grant", "lease-revoke", "compact"];

/** @throws CodecError when a number in it is no safe, non-negative integer. */
export function encodeCommand(command: Command): Uint8Array {
  const writer = new BinaryWriter();
  writer.u8(LEVEL);
  writeKind(writer, KINDS, command.kind);
  switch (command.kind) {
    case "txn":
      writeTxn(writer, command.request);
      break;
    case "lease-grant":
      writer.varint(command.id).varint(command.ttlMs);
      break;
    case "lease-revoke":
      writer.varint(command.ids.length);
      for (const id of command.ids) writer.varint(id);
      break;
    case "compact":
      writer.varint(command.revision);
  }
  return writer.finish();
}

/** The same for a caller's request: @throws KvError request-too-large, invalid-request. */
export function encodeProposal(command: Command): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = encodeCommand(command);
  } catch (error) {
    if (error instanceof CodecError) throw new KvError("invalid-request", `Write failed: ${error.message}`);
    throw error;
  }
  if (bytes.length > MAX_REQUEST_BYTES) {
    const message = `Write failed: ${bytes.length} bytes are more than the ${MAX_REQUEST_BYTES} that one request may have`;
    throw new KvError("request-too-large", message);
  }
  return bytes;
}

/** The level that an encoded command needs of whoever applies it. */
export function levelOf(command: Uint8Array): number {
  return command[0] ?? 0;
}

/** @throws CodecError whenever the bytes are not exactly one command, NewerFormatError for one of a later level. */
export function decodeCommand(bytes: Uint8Array): Command {
  const reader = new BinaryReader(bytes);
  const level = reader.u8();
  refuseNewer("a command of the store's log", level, LEVEL);
  if (level !== LEVEL) throw new CodecError(`Decoding command failed: there is no format ${level}`);
  const command = readCommand(reader);
  reader.end();
  return command;
}

function readCommand(reader: BinaryReader): Command {
  const kind = readKind(reader, KINDS, "command");
  switch (kind) {
    case "txn":
      return { kind, request: readTxn(reader) };
    case "lease-grant":
      return { kind, id: reader.varint(), ttlMs: reader.varint() };
    case "lease-revoke":
      return { kind, ids: readList(reader, 1, () => reader.varint()) };
    case "compact":
      return { kind, revision: reader.varint() };
  }
}
