/**
 * Sockets that systemd opened for this daemon: sd_listen_fds(3).
 *
 *   LISTEN_PID=4711  LISTEN_FDS=2  LISTEN_FDNAMES=flt.socket:flt.socket     descriptors 3 and 4
 *
 * Problem. Bun has no call for any of this, and what inherits a listening socket by accident keeps it open for ever.
 * Idea. They are taken once, at the start: variables removed, descriptors closed for children, each asked what it listens on.
 *
 * Invariants.
 * - Variables for another process are not ours, and no child sees them or the descriptors. (Bun.spawn without `env` hands on what
 *   this process began with, whatever was deleted: children are given theirs.)
 * - What does not listen for streams is named and left alone, never accepted on.
 *
 * @module
 */
import { ptr } from "bun:ffi";
import { libc } from "./libc.ts";

/** SD_LISTEN_FDS_START. */
const FIRST_FD = 3;
const FDS_MAX = 128;

const F_SETFD = 2;
const FD_CLOEXEC = 1;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_ACCEPTCONN = 30;
const SOCK_STREAM = 1;
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
/** sizeof(struct sockaddr_storage). */
const ADDRESS_MAX_BYTES = 128;

export interface InheritedSocket {
  readonly fd: number;
  /** As listen_api would name it: unix:///run/flt.sock, http://127.0.0.1:8080. */
  readonly endpoint: string;
}

export interface InheritedSockets {
  readonly sockets: readonly InheritedSocket[];
  /** One sentence for each descriptor that cannot be used. */
  readonly warnings: readonly string[];
}

/** @param environment The process's own: LISTEN_* are removed from it. */
export function takeInheritedSockets(environment: Record<string, string | undefined>, pid: number): InheritedSockets {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES = "" } = environment;
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete environment[name];
  const count = Number(LISTEN_FDS ?? 0);
  if (Number(LISTEN_PID) !== pid || !Number.isInteger(count) || count < 1) return { sockets: [], warnings: [] };
  const names = LISTEN_FDNAMES.split(":");
  const sockets: InheritedSocket[] = [];
  const warnings: string[] = [];
  for (let index = 0; index < Math.min(count, FDS_MAX); index++) {
    const fd = FIRST_FD + index;
    libc().fcntl(fd, F_SETFD, FD_CLOEXEC);
    const endpoint = endpointOf(fd);
    if (endpoint !== null) sockets.push({ fd, endpoint });
    else {
      const name = names[index] || `descriptor ${fd}`;
      warnings.push(`Cannot serve the API on "${name}" from systemd: it is no listening stream socket with an address`);
    }
  }
  return { sockets, warnings };
}

function endpointOf(fd: number): string | null {
  if (socketOption(fd, SO_TYPE) !== SOCK_STREAM || socketOption(fd, SO_ACCEPTCONN) !== 1) return null;
  const address = Buffer.alloc(ADDRESS_MAX_BYTES);
  const length = new Uint32Array([ADDRESS_MAX_BYTES]);
  if (libc().getsockname(fd, ptr(address), ptr(length)) !== 0) return null;
  return endpointOfAddress(address.subarray(0, length[0] ?? 0));
}

function socketOption(fd: number, name: number): number {
  const value = new Int32Array(1);
  const length = new Uint32Array([value.byteLength]);
  const failed = libc().getsockopt(fd, SOL_SOCKET, name, ptr(value), ptr(length)) !== 0;
  return failed ? -1 : (value[0] ?? -1);
}

/** struct sockaddr_un, sockaddr_in, sockaddr_in6: unix(7), ip(7), ipv6(7). null for what has no place in listen_api. */
export function endpointOfAddress(address: Buffer): string | null {
  const family = address.length < 2 ? 0 : address.readUInt16LE(0);
  if (family === AF_UNIX) {
    const path = address.subarray(2);
    const end = path.indexOf(0);
    const text = path.subarray(0, end === -1 ? path.length : end).toString();
    return text.startsWith("/") ? `unix://${text}` : null;
  }
  if (family === AF_INET) return `http://${[...address.subarray(4, 8)].join(".")}:${address.readUInt16BE(2)}`;
  if (family !== AF_INET6) return null;
  const groups = Array.from({ length: 8 }, (_, index) => address.readUInt16BE(8 + 2 * index).toString(16));
  return `http://${new URL(`http://[${groups.join(":")}]/`).hostname}:${address.readUInt16BE(2)}`;
}
