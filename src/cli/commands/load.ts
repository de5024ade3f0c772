/**
 * flt load: place units and load them into systemd, without starting them.
 *
 * @module
 */
import type { Command } from "../command.ts";
import { bringUp } from "./bring-up.ts";
import { BLOCK_FLAGS, UPLOAD_FLAGS } from "./shared-flags.ts";

export const load: Command = {
  name: "load",
  usage: "[--no-block|--block-attempts=N] [--replace] UNIT...",
  summary: "Place units on machines and load them into systemd, submitting what is new",
  description: "Waits until the unit's machine has loaded it. A unit that was started is stopped.",
  examples: ["load hello.service", "load --no-block myservice/*"],
  flags: [...BLOCK_FLAGS, ...UPLOAD_FLAGS],
  takesFiles: true,
  run: (context) =>
    bringUp(context, { verb: "load", state: "loaded", doing: "loading", replaceable: ["inactive", "loaded"] }),
};
