/**
 * Bytes in and out for hand-written formats: a writer that grows and a reader that never reads past its end.
 *
 * Idea. Few primitives: a byte, a fixed 32-bit number, an unsigned LEB128 number up to 2^53-1, bytes and text with
 * their length before them. A format is then a list of calls that reads the same in both directions.
 *
 * Invariants.
 * - Whatever the input, the reader answers with a value or throws {@link CodecError}; it allocates no more than the input.
 * - A number has one encoding: padded or oversized ones are refused, so equal values have equal bytes.
 *
 * Not here. Formats themselves (store/codec.ts, store/snapshot.ts).
 *
 * @module
 */

/** Thrown when bytes are not what the format says: torn, foreign, or from a newer version. */
export class CodecError extends Error {
  readonly code = "codec";
  constructor(message: string) {
    super(message);
    this.name = "CodecError";
  }
}

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true });
/** 2^53-1 needs eight groups of seven bits. */
const VARINT_BYTES_MAX = 8;

export class BinaryWriter {
  #buffer: Uint8Array;
  #length = 0;

  constructor(capacityBytes = 256) {
    this.#buffer = new Uint8Array(capacityBytes);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
    return this;
  }

  bool(value: boolean): this {
    return this.u8(value ? 1 : 0);
  }

  u32(value: number): this {
    this.#reserve(4);
    for (let shift = 24; shift >= 0; shift -= 8) this.#buffer[this.#length++] = (value >>> shift) & 0xff;
    return this;
  }

  /** A number from 0 to 2^53-1, in one to eight bytes. */
  varint(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new CodecError(`Encoding failed: ${value} is not a number between 0 and 2^53-1`);
    }
    this.#reserve(VARINT_BYTES_MAX);
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#buffer[this.#length++] = rest;
    return this;
  }

  /** Bytes as they are, without a length. */
  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  bytes(bytes: Uint8Array): this {
    return this.varint(bytes.length).raw(bytes);
  }

  text(text: string): this {
    return this.bytes(encoder.encode(text));
  }

  /** What was written, in memory of its own. */
  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
    grown.set(this.#buffer);
    this.#buffer = grown;
  }
}

export class BinaryReader {
  readonly #buffer: Uint8Array;
  #at = 0;

  constructor(buffer: Uint8Array) {
    this.#buffer = buffer;
  }

  get remaining(): number {
    return this.#buffer.length - this.#at;
  }

  u8(): number {
    return this.#buffer[this.#take(1)] as number;
  }

  bool(): boolean {
    const value = this.u8();
    if (value > 1) throw new CodecError(`Decoding failed: ${value} is neither true nor false`);
    return value === 1;
  }

  u32(): number {
    return this.u8() * 0x1000000 + this.u8() * 0x10000 + this.u8() * 0x100 + this.u8();
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && i > 0) throw new CodecError("Decoding failed: a number is padded");
        if (!Number.isSafeInteger(value)) break;
        return value;
      }
      scale *= 0x80;
    }
    throw new CodecError("Decoding failed: a number is larger than 2^53-1");
  }

  /** A view into the input: copy it to keep it longer than the input. */
  bytes(): Uint8Array {
    const length = this.varint();
    const start = this.#take(length);
    return this.#buffer.subarray(start, start + length);
  }

  text(): string {
    try {
      return strictDecoder.decode(this.bytes());
    } catch (error) {
      if (error instanceof CodecError) throw error;
      throw new CodecError("Decoding failed: a text is not UTF-8");
    }
  }

  /** How many items follow, each of at least `itemBytesMin` bytes: a count that cannot fit is refused before any loop. */
  count(itemBytesMin = 1): number {
    const count = this.varint();
    if (count * itemBytesMin > this.remaining) {
      throw new CodecError(`Decoding failed: ${count} items do not fit in ${this.remaining} bytes`);
    }
    return count;
  }

  /** The end of the value must be the end of the bytes. */
  end(): void {
    if (this.remaining > 0) throw new CodecError(`Decoding failed: ${this.remaining} bytes are left over`);
  }

  #take(length: number): number {
    const start = this.#at;
    if (length > this.#buffer.length - start) {
      throw new CodecError(`Decoding failed: ${length} bytes wanted, ${this.#buffer.length - start} left`);
    }
    this.#at = start + length;
    return start;
  }
}
