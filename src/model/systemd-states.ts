/**
 * systemd's words for the state of a unit, as `systemctl --state=help` lists them.
 *
 * Idea. The lists are those of systemd 252 and what its successors up to 257 have added: hosts of one cluster may run different ones. They serve to
 * tell a mistyped word from one that no unit happens to be in, and for help; nothing is concluded from them about a unit.
 *
 * @module
 */

export const LOAD_STATES: readonly string[] = [
  ...["stub", "loaded", "not-found", "bad-setting", "error", "merged", "masked"],
];

export const ACTIVE_STATES: readonly string[] = [
  ...["active", "reloading", "inactive", "failed", "activating", "deactivating", "maintenance", "refreshing"],
];

const PROCESS_ENDS = ["stop-sigterm", "stop-sigkill"];
const MOUNT_ENDS = ["unmounting-sigterm", "unmounting-sigkill"];

/** By the type of the unit. */
export const SUB_STATES: Readonly<Record<string, readonly string[]>> = {
  automount: ["dead", "waiting", "running", "failed"],
  device: ["dead", "tentative", "plugged"],
  mount: [
    ...["dead", "mounting", "mounting-done", "mounted", "remounting", "unmounting"],
    ...["remounting-sigterm", "remounting-sigkill", ...MOUNT_ENDS, "failed", "cleaning"],
  ],
  path: ["dead", "waiting", "running", "failed"],
  scope: ["dead", "start-chown", "running", "abandoned", ...PROCESS_ENDS, "failed"],
  service: [
    ...["dead", "condition", "start-pre", "start", "start-post", "running", "exited"],
    ...["reload", "reload-signal", "reload-notify", "mounting", "stop", "stop-watchdog", ...PROCESS_ENDS, "stop-post"],
    ...["final-watchdog", "final-sigterm", "final-sigkill", "failed", "dead-before-auto-restart"],
    ...["failed-before-auto-restart", "dead-resources-pinned", "auto-restart", "auto-restart-queued", "cleaning"],
  ],
  slice: ["dead", "active"],
  socket: [
    ...["dead", "start-pre", "start-open", "start-chown", "start-post", "listening", "running"],
    ...["stop-pre", "stop-pre-sigterm", "stop-pre-sigkill", "stop-post", "final-sigterm", "final-sigkill"],
    ...["failed", "cleaning"],
  ],
  swap: [
    ...["dead", "activating", "activating-done", "active", "deactivating"],
    ...["deactivating-sigterm", "deactivating-sigkill", "failed", "cleaning"],
  ],
  target: ["dead", "active"],
  timer: ["dead", "waiting", "running", "elapsed", "failed"],
};
