/**
 * SignalSieve: takes systemd's signals out of the byte stream before dbus-next decodes them.
 *
 * Problem. A started unit makes systemd send 15 signals with some 100 properties. To decode them all took a daemon as much
 * time as everything else that it does for a start; three words of them matter.
 * Idea. It stands where dbus-next reads its socket, a header and then the rest of a message. Signals stay here: the four kinds
 * that somebody wants are read where they lie, all others are passed over. Everything else goes on as it came.
 *
 *   socket ──▶ SignalSieve.read() ──▶ dbus-next (answers to our calls)
 *                     └─▶ onSignal
 *
 * Invariants.
 * - Order: a signal is told before the answer that came behind it.
 * - What is not understood is passed over, never guessed.
 *
 * Format: D-Bus specification, "Message Protocol".
 *
 * @module
 */
export const MANAGER_INTERFACE = "org.freedesktop.systemd1.Manager";
export const UNIT_INTERFACE = "org.freedesktop.systemd1.Unit";
export const PROPERTIES = "org.freedesktop.DBus.Properties";
export const DBUS = "org.freedesktop.DBus";

export type SystemdSignal =
  /** A job is over. `job` is its object path. */
  | { readonly kind: "job-removed"; readonly job: string; readonly result: string }
  /** undefined: this property is not what changed. */
  | {
      readonly kind: "unit-changed";
      readonly path: string;
      readonly active: string | undefined;
      readonly sub: string | undefined;
    }
  | { readonly kind: "reloading"; readonly begins: boolean }
  /** Somebody else owns systemd's name on the bus now, or nobody. */
  | { readonly kind: "owner-changed" };

const HEADER_BYTES = 16;
const LITTLE_ENDIAN = 0x6c;
const TYPE_SIGNAL = 4;
/** Header fields, by their codes. */
const FIELD_PATH = 1;
const FIELD_INTERFACE = 2;
const FIELD_MEMBER = 3;
/** Types of header fields, by their codes. */
const UINT32 = 0x75;
const SIGNATURE = 0x67;
const STRING = 0x73;
const OBJECT_PATH = 0x6f;

export class SignalSieve {
  readonly #source: () => Buffer | null;
  readonly #onSignal: (signal: SystemdSignal) => void;
  #bytes: Buffer = Buffer.alloc(0);
  #rest: Buffer | null = null;

  /** @param source Whatever has arrived since; null: nothing. */
  constructor(source: () => Buffer | null, onSignal: (signal: SystemdSignal) => void) {
    this.#source = source;
    this.#onSignal = onSignal;
  }

  /** As a stream's read(): the 16 bytes that begin a message, at the next call what follows them; null: not there yet. */
  read(): Buffer | null {
    if (this.#rest !== null) {
      const rest = this.#rest;
      this.#rest = null;
      return rest;
    }
    for (;;) {
      const message = this.#next();
      if (message === null) return null;
      const header = message.subarray(0, HEADER_BYTES);
      if (header[1] !== TYPE_SIGNAL) {
        this.#rest = message.subarray(HEADER_BYTES);
        return header;
      }
      const signal = new SignalReader(message).signal();
      if (signal !== null) this.#onSignal(signal);
    }
  }

  /** The next whole message. */
  #next(): Buffer | null {
    for (;;) {
      const length = messageLength(this.#bytes);
      if (length <= this.#bytes.length) {
        const message = this.#bytes.subarray(0, length);
        this.#bytes = this.#bytes.subarray(length);
        return message;
      }
      const more = this.#source();
      if (more === null) return null;
      this.#bytes = this.#bytes.length === 0 ? more : Buffer.concat([this.#bytes, more]);
    }
  }
}

/** Infinite while the header is not there. */
function messageLength(bytes: Buffer): number {
  if (bytes.length < HEADER_BYTES) return Number.POSITIVE_INFINITY;
  const isLittle = bytes[0] === LITTLE_ENDIAN;
  const bodyBytes = isLittle ? bytes.readUInt32LE(4) : bytes.readUInt32BE(4);
  const fieldBytes = isLittle ? bytes.readUInt32LE(12) : bytes.readUInt32BE(12);
  return HEADER_BYTES + align(fieldBytes, 8) + bodyBytes;
}

/** Reads one signal. Bodies begin at a multiple of 8, so that positions in the message are as good as in the body. */
class SignalReader {
  readonly #bytes: Buffer;
  readonly #isLittle: boolean;
  readonly #fieldsEnd: number;
  #at = HEADER_BYTES;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#isLittle = bytes[0] === LITTLE_ENDIAN;
    this.#fieldsEnd = HEADER_BYTES + this.#uint32At(12);
  }

  /** null: nobody wants it. */
  signal(): SystemdSignal | null {
    let path = "";
    let owner = "";
    let member = "";
    while (this.#at < this.#fieldsEnd) {
      this.#at = align(this.#at, 8);
      const code = this.#bytes[this.#at];
      const type = this.#bytes[this.#at + 2];
      this.#at += 4;
      if (type === UINT32) this.#uint32();
      else if (type === SIGNATURE) this.#at += 2 + (this.#bytes[this.#at] ?? 0);
      else if (type !== STRING && type !== OBJECT_PATH) return null;
      else if (code === FIELD_PATH) path = this.#string();
      else if (code === FIELD_INTERFACE) owner = this.#string();
      else if (code === FIELD_MEMBER) member = this.#string();
      else this.#string();
    }
    this.#at = align(this.#fieldsEnd, 8);
    return this.#body(owner, member, path);
  }

  #body(owner: string, member: string, path: string): SystemdSignal | null {
    if (owner === PROPERTIES && member === "PropertiesChanged") {
      if (this.#string() !== UNIT_INTERFACE) return null;
      const [active, sub] = [this.#text(ACTIVE_STATE), this.#text(SUB_STATE)];
      return active === undefined && sub === undefined ? null : { kind: "unit-changed", path, active, sub };
    }
    if (owner === MANAGER_INTERFACE && member === "JobRemoved") {
      this.#uint32();
      const job = this.#string();
      this.#string();
      return { kind: "job-removed", job, result: this.#string() };
    }
    if (owner === MANAGER_INTERFACE && member === "Reloading") {
      return { kind: "reloading", begins: this.#uint32() !== 0 };
    }
    return owner === DBUS && member === "NameOwnerChanged" ? { kind: "owner-changed" } : null;
  }

  /** The value of a property that is a string, from here on; undefined: it is not among those that changed. */
  #text(name: Buffer): string | undefined {
    const found = this.#bytes.indexOf(name, this.#at);
    if (found < 0) return undefined;
    const before = this.#at;
    this.#at = found + name.length;
    const text = this.#string();
    this.#at = before;
    return text;
  }

  #uint32(): number {
    this.#at = align(this.#at, 4) + 4;
    return this.#uint32At(this.#at - 4);
  }

  #uint32At(at: number): number {
    return this.#isLittle ? this.#bytes.readUInt32LE(at) : this.#bytes.readUInt32BE(at);
  }

  #string(): string {
    const length = this.#uint32();
    const text = this.#bytes.toString("utf8", this.#at, this.#at + length);
    this.#at += length + 1;
    return text;
  }
}

/** How a property's name and the signature of its value lie in a message. No text can look like it: none may hold a NUL. */
function stringProperty(name: string): Buffer {
  return Buffer.from(`${name}\0\u0001s\0`);
}
const ACTIVE_STATE = stringProperty("ActiveState");
const SUB_STATE = stringProperty("SubState");

function align(at: number, to: number): number {
  return Math.ceil(at / to) * to;
}
