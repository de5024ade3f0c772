/**
 * One invocation of the client: words in, exit status out.
 *
 * @module
 */
import { ClientError, parseEndpoint } from "../client/index.ts";
import { VERSION } from "../lib/version.ts";
import { SigningError } from "./change.ts";
import { CliError, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE } from "./command.ts";
import { COMMANDS } from "./commands/index.ts";
import { FlagValues, type SplitArguments, splitArguments, UsageError } from "./flags.ts";
import { GLOBAL_FLAGS } from "./global-flags.ts";
import { Grammar } from "./grammar.ts";
import { paintFor } from "./output/colour.ts";
import { openDisplay } from "./output/display.ts";
import { completeFlags, makeClient } from "./reach.ts";
import { openTunnel, throughTunnel } from "./ssh/open-tunnel.ts";
import type { World } from "./world.ts";

export async function run(argv: readonly string[], program: string, world: World): Promise<number> {
  try {
    return await dispatch(argv, program, world);
  } catch (error) {
    return explain(error, program, world);
  }
}

async function dispatch(argv: readonly string[], program: string, world: World): Promise<number> {
  const grammar = new Grammar(program, COMMANDS);
  const isFleetctl = program === "fleetctl" || program === "fltctl";
  const { given, words } = readWords(grammar, argv, isFleetctl);
  const ownFlags = [...given.keys()];
  completeFlags(given, program, world);
  const globals = new FlagValues(given, GLOBAL_FLAGS);
  if (globals.isOn("version")) {
    world.out(`${program} version ${VERSION}\n`);
    return EXIT_OK;
  }
  const [word, ...args] = words;
  if (word === undefined) return await showHelp(grammar.help(null), globals, world);
  const command = grammar.find(word);
  if (globals.isOn("help")) return await showHelp(grammar.help(command), globals, world);
  grammar.checkFlags(command, ownFlags);
  refuseUnsupported(globals);
  const values = new FlagValues(given, [...GLOBAL_FLAGS, ...command.flags]);
  const endpoint = parseEndpoint(values.text("endpoint"));
  const tunnel = command.isLocal === true ? null : await openTunnel(values, endpoint, world);
  const isPaged = command.pages === true && !values.isOn("no-pager") && !values.isOn("follow");
  const display = openDisplay(world, isPaged);
  try {
    return await command.run({
      args,
      flags: values,
      client: makeClient(values, throughTunnel(endpoint, tunnel, values), display.world),
      tunnel,
      world: display.world,
      progress: display.progress,
      paint: paintFor(world.terminal.stdout, world.environment),
      program,
      isFleetctl,
      commands: COMMANDS,
      explain: (other) => grammar.help(other === null ? null : grammar.find(other)),
    });
  } catch (error) {
    // Who leaves the pager has seen enough.
    if (!display.wasLeft || world.signal.aborted) throw error;
    return EXIT_OK;
  } finally {
    await display.close();
    await tunnel?.close();
  }
}

async function showHelp(text: string, flags: FlagValues, world: World): Promise<number> {
  const display = openDisplay(world, !flags.isOn("no-pager"));
  display.world.out(text);
  await display.close();
  return EXIT_OK;
}

/**
 * Flags may stand before their command, and a letter may mean one thing to this command and another to that: the first pass finds
 * the command (which letters take a value is the same for all), the second reads its flags before those of the others.
 */
function readWords(grammar: Grammar, argv: readonly string[], isFleetctl: boolean): SplitArguments {
  const flags = [...GLOBAL_FLAGS, ...COMMANDS.flatMap((command) => command.flags)];
  const isComplete = (words: readonly string[]): boolean => endsFlags(grammar, words);
  const goStyleBut = isFleetctl ? GLOBAL_FLAGS : null;
  const first = splitArguments(argv, flags, { isComplete, goStyleBut });
  const command = COMMANDS.find(({ name }) => name === grammar.nameOf(first.words[0] ?? ""));
  if (command === undefined) return first;
  return splitArguments(argv, [...command.flags, ...flags], {
    isComplete,
    goStyleBut: isFleetctl ? [...command.flags, ...GLOBAL_FLAGS] : null,
  });
}

/** `flt ssh MACHINE ls -l`: from the machine on it is another program's command line. */
function endsFlags(grammar: Grammar, words: readonly string[]): boolean {
  return words.length === 2 && grammar.find(words[0] ?? "").takesCommand === true;
}

function refuseUnsupported(flags: FlagValues): void {
  const driver = flags.text("driver");
  if (driver.toLowerCase() !== "api") {
    throw new CliError(`Cannot use --driver=${driver}: the client talks to flt's API only, never to etcd`);
  }
}

function explain(error: unknown, program: string, world: World): number {
  if (error instanceof UsageError) {
    const topic = error.command === undefined ? "help" : `help ${error.command}`;
    world.err(`${error.message}${error.message.endsWith("?") ? "" : "."} See \`${program} ${topic}\`\n`);
    return EXIT_USAGE;
  }
  if (error instanceof SigningError) {
    world.err(`${error.message}\n`);
    return EXIT_USAGE;
  }
  if (error instanceof ClientError && error.code === "cancelled") {
    world.err("Interrupted\n");
    return EXIT_INTERRUPTED;
  }
  // Refusals have a code; what has none is a fault of ours and shows where it comes from.
  const isRefusal = error instanceof Error && "code" in error;
  world.err(`${isRefusal ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return EXIT_FAILED;
}
