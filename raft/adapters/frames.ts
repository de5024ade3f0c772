/**
 * Frames between raft nodes: what a TCP stream is cut into.
 *
 *     frame   length u32 (of all that follows), type u8, payload
 *     hello   version u8, purpose u8, from, to, cluster (length, UTF-8)
 *     welcome on a snapshot's connection, where there is one: the prefix (index, term, chunks, digest)
 *     resume  chunks that are left out, those of the prefix; before begin
 *     begin   term, snapshot's meta as in the codec
 *     end     digest of all chunks
 *
 * Idea. A reader that is fed whatever the socket brings and gives back whole frames. A length is believed only up to a cap.
 *
 * Invariants.
 * - A connection's memory is bounded by one frame of the largest size and one read of the socket.
 *
 * @module
 */
import { ByteReader, ByteWriter, CodecError } from "../driver/bytes.ts";
import { readSnapshotMeta, writeSnapshotMeta } from "../driver/codec.ts";
import type { SnapshotPrefix } from "../driver/ports.ts";
import type { NodeId, SnapshotMeta, Term } from "../types.ts";

/** The first bytes of each connection; the listener reads them to know whom to hand it to. */
export const RAFT_MAGIC = "FLT1RAFT";
export const PROTOCOL_VERSION = 1;

/** An append is at most 1 MiB plus one entry of 2 MiB (driver/config.ts); twice that and some. */
export const FRAME_MAX_BYTES = 8 * 1024 * 1024;
/** A greeting is some three hundred bytes; nothing longer is believed from whoever was not greeted yet. */
export const HELLO_MAX_BYTES = 1024;
const LENGTH_BYTES = 4;
/** Pieces are joined until they have this much: a frame that comes byte by byte must not cost an object a byte. */
const PIECE_BYTES_MIN = 4096;
/** A reason is for one line of a log. */
const REASON_MAX_BYTES = 500;
const CLUSTER_ID_MAX_BYTES = 256;

/** Numbers on the wire are positions in this list: only append to it. */
const FRAME_TYPES = [
  "hello",
  "welcome",
  "refused",
  "message",
  /** What was sent so far has been read; on a snapshot's connection also: the receiver is still at work. */
  "ack",
  "snapshot-begin",
  "snapshot-chunk",
  "snapshot-end",
  "snapshot-done",
  "snapshot-failed",
  /** Only to a receiver that told a prefix: whoever tells one knows it. */
  "snapshot-resume",
] as const;
export type FrameType = (typeof FRAME_TYPES)[number];

export interface Frame {
  readonly type: FrameType;
  readonly payload: Uint8Array;
}

export type Purpose = "messages" | "snapshot";

export interface Hello {
  readonly version: number;
  readonly purpose: Purpose;
  readonly from: NodeId;
  readonly to: NodeId;
  readonly clusterId: string;
}

const EMPTY = new Uint8Array(0);
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Several frames as one piece of bytes, for one write. */
export function joinFrames(frames: readonly Frame[]): Uint8Array {
  let length = 0;
  for (const { payload } of frames) length += LENGTH_BYTES + 1 + payload.length;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { type, payload } of frames) {
    view.setUint32(at, 1 + payload.length);
    bytes[at + LENGTH_BYTES] = FRAME_TYPES.indexOf(type);
    bytes.set(payload, at + LENGTH_BYTES + 1);
    at += LENGTH_BYTES + 1 + payload.length;
  }
  return bytes;
}

export function frame(type: FrameType, payload: Uint8Array = EMPTY): Uint8Array {
  return joinFrames([{ type, payload }]);
}

export class FrameReader {
  /** The longest frame that is believed. */
  maxBytes: number;
  #chunks: Uint8Array[] = [];
  #length = 0;

  constructor(maxBytes = FRAME_MAX_BYTES) {
    this.maxBytes = maxBytes;
  }

  /** For tests: in how many pieces the bytes are held. */
  get pieceCount(): number {
    return this.#chunks.length;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    const last = this.#chunks.at(-1);
    if (last === undefined || last.length >= PIECE_BYTES_MIN) this.#chunks.push(chunk);
    else this.#chunks[this.#chunks.length - 1] = Buffer.concat([last, chunk]);
    this.#length += chunk.length;
  }

