/**
 * UnixDatagram: messages to a unix datagram socket, as systemd's own sockets for notifications and the journal are.
 *
 * Idea. Neither Bun nor node:dgram opens unix datagram sockets, so libc does it, through bun:ffi, in some 30 microseconds.
 *
 * Invariants.
 * - The socket is opened once and closes with the process (SOCK_CLOEXEC: children never inherit it).
 * - A message that cannot be sent is reported to the caller, within the time that it gave.
 *
 * @module
 */
import { ptr } from "bun:ffi";
import { libc } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
const MSG_NOSIGNAL = 0x4000;
const SOL_SOCKET = 1;
const SO_SNDTIMEO = 21;
/** sizeof(sockaddr_un.sun_path), unix(7). */
const LONGEST_PATH_BYTES = 108;

export interface UnixDatagramOptions {
  /** A leading "@" stands for the abstract namespace. */
  readonly path: string;
  /** How long a send may wait for a receiver that is slow; undefined: as long as it takes. */
  readonly patienceMs?: number;
}

export class UnixDatagram {
  readonly #fd: number;
  readonly #address: Uint8Array;

  constructor({ path, patienceMs }: UnixDatagramOptions) {
    this.#address = unixAddress(path);
    this.#fd = libc().socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (this.#fd < 0) throw new Error(`Opening a datagram socket for "${path}" failed`);
    if (patienceMs === undefined) return;
    // struct timeval: seconds, microseconds.
    const timeval = new BigInt64Array([BigInt(Math.floor(patienceMs / 1000)), BigInt((patienceMs % 1000) * 1000)]);
    libc().setsockopt(this.#fd, SOL_SOCKET, SO_SNDTIMEO, ptr(timeval), timeval.byteLength);
  }

  /** False: it did not go out. */
  send(message: Uint8Array): boolean {
    const { length } = this.#address;
    const sent = libc().sendto(this.#fd, ptr(message), message.length, MSG_NOSIGNAL, ptr(this.#address), length);
    return Number(sent) === message.length;
  }
}

/** struct sockaddr_un: family, then the path; a leading "@" stands for the abstract namespace's NUL. */
function unixAddress(path: string): Uint8Array {
  const bytes = Buffer.from(path);
  if (bytes.length > LONGEST_PATH_BYTES) throw new Error(`Using the socket "${path}" failed: the path is too long`);
  if (bytes[0] === 0x40) bytes[0] = 0;
  const address = Buffer.alloc(2 + bytes.length);
  address.writeUInt16LE(AF_UNIX, 0);
  bytes.copy(address, 2);
  return address;
}
