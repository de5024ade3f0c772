/**
 * sd_notify(3): tells systemd that the daemon is ready, alive, stopping.
 *
 * Idea. One datagram to the socket that NOTIFY_SOCKET names. Neither Bun nor node:dgram opens unix datagram sockets, so
 * libc does it, through bun:ffi, in some 30 microseconds.
 *
 * Invariants.
 * - The socket is opened once and closes with the process (SOCK_CLOEXEC: children never inherit it).
 * - A message that cannot be sent is reported to the caller; a daemon that cannot notify is killed by its watchdog, rightly.
 *
 * @module
 */
import { ptr } from "bun:ffi";
import { libc, monotonicMicroseconds } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
const MSG_NOSIGNAL = 0x4000;
/** sizeof(sockaddr_un.sun_path), unix(7). */
const LONGEST_PATH_BYTES = 108;

export interface Notifier {
  /** Sends lines such as "READY=1"; false when the datagram did not go out. */
  notify(state: string): boolean;
}

/** For a daemon that systemd did not start. */
export const NO_NOTIFIER: Notifier = { notify: () => true };

export function createNotifier(socketPath: string | undefined): Notifier {
  if (socketPath === undefined || socketPath === "") return NO_NOTIFIER;
  const address = unixAddress(socketPath);
  const fd = libc().socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new Error("Opening a socket for sd_notify failed");
  return {
    notify(state) {
      const message = Buffer.from(state);
      const sent = libc().sendto(fd, ptr(message), message.length, MSG_NOSIGNAL, ptr(address), address.length);
      return Number(sent) === message.length;
    },
  };
}

/** What is sent before the configuration is read anew; READY=1 ends it. systemd compares the time with that of its own order. */
export function reloadingState(): string {
  return `RELOADING=1\nMONOTONIC_USEC=${monotonicMicroseconds()}`;
}

/** struct sockaddr_un: family, then the path; a leading "@" stands for the abstract namespace's NUL. */
function unixAddress(path: string): Uint8Array {
  const bytes = Buffer.from(path);
  if (bytes.length > LONGEST_PATH_BYTES) throw new Error(`Using NOTIFY_SOCKET "${path}" failed: the path is too long`);
  if (bytes[0] === 0x40) bytes[0] = 0;
  const address = Buffer.alloc(2 + bytes.length);
  address.writeUInt16LE(AF_UNIX, 0);
  bytes.copy(address, 2);
  return address;
}
