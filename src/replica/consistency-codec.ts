/**
 * What members say to each other about their digests, as values and as bytes.
 *
 *   kv.digest   { index }                   ─▶ a reading: the digest there, or why there is none
 *   kv.verdict  { index, reading a member } ─▶ nothing: each draws its own conclusion (verdict.ts)
 *   kv.state    { index }                   ─▶ a snapshot of that index or a later one
 *
 * Invariants.
 * - Digests of different formats are never compared: a reading of another one is "unknown".
 *
 * @module
 */
import type { LogIndex, NodeId } from "#raft";
import { BinaryReader, BinaryWriter, CodecError } from "../lib/binary.ts";
import { refuseNewer } from "../lib/format.ts";
import { DIGEST_FORMAT, type Digest } from "../store/digest.ts";

export const DIGEST_METHOD = "kv.digest";
export const VERDICT_METHOD = "kv.verdict";
export const STATE_METHOD = "kv.state";

export type Reading =
  | { readonly kind: "digest"; readonly digest: Digest }
  /** It cannot say: not yet there, too long ago, another release, out of reach. */
  | { readonly kind: "unknown" }
  /** It knows that its state is wrong. */
  | { readonly kind: "distrusted" };

export const UNKNOWN: Reading = { kind: "unknown" };
export const DISTRUSTED: Reading = { kind: "distrusted" };

/** What all members had at one index of the log. */
export interface Report {
  readonly index: LogIndex;
  readonly readings: ReadonlyMap<NodeId, Reading>;
}

const VERSION = 1;
const KINDS: readonly Reading["kind"][] = ["digest", "unknown", "distrusted"];

export function encodeQuestion(index: LogIndex, timeoutMs: number): Uint8Array {
  return begin()
    .varint(index)
    .varint(Math.max(0, Math.floor(timeoutMs)))
    .finish();
}

export function decodeQuestion(bytes: Uint8Array): { readonly index: LogIndex; readonly timeoutMs: number } {
  const { reader } = open(bytes);
  const question = { index: reader.varint(), timeoutMs: reader.varint() };
  reader.end();
  return question;
}

export function encodeReading(reading: Reading): Uint8Array {
  return writeReading(begin(), reading).finish();
}

export function decodeReading(bytes: Uint8Array): Reading {
  const { reader, isComparable } = open(bytes);
  const reading = readReading(reader, isComparable);
  reader.end();
  return reading;
}

export function encodeReport({ index, readings }: Report): Uint8Array {
  const writer = begin().varint(index).varint(readings.size);
  for (const [member, reading] of readings) writeReading(writer.varint(member), reading);
  return writer.finish();
}

export function decodeReport(bytes: Uint8Array): Report {
  const { reader, isComparable } = open(bytes);
  const index = reader.varint();
  const readings = new Map<NodeId, Reading>();
  for (let left = reader.count(2); left > 0; left--) readings.set(reader.varint(), readReading(reader, isComparable));
  reader.end();
  return { index, readings };
}

function begin(): BinaryWriter {
  return new BinaryWriter().u8(VERSION).varint(DIGEST_FORMAT);
}

function open(bytes: Uint8Array): { readonly reader: BinaryReader; readonly isComparable: boolean } {
  const reader = new BinaryReader(bytes);
  const version = reader.u8();
  refuseNewer("what another member says of its data", version, VERSION);
  if (version !== VERSION) throw new CodecError(`Decoding failed: there is no format ${version}`);
  return { reader, isComparable: reader.varint() === DIGEST_FORMAT };
}

function writeReading(writer: BinaryWriter, reading: Reading): BinaryWriter {
  writer.u8(KINDS.indexOf(reading.kind));
  return reading.kind === "digest" ? writer.u32(reading.digest.high).u32(reading.digest.low) : writer;
}

function readReading(reader: BinaryReader, isComparable: boolean): Reading {
  const kind = KINDS[reader.u8()];
  if (kind === undefined) throw new CodecError("Decoding failed: the kind of a reading is unknown");
  if (kind !== "digest") return { kind };
  const digest = { high: reader.u32(), low: reader.u32() };
  return isComparable ? { kind, digest } : UNKNOWN;
}
