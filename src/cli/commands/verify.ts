/**
 * flt verify: gone with signed units.
 *
 * @module
 */
import { SigningError } from "../change.ts";
import type { Command } from "../command.ts";

export const verify: Command = {
  name: "verify",
  usage: "UNIT",
  summary: "Refused: signed units are gone",
  description: "Kept so that scripts get a clear answer.",
  examples: ["verify hello.service"],
  flags: [],
  isLocal: true,
  run: () => Promise.reject(new SigningError()),
};
