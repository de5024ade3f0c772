/**
 * Frames of the call protocol between daemons: bytes to frames and back.
 *
 *   connection = "FLT1CALL" frame*          (the 8 bytes tell the listener that this is not raft's stream)
 *   frame      = length u32 | type u8 | call id u32 | payload      length counts type, id and payload; big-endian
 *
 *   caller -> daemon   hello {cluster, version} once, then unary | stream {method, body}, cancel, credit {bytes}
 *   daemon -> caller   answer {body} | refusal {code, message} | chunk {bytes}… end
 *
 * Invariants.
 * - A frame longer than MAX_FRAME_BYTES ends the connection before a byte of it is kept: a peer cannot make us allocate.
 *
 * Not here. Calls and their fates (calls-client.ts, calls-server.ts).
 *
 * @module
 */

import { shortened } from "../lib/text.ts";

export const CALL_MAGIC = "FLT1CALL";
export const RAFT_MAGIC = "FLT1RAFT";
export const MAGIC_BYTES = 8;
/** A later protocol raises it; both sides refuse what they do not know. */
export const CALL_VERSION = 1;

/** Above the store's largest request (1.5 MiB) and a transaction's largest answer. */
export const MAX_FRAME_BYTES = 16 * 1024 * 1024;
/** Bytes of a stream that may be under way without the reader having taken them. */
export const STREAM_WINDOW_BYTES = 256 * 1024;

/** Our own refusals are a sentence, at most with a list of words to choose from. */
const REASON_MAX_CHARACTERS = 500;

const HEADER_BYTES = 9;
const TYPES = ["hello", "unary", "stream", "answer", "refusal", "chunk", "end", "cancel", "credit"] as const;
export type FrameType = (typeof TYPES)[number];

export interface Frame {
  readonly type: FrameType;
  readonly id: number;
  readonly payload: Uint8Array;
}

/** The other side broke the protocol: the connection ends. */
export class FrameError extends Error {
  readonly code = "bad-frame";
}

const NOTHING = new Uint8Array(0);

export function encodeFrame(type: FrameType, id: number, payload: Uint8Array = NOTHING): Uint8Array {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  frame.writeUInt32BE(HEADER_BYTES - 4 + payload.length, 0);
  frame.writeUInt8(TYPES.indexOf(type), 4);
  frame.writeUInt32BE(id, 5);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

export function encodeRequest(method: string, body: Uint8Array): Uint8Array {
  const name = Buffer.from(method);
  const payload = Buffer.allocUnsafe(1 + name.length + body.length);
  payload.writeUInt8(name.length, 0);
  payload.set(name, 1);
  payload.set(body, 1 + name.length);
  return payload;
}

export function decodeRequest(payload: Uint8Array): { readonly method: string; readonly body: Uint8Array } {
  const length = payload[0] ?? 0;
  if (length === 0 || payload.length < 1 + length) throw new FrameError("A request names no method");
  return { method: Buffer.from(payload.subarray(1, 1 + length)).toString(), body: payload.slice(1 + length) };
}

export function encodeNumber(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value, 0);
  return bytes;
}

export function decodeNumber(payload: Uint8Array): number {
  if (payload.length !== 4) throw new FrameError("A credit is not four bytes");
  return Buffer.from(payload.buffer, payload.byteOffset, 4).readUInt32BE(0);
}

/** Small structured payloads (hello, refusal) are JSON objects of strings; anything else is refused. */
export function encodeFields(fields: Readonly<Record<string, string>>): Uint8Array {
  return Buffer.from(JSON.stringify(fields));
}

export function decodeFields(payload: Uint8Array): Readonly<Record<string, string>> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(payload).toString());
  } catch (error) {
    throw new FrameError("A payload is not JSON", { cause: error });
  }
  if (typeof value !== "object" || value === null) throw new FrameError("A payload is not an object");
  const fields: Record<string, string> = {};
  for (const [name, field] of Object.entries(value)) {
    if (typeof field === "string") fields[name] = field;
  }
  return fields;
}

export interface Refusal {
  readonly code?: string;
  readonly message?: string;
}

/** For a log line, or a terminal: whatever a stranger wrote, it stays one short line. */
export function decodeRefusal(payload: Uint8Array): Refusal {
  const { code, message } = decodeFields(payload);
  return {
    ...(code !== undefined && { code: oneShortLine(code) }),
    ...(message !== undefined && { message: oneShortLine(message) }),
  };
}

export function oneShortLine(text: string): string {
  return shortened(text, REASON_MAX_CHARACTERS).replace(/[\p{Cc}\p{Cf}]/gu, " ");
}

/** What is kept of a frame that is not whole grows by doubling from here, and shrinks to nothing with its end. */
const BUFFER_BYTES_MIN = 4096;

/**
 * Cuts a byte stream into frames, whatever pieces the socket delivers.
 *
 * What is left of a piece is copied once into a buffer that grows by doubling: a frame that comes byte by byte costs in
 * proportion to its length.
 */
export class FrameReader {
  /** The longest frame that is believed; whoever learns more about the other side may change it between frames. */
  limit: number;
  #buffer: Buffer = Buffer.alloc(0);
  #held = 0;

  constructor(limit = MAX_FRAME_BYTES) {
    this.limit = limit;
  }

  /** @throws FrameError on a length or type that no peer of ours sends. */
  *push(chunk: Uint8Array): Generator<Frame> {
    const bytes = this.#join(chunk);
    let at = 0;
    while (bytes.length - at >= HEADER_BYTES) {
      const length = bytes.readUInt32BE(at);
      if (length < HEADER_BYTES - 4 || length > this.limit) throw new FrameError(`A frame claims ${length} bytes`);
      const type = TYPES[bytes.readUInt8(at + 4)];
      if (type === undefined) throw new FrameError(`A frame has the unknown type ${bytes.readUInt8(at + 4)}`);
      const end = at + 4 + length;
      if (bytes.length < end) break;
      yield { type, id: bytes.readUInt32BE(at + 5), payload: new Uint8Array(bytes.subarray(at + HEADER_BYTES, end)) };
      at = end;
    }
    this.#keep(bytes, at);
  }

  /** Everything that is here, in one piece. */
  #join(chunk: Uint8Array): Buffer {
    if (this.#held === 0) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#append(chunk);
    return this.#buffer.subarray(0, this.#held);
  }

  #keep(bytes: Buffer, from: number): void {
    if (this.#held > 0 && from === 0) return;
    const rest = bytes.subarray(from);
    this.#held = 0;
    if (rest.length === 0) this.#buffer = Buffer.alloc(0);
    else this.#append(rest);
  }

  #append(bytes: Uint8Array): void {
    const needed = this.#held + bytes.length;
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.#buffer.length, BUFFER_BYTES_MIN));
      this.#buffer.copy(grown, 0, 0, this.#held);
      this.#buffer = grown;
    }
    this.#buffer.set(bytes, this.#held);
    this.#held = needed;
  }
}
