/**
 * sd_notify(3): tells systemd that the daemon is ready, alive, stopping.
 *
 * Idea. One datagram to the socket that NOTIFY_SOCKET names.
 *
 * Invariants.
 * - A message that cannot be sent is reported to the caller; a daemon that cannot notify is killed by its watchdog, rightly.
 *
 * @module
 */
import { monotonicMicroseconds } from "./libc.ts";
import { UnixDatagram } from "./unix-datagram.ts";

export interface Notifier {
  /** Sends lines such as "READY=1"; false when the datagram did not go out. */
  notify(state: string): boolean;
}

/** For a daemon that systemd did not start. */
export const NO_NOTIFIER: Notifier = { notify: () => true };

export function createNotifier(socketPath: string | undefined): Notifier {
  if (socketPath === undefined || socketPath === "") return NO_NOTIFIER;
  const socket = new UnixDatagram({ path: socketPath });
  return { notify: (state) => socket.send(Buffer.from(state)) };
}

/** What is sent before the configuration is read anew; READY=1 ends it. systemd compares the time with that of its own order. */
export function reloadingState(): string {
  return `RELOADING=1\nMONOTONIC_USEC=${monotonicMicroseconds()}`;
}