  /** The next whole frame; null when more bytes are needed. @throws CodecError when this is no stream of frames. */
  next(): Frame | null {
    if (this.#length < LENGTH_BYTES) return null;
    const header = this.#peek(LENGTH_BYTES);
    const length = new DataView(header.buffer, header.byteOffset).getUint32(0);
    if (length === 0 || length > this.maxBytes) throw new CodecError(`a frame claims ${length} bytes`);
    if (this.#length < LENGTH_BYTES + length) return null;
    const bytes = this.#peek(LENGTH_BYTES + length);
    this.#drop(LENGTH_BYTES + length);
    const type = FRAME_TYPES[bytes[LENGTH_BYTES] ?? 0xff];
    if (type === undefined) throw new CodecError("a frame has an unknown type");
    return { type, payload: bytes.subarray(LENGTH_BYTES + 1, LENGTH_BYTES + length) };
  }

  #peek(count: number): Uint8Array {
    const first = this.#chunks[0] ?? EMPTY;
    if (first.length >= count) return first;
    const joined = Buffer.concat(this.#chunks, this.#length);
    this.#chunks = [joined];
    return joined;
  }

  #drop(count: number): void {
    const first = this.#chunks[0] ?? EMPTY;
    this.#length -= count;
    if (first.length === count) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(count);
  }
}

export function encodeHello({ version, purpose, from, to, clusterId }: Hello): Uint8Array {
  const writer = new ByteWriter();
  writer.u8(version);
  writer.u8(purpose === "messages" ? 0 : 1);
  writer.uint(from);
  writer.uint(to);
  writer.bytes(encoder.encode(clusterId));
  return writer.finish();
}

export function decodeHello(payload: Uint8Array): Hello {
  const reader = new ByteReader(payload);
  const [version, purpose, from, to] = [reader.u8(), reader.u8(), reader.uint(), reader.uint()];
  const clusterId = reader.bytes();
  if (purpose > 1 || clusterId.length > CLUSTER_ID_MAX_BYTES) throw new CodecError("a greeting is malformed");
  return { version, purpose: purpose === 0 ? "messages" : "snapshot", from, to, clusterId: decoder.decode(clusterId) };
}

export function encodeReason(reason: string): Uint8Array {
  return encoder.encode(reason).subarray(0, REASON_MAX_BYTES);
}

/** For a log line: whatever a stranger wrote, it stays one short line. */
export function decodeReason(payload: Uint8Array): string {
  return decoder.decode(payload.subarray(0, REASON_MAX_BYTES)).replace(/[\p{Cc}\p{Cf}]/gu, " ");
}

export function encodeSnapshotBegin(meta: SnapshotMeta, term: Term): Uint8Array {
  const writer = new ByteWriter();
  writer.uint(term);
  writeSnapshotMeta(writer, meta);
  return writer.finish();
}

/** Nothing, where there is none: that is what a release without resumption sends. */
export function encodePrefix(prefix: SnapshotPrefix | null): Uint8Array {
  if (prefix === null) return EMPTY;
  const writer = new ByteWriter();
  writer.uint(prefix.index);
  writer.uint(prefix.term);
  writer.uint(prefix.chunks);
  writer.bytes(encoder.encode(prefix.digest));
  return writer.finish();
}

export function decodePrefix(payload: Uint8Array): SnapshotPrefix | null {
  if (payload.length === 0) return null;
  const reader = new ByteReader(payload);
  const [index, term, chunks] = [reader.uint(), reader.uint(), reader.uint()];
  const digest = decoder.decode(reader.bytes());
  reader.end();
  return { index, term, chunks, digest };
}

export function encodeResume(chunks: number): Uint8Array {
  const writer = new ByteWriter();
  writer.uint(chunks);
  return writer.finish();
}

export function decodeResume(payload: Uint8Array): number {
  const reader = new ByteReader(payload);
  const chunks = reader.uint();
  reader.end();
  return chunks;
}

export function encodeDigest(digest: string): Uint8Array {
  return encoder.encode(digest);
}

/** Null: the sender's release tells none. */
export function decodeDigest(payload: Uint8Array): string | null {
  return payload.length === 0 ? null : decoder.decode(payload);
}

export function decodeSnapshotBegin(payload: Uint8Array): { readonly meta: SnapshotMeta; readonly term: Term } {
  const reader = new ByteReader(payload);
  const term = reader.uint();
  const meta = readSnapshotMeta(reader);
  reader.end();
  return { meta, term };
}
