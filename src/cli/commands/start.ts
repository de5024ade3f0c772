/**
 * flt start: run units, wherever they fit.
 *
 * @module
 */
import type { Command } from "../command.ts";
import { bringUp } from "./bring-up.ts";
import { BLOCK_FLAGS, UPLOAD_FLAGS } from "./shared-flags.ts";

export const start: Command = {
  name: "start",
  usage: "[--no-block|--block-attempts=N] [--replace] UNIT...",
  summary: "Start units, submitting and loading them first where necessary",
  description:
    "Waits until systemd on the unit's machine has started it. While no machine fits, says why for each of them. " +
    "Global units are started on every machine that fits and are not waited for.",
  examples: ["start hello.service", "start --no-block myservice/*", "start web@1 web@2 web@3"],
  flags: [...BLOCK_FLAGS, ...UPLOAD_FLAGS],
  takesFiles: true,
  run: (context) =>
    bringUp(context, {
      verb: "start",
      state: "launched",
      doing: "starting",
      replaceable: ["inactive", "loaded", "launched"],
    }),
};
