/**
 * What to do when the host's systemd, or the user's own, cannot be reached or has no place for unit files.
 *
 * Idea. A user who is not logged in (su and sudo are no logins to systemd) has neither a systemd nor a runtime directory: "permission denied" for
 * a folder below /run/user says nothing of that.
 *
 * @module
 */

import { UnitManagerError } from "../agent/index.ts";
import type { SystemdScope } from "../agent/systemd/index.ts";

export function adviceOnSystemd(error: unknown, unitsDirectory: string, scope: SystemdScope): string {
  const runtime = scope.toolEnvironment.XDG_RUNTIME_DIR;
  const isDirectory = error instanceof UnitManagerError && error.code === "directory";
  if (isDirectory && (runtime === undefined || !unitsDirectory.startsWith(`${runtime}/`))) {
    return "set units_directory to a folder that can be written";
  }
  if (runtime === undefined) return "is dbus running on this host?";
  const isThere = isDirectory ? "" : ", and its D-Bus with the package dbus-user-session";
  return (
    `a user's systemd and ${runtime} come with a login (not with su or sudo)${isThere}. Log in as that user, or let root run ` +
    "`loginctl enable-linger USER` and set XDG_RUNTIME_DIR=/run/user/UID"
  );
}
