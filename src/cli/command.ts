/**
 * What a command is, and what it is given.
 *
 * @module
 */
import type { FleetClient } from "../client/index.ts";
import type { Flag, FlagValues } from "./flags.ts";
import type { Paint } from "./output/colour.ts";
import type { Tunnel } from "./ssh/port.ts";
import type { World } from "./world.ts";

export interface Command {
  readonly name: string;
  /** Arguments as the help shows them: "UNIT…". */
  readonly usage: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What a user should know beyond that. */
  readonly description: string;
  readonly examples: readonly string[];
  readonly flags: readonly Flag[];
  /** After its first argument every word is an argument, whatever it looks like (a command for another machine). */
  readonly takesCommand?: true;
  /** Its units may be given as paths of local files. */
  readonly takesFiles?: true;
  /** What it prints may be long: on a terminal a pager shows it, unless it is followed. */
  readonly pages?: true;
  /** It asks no daemon anything: no tunnel is opened for it. */
  readonly isLocal?: true;
  /** Returns the exit status. */
  run(context: CommandContext): Promise<number>;
}

export interface CommandContext {
  readonly args: readonly string[];
  readonly flags: FlagValues;
  readonly client: FleetClient;
  /** The way to the API, when it is one of SSH: machines are reached through it, too. */
  readonly tunnel: Tunnel | null;
  readonly world: World;
  /** Shows a line on the terminal that the next words push aside; null takes it away. Null itself: nobody would see it. */
  readonly progress: ((text: string | null) => void) | null;
  /** For stdout. */
  readonly paint: Paint;
  /** The name that the user typed: flt, fltctl, fleetctl. */
  readonly program: string;
  /** Called as fleetctl or fltctl: where fleet's exit statuses differ from systemctl's, fleet's hold. */
  readonly isFleetctl: boolean;
  /** All there are, for those that are about commands. */
  readonly commands: readonly Command[];
  /** The help text about the command that a word means; null: about all of them. */
  readonly explain: (word: string | null) => string;
}

/** A refusal of the command line itself; the message is all that the user sees. */
export class CliError extends Error {
  readonly code = "cli";
}

export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
/** systemctl's: the unit is not active. */
export const EXIT_NOT_ACTIVE = 3;
/** systemctl's, of those commands that ask for a state: there is no such unit (LSB: status unknown). */
export const EXIT_NO_SUCH_UNIT = 4;
/** systemctl's, of all others: the unit is unknown. */
export const EXIT_UNKNOWN_UNIT = 5;
/** The shell's: ended by Ctrl-C (128 + SIGINT). */
export const EXIT_INTERRUPTED = 130;

export function line(context: CommandContext, text: string): void {
  context.world.out(`${text}\n`);
}

export function note(context: CommandContext, text: string): void {
  context.world.err(`${text}\n`);
}
