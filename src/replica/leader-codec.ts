/**
 * What members ask their leader, and what it answers, as values and as bytes.
 *
 * Idea. A reply says plainly what may be done next: `elsewhere` means that nothing happened and asking again, there or
 * somewhere else, is safe. Everything else is final.
 *
 * @module
 */
import type { LogIndex, NodeId } from "#raft";
import { BinaryReader, BinaryWriter, CodecError } from "../lib/binary.ts";
import { refuseNewer } from "../lib/format.ts";
import { decodeCommand } from "../store/codec.ts";
import type { CommandResult } from "../store/command.ts";
import type { KvErrorCode, Lease, LeaseId } from "../store/kv.ts";
import { decodeResult, encodeResult } from "../store/result-codec.ts";

export type LeaderRequest =
  /** An encoded command to put into the log. */
  | { readonly kind: "command"; readonly command: Uint8Array }
  | { readonly kind: "keep-alive"; readonly id: LeaseId }
  /** How long the lease has left. */
  | { readonly kind: "remaining"; readonly id: LeaseId };

export type LeaderReply =
  /** Applied at `index` of the log. */
  | { readonly kind: "applied"; readonly index: LogIndex; readonly result: CommandResult }
  | { readonly kind: "kept-alive"; readonly lease: Lease }
  | { readonly kind: "remaining"; readonly remainingMs: number }
  /** Nothing was done here. `leader` 0: it knows no better place. */
  | { readonly kind: "elsewhere"; readonly leader: NodeId; readonly reason: string }
  | { readonly kind: "failed"; readonly code: KvErrorCode; readonly message: string };

const VERSION = 1;
const COMMAND = 1;
const KEEP_ALIVE = 2;
const REMAINING = 3;
const APPLIED = 1;
const KEPT_ALIVE = 2;
const REMAINS = 3;
const ELSEWHERE = 4;
const FAILED = 5;

/** @param timeoutMs How long the asking member will wait. */
export function encodeRequest(request: LeaderRequest, timeoutMs: number): Uint8Array {
  const writer = new BinaryWriter();
  writer.u8(VERSION).varint(Math.max(0, Math.floor(timeoutMs)));
  if (request.kind === "command") return writer.u8(COMMAND).bytes(request.command).finish();
  return writer
    .u8(request.kind === "keep-alive" ? KEEP_ALIVE : REMAINING)
    .varint(request.id)
    .finish();
}

/** A command is decoded, too: one that no replica could apply must not reach the log. */
export function decodeRequest(bytes: Uint8Array): { readonly request: LeaderRequest; readonly timeoutMs: number } {
  const reader = open(bytes);
  const timeoutMs = reader.varint();
  const request = readRequest(reader);
  reader.end();
  if (request.kind === "command") decodeCommand(request.command);
  return { request, timeoutMs };
}

function readRequest(reader: BinaryReader): LeaderRequest {
  const kind = reader.u8();
  if (kind === COMMAND) return { kind: "command", command: reader.bytes().slice() };
  if (kind === KEEP_ALIVE) return { kind: "keep-alive", id: reader.varint() };
  if (kind === REMAINING) return { kind: "remaining", id: reader.varint() };
  throw new CodecError(`Decoding failed: request kind ${kind} is unknown`);
}

export function encodeReply(reply: LeaderReply): Uint8Array {
  const writer = new BinaryWriter();
  writer.u8(VERSION);
  switch (reply.kind) {
    case "applied":
      return writer.u8(APPLIED).varint(reply.index).bytes(encodeResult(reply.result)).finish();
    case "kept-alive":
      return writer.u8(KEPT_ALIVE).varint(reply.lease.id).varint(reply.lease.ttlMs).finish();
    case "remaining":
      // One more, so that -1 (the lease is gone) is a number that fits.
      return writer
        .u8(REMAINS)
        .varint(Math.floor(reply.remainingMs) + 1)
        .finish();
    case "elsewhere":
      return writer.u8(ELSEWHERE).varint(reply.leader).text(reply.reason).finish();
    case "failed":
      return writer.u8(FAILED).text(reply.code).text(reply.message).finish();
  }
}

export function decodeReply(bytes: Uint8Array): LeaderReply {
  const reader = open(bytes);
  const reply = readReply(reader);
  reader.end();
  return reply;
}

function readReply(reader: BinaryReader): LeaderReply {
  const kind = reader.u8();
  switch (kind) {
    case APPLIED:
      return { kind: "applied", index: reader.varint(), result: decodeResult(reader.bytes()) };
    case KEPT_ALIVE:
      return { kind: "kept-alive", lease: { id: reader.varint(), ttlMs: reader.varint() } };
    case REMAINS:
      return { kind: "remaining", remainingMs: reader.varint() - 1 };
    case ELSEWHERE:
      return { kind: "elsewhere", leader: reader.varint(), reason: reader.text() };
    case FAILED:
      return { kind: "failed", code: reader.text() as KvErrorCode, message: reader.text() };
    default:
      throw new CodecError(`Decoding failed: reply kind ${kind} is unknown`);
  }
}

function open(bytes: Uint8Array): BinaryReader {
  const reader = new BinaryReader(bytes);
  const version = reader.u8();
  refuseNewer("what another member says", version, VERSION);
  if (version !== VERSION) throw new CodecError(`Decoding failed: there is no format ${version}`);
  return reader;
}
