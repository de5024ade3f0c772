/**
 * Bytes in and out for the codec: growing writer, bounded reader.
 *
 * Idea. Numbers are unsigned varints up to 2^53 - 1: most are small, ids are large. The reader trusts nothing: each length
 * is checked against what is really there before a byte is copied, so that a hostile length cannot make it allocate.
 *
 * @module
 */

/** The bytes are not what they should be: torn, from another version, or hostile. */
export class CodecError extends Error {
  readonly code = "codec";
  constructor(why: string) {
    super(`Decode raft message: ${why}`);
    this.name = "CodecError";
  }
}

/** A view of a small array moves its bytes off the object heap first, which costs several times what copying them does. */
const COPIED_BYTES_MAX = 512;

/** These bytes: a view, or a copy where that is cheaper. */
export function part(bytes: Uint8Array, from: number, to: number): Uint8Array {
  return bytes.length <= COPIED_BYTES_MAX ? bytes.slice(from, to) : bytes.subarray(from, to);
}

/** Overwrites four bytes that were written as a placeholder. */
export function patchU32(bytes: Uint8Array, at: number, value: number): void {
  for (let byte = 0; byte < 4; byte++) bytes[at + byte] = (value >>> (24 - 8 * byte)) & 0xff;
}

export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity = 64) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  u32(value: number): void {
    this.#reserve(4);
    for (let shift = 24; shift >= 0; shift -= 8) this.#bytes[this.#length++] = (value >>> shift) & 0xff;
  }

  /** A safe integer from 0 up, seven bits a byte, lowest first. */
  uint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError(`Encode raft message: ${value} is no index or id`);
    this.#reserve(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
  }

  bytes(value: Uint8Array): void {
    this.uint(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** Memory that nobody else writes to: the writer is not to be used after. */
  finish(): Uint8Array {
    return part(this.#bytes, 0, this.#length);
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}

export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) throw new CodecError("it ends too early");
    this.#at += 1;
    return value;
  }

  u32(): number {
    return this.u8() * 0x1000000 + this.u8() * 0x10000 + this.u8() * 0x100 + this.u8();
  }

  uint(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (!Number.isSafeInteger(value)) throw new CodecError("a number is too large");
      if (byte < 0x80) return value;
      scale *= 0x80;
      // Eight groups of seven bits hold every safe integer; more groups could only spin on zeroes.
      if (scale > 2 ** 49) throw new CodecError("a number is too long");
    }
  }

  boolean(): boolean {
    const value = this.u8();
    if (value > 1) throw new CodecError("a yes or no is neither");
    return value === 1;
  }

  /** A copy: what is kept must not hold on to the buffer of a whole socket read. */
  bytes(): Uint8Array {
    const length = this.uint();
    if (length > this.left) throw new CodecError("it ends too early");
    this.#at += length;
    return this.#bytes.slice(this.#at - length, this.#at);
  }

  /** How many items follow, each of which takes at least `minBytes`. */
  count(minBytes: number): number {
    const count = this.uint();
    if (count * minBytes > this.left) throw new CodecError("it ends too early");
    return count;
  }

  end(): void {
    if (this.left > 0) throw new CodecError(`${this.left} bytes follow its end`);
  }
}
