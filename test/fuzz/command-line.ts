/**
 * The command line under hostile words: flags and arguments in any order, whole and broken.
 *
 * Checked of each: it ends, with one of its exit statuses; what it says is no stack trace; and what it could not understand
 * (exit 2) has changed nothing.
 *
 * @module
 */
import fc from "fast-check";
import { COMMANDS } from "../../src/cli/commands/index.ts";
import { GLOBAL_FLAGS } from "../../src/cli/global-flags.ts";
import { CliWorld, M1 } from "../fakes/cli-world.ts";
import { settle } from "../fakes/manual-clock.ts";
import { unitName, unitText, value } from "./words.ts";

export interface HostileCommand {
  readonly program: string;
  readonly words: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** What lies in the file that is called as the unit. */
  readonly file: string;
}

const STATUSES = new Set([0, 1, 2, 3, 4, 5, 130]);
/** Turns of the event loop; a command that needs more is waiting for something. */
const PATIENCE_TURNS = 20;

export async function checkCommand({ program, words, environment, file }: HostileCommand): Promise<void> {
  const world = new CliWorld();
  world.environment = { ...world.environment, ...environment };
  world.fleet.autoplace(M1);
  for (const name of ["hello.service", "web@.service"]) world.files.set(name, file);
  const running = world.start(words, program);
  let isDone = false;
  const done = running.done.finally(() => {
    isDone = true;
  });
  for (let turn = 0; turn < PATIENCE_TURNS && !isDone; turn++) await settle();
  // A wait that nothing ends is what it asked for; Ctrl-C must end it.
  running.interrupt();
  for (let turn = 0; turn < PATIENCE_TURNS && !isDone; turn++) await settle();
  if (!isDone) throw new Error("The command does not end, not even after Ctrl-C");
  const { status, out, err } = await done;
  if (!STATUSES.has(status)) throw new Error(`Exit status ${status}`);
  if (/^\s+at .*:\d+/m.test(err)) throw new Error(`A fault, not a refusal: ${err}`);
  if (status === 2 && world.fleet.writes.length > 0) {
    throw new Error(`Refused as not understood, but ${world.fleet.writes.join(", ")}`);
  }
  const isQuiet = words.some((word) => word.startsWith("--quiet") || /^-\w*q/.test(word));
  if (status !== 0 && err === "" && out === "" && status !== 3 && !isQuiet) {
    throw new Error(`Exit status ${status} without a word`);
  }
}

const flags = [...GLOBAL_FLAGS, ...COMMANDS.flatMap((command) => command.flags)];
const flagName = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom(...flags.map(({ name }) => name)) },
  fc.constantFrom("__proto__", "constructor", "no-full", "a.b", "", "endpoint.x", "-"),
);
const flagValue = fc.oneof(
  fc.constantFrom(
    "1",
    "0",
    "-1",
    "true",
    "false",
    "00012",
    "",
    "unit",
    "machine,ip",
    "unix:///x",
    "http://[::1]:1",
    "~/x",
  ),
  value,
);
const word = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...COMMANDS.map(({ name }) => name)) },
  { weight: 3, arbitrary: unitName },
  { weight: 3, arbitrary: fc.tuple(flagName, flagValue).map(([name, text]) => `--${name}=${text}`) },
  { weight: 2, arbitrary: flagName.map((name) => `--${name}`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("-f", "-l", "-A", "-h", "-fl", "-z", "--", "-", "-f=1", "113f", "list-", "s"),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 8 }) },
);
const variable = fc.tuple(
  fc.constantFrom("FLTCTL_", "FLEETCTL_"),
  flagName.map((name) => name.toUpperCase().replaceAll("-", "_")),
  flagValue,
);

export const hostileCommand: fc.Arbitrary<HostileCommand> = fc.record({
  program: fc.constantFrom("flt", "flt", "fltctl", "fleetctl"),
  words: fc
    .tuple(fc.constantFrom(...COMMANDS.map(({ name }) => name), ""), fc.array(word, { maxLength: 5 }))
    .map(([command, rest]) => (command === "" ? rest : [command, ...rest])),
  environment: fc
    .array(variable, { maxLength: 1 })
    .map((all) => Object.fromEntries(all.map(([start, name, text]) => [`${start}${name}`, text]))),
  file: unitText,
});
