/**
 * flt submit: upload units without placing them.
 *
 * @module
 */
import type { Command } from "../command.ts";
import { bringUp } from "./bring-up.ts";
import { UPLOAD_FLAGS } from "./shared-flags.ts";

export const submit: Command = {
  name: "submit",
  usage: "[--replace] UNIT...",
  summary: "Upload units to the cluster without placing them",
  description: "What exists already is left as it is, with a warning when the local file differs.",
  examples: ["submit hello.service", "submit myservice/*", "submit --replace web@.service"],
  flags: UPLOAD_FLAGS,
  takesFiles: true,
  run: (context) => bringUp(context, { verb: null, state: null, doing: "submitting", replaceable: ["inactive"] }),
};
