/**
 * gRPC's frames: one byte that says whether the message is compressed, four for its length, the message.
 *
 * Invariants.
 * - A message's bytes are gathered once, when its last one is there, however many pieces it came in.
 * - A length above the limit is refused before anything of the message is kept.
 *
 * @module
 */
import { GrpcError, Status } from "./status.ts";

const HEADER_BYTES = 5;

export function frame(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + message.length);
  new DataView(bytes.buffer).setUint32(1, message.length);
  bytes.set(message, HEADER_BYTES);
  return bytes;
}

export class FrameReader {
  readonly #bytesMax: number;
  #pieces: Uint8Array[] = [];
  #gathered = 0;
  /** Bytes of the message that is on its way; undefined while its header is incomplete. */
  #wanted: number | undefined;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Whether a message has begun that is not complete. */
  get isMidway(): boolean {
    return this.#gathered > 0 || this.#wanted !== undefined;
  }

  /** Takes what came and returns the messages that it completes. Throws GrpcError on what is no frame. */
  push(piece: Uint8Array): readonly Uint8Array[] {
    this.#pieces.push(piece);
    this.#gathered += piece.length;
    const messages: Uint8Array[] = [];
    for (;;) {
      if (this.#wanted === undefined) {
        if (this.#gathered < HEADER_BYTES) return messages;
        this.#wanted = this.#readHeader(this.#take(HEADER_BYTES));
      }
      if (this.#gathered < this.#wanted) return messages;
      messages.push(this.#take(this.#wanted));
      this.#wanted = undefined;
    }
  }

  #readHeader(header: Uint8Array): number {
    if (header[0] !== 0) {
      throw new GrpcError(Status.unimplemented, "the answer is compressed, which was not asked for", "no-answer");
    }
    const length = new DataView(header.buffer, header.byteOffset).getUint32(1);
    if (length > this.#bytesMax) {
      const message = `the answer has ${length} bytes, more than the ${this.#bytesMax} that are taken`;
      throw new GrpcError(Status.resourceExhausted, message, "no-answer");
    }
    return length;
  }

  #take(length: number): Uint8Array {
    const first = this.#pieces[0];
    this.#gathered -= length;
    if (first !== undefined && first.length >= length) {
      if (first.length === length) this.#pieces.shift();
      else this.#pieces[0] = first.subarray(length);
      return first.subarray(0, length);
    }
    return this.#join(length);
  }

  #join(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let filled = 0;
    let used = 0;
    for (const piece of this.#pieces) {
      const part = piece.subarray(0, length - filled);
      bytes.set(part, filled);
      filled += part.length;
      if (part.length < piece.length) {
        this.#pieces[used] = piece.subarray(part.length);
        break;
      }
      used++;
    }
    this.#pieces.splice(0, used);
    return bytes;
  }
}
