/**
 * flt version: the version of this executable.
 *
 * @module
 */
import { VERSION } from "../../lib/version.ts";
import { type Command, EXIT_OK, line } from "../command.ts";

export const version: Command = {
  name: "version",
  usage: "",
  summary: "Print the version",
  description: "The same as --version.",
  examples: ["version"],
  flags: [],
  isLocal: true,
  run(context) {
    line(context, `${context.program} version ${VERSION}`);
    return Promise.resolve(EXIT_OK);
  },
};
