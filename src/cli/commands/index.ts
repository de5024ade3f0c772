/**
 * All commands, and how a word finds one.
 *
 * @module
 */
import { didYouMean } from "../../lib/suggest.ts";
import { CliError, type Command } from "../command.ts";
import { cat } from "./cat.ts";
import { destroy } from "./destroy.ts";
import { journal } from "./journal.ts";
import { listMachines } from "./list-machines.ts";
import { listUnitFiles } from "./list-unit-files.ts";
import { listUnits } from "./list-units.ts";
import { load } from "./load.ts";
import { restart } from "./restart.ts";
import { start } from "./start.ts";
import { status } from "./status.ts";
import { stop } from "./stop.ts";
import { submit } from "./submit.ts";
import { unload } from "./unload.ts";
import { verify } from "./verify.ts";
import { version } from "./version.ts";

/** `help` joins them in run.ts: it speaks of all the others. */
export const COMMANDS: readonly Command[] = [
  submit,
  load,
  start,
  stop,
  unload,
  restart,
  destroy,
  cat,
  listUnits,
  listUnitFiles,
  listMachines,
  status,
  journal,
  verify,
  version,
];

/** By name, or by a beginning that only one command has. */
export function findCommand(word: string, commands: readonly Command[]): Command {
  const exact = commands.find((command) => command.name === word);
  if (exact !== undefined) return exact;
  const matches = commands.filter((command) => command.name.startsWith(word));
  const [only] = matches;
  if (matches.length === 1 && only !== undefined) return only;
  const names = commands.map((command) => command.name);
  if (matches.length > 1) {
    throw new CliError(`Ambiguous command "${word}": ${matches.map((command) => command.name).join(", ")}`);
  }
  throw new CliError(`Unknown command "${word}"${didYouMean(word, names)}`);
}
