/**
 * SystemdScope: whose systemd units run in, the host's or one user's, and where that one is found.
 *
 * Idea. A user's manager speaks the same D-Bus interface at other addresses, links units below another directory, and its tools
 * take `--user`. Nothing else in this room knows that there are two kinds.
 *
 * @module
 */
import type { BusKind } from "./bus.ts";

export interface SystemdScope {
  readonly sockets: Readonly<Record<BusKind, string>>;
  /** Where LinkUnitFiles(runtime=true) puts its links (systemd.unit(5)). */
  readonly runtimeUnits: string;
  /** What systemctl and journalctl are told, and need to know. */
  readonly toolFlags: readonly string[];
  readonly toolEnvironment: Readonly<Record<string, string>>;
}

export const HOST_SCOPE: SystemdScope = {
  sockets: { system: "/run/dbus/system_bus_socket", private: "/run/systemd/private" },
  runtimeUnits: "/run/systemd/system",
  toolFlags: [],
  toolEnvironment: {},
};

/** @param runtimeDirectory The user's XDG_RUNTIME_DIR: whoever may enter it is that user (or root). */
export function userScope(runtimeDirectory: string): SystemdScope {
  return {
    sockets: { system: `${runtimeDirectory}/bus`, private: `${runtimeDirectory}/systemd/private` },
    runtimeUnits: `${runtimeDirectory}/systemd/user`,
    toolFlags: ["--user"],
    toolEnvironment: { XDG_RUNTIME_DIR: runtimeDirectory },
  };
}
