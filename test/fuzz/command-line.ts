/**
 * The command line under hostile words: flags and arguments in any order, whole and broken.
 *
 * Checked of each: it ends, with one of its exit statuses; what it says is no stack trace; and the whole registry beside what it was:
 * a command that only shows has changed nothing, nor has one that was refused before it began; one that failed on the
 * way has changed no unit but those that it tells of.
 *
 * @module
 */
import fc from "fast-check";
import { COMMANDS } from "../../src/cli/commands/index.ts";
import { GLOBAL_FLAGS } from "../../src/cli/global-flags.ts";
import { CliWorld, type Finished, M1 } from "../fakes/cli-world.ts";
import type { FakeFleet } from "../fakes/fake-fleet.ts";
import { settle } from "../fakes/manual-clock.ts";
import { unitOptions } from "../fakes/registry-world.ts";
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

export async function checkCommand(command: HostileCommand): Promise<void> {
  const world = new CliWorld();
  world.environment = { ...world.environment, ...command.environment };
  for (const name of ["hello.service", "web@.service", "fresh.service"]) world.files.set(name, command.file);
  await furnish(world.fleet);
  const before = recordsOf(world.fleet);
  const finished = await finish(world, command);
  const { status, out, err } = finished;
  if (!STATUSES.has(status)) throw new Error(`Exit status ${status}`);
  if (/^\s+at .*:\d+/m.test(err)) throw new Error(`A fault, not a refusal: ${err}`);
  // Asked to say little, and for what is not there.
  const isQuiet = command.words.some((text) => /^--(quiet|no-legend)|^-\w*q/.test(text));
  if (status !== 0 && err === "" && out === "" && status !== 3 && !isQuiet) {
    throw new Error(`Exit status ${status} without a word`);
  }
  const names = changed(before, recordsOf(world.fleet));
  const problem = changeProblem(names, command, world, finished);
  if (problem !== null) throw new Error(`${problem}\n${JSON.stringify(finished)}`);
}

/** A unit in each state, a template, a global one; machines with metadata are there. Engine and agents are prompt. */
async function furnish(fleet: FakeFleet): Promise<void> {
  fleet.autoplace(M1);
  await fleet.putUnit("hello.service", unitOptions(""), "launched");
  await fleet.putUnit("loaded.service", unitOptions(""), "loaded");
  await fleet.putUnit("idle.service", unitOptions(""), "inactive");
  await fleet.putUnit("web@.service", unitOptions(""), "inactive");
  await fleet.putUnit("everywhere.service", unitOptions("Global=true"), "launched");
}

async function finish(world: CliWorld, { words, program }: HostileCommand): Promise<Finished> {
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
  return await done;
}

/** Everything that the cluster was told to keep, by name: units with file and desired state, machines with metadata. */
function recordsOf(fleet: FakeFleet): ReadonlyMap<string, string> {
  const units = fleet.jobs().map(({ name, hash, desiredState }): [string, string] => [name, `${hash} ${desiredState}`]);
  const machines = fleet.machines().map((machine): [string, string] => [machine.id, JSON.stringify(machine)]);
  return new Map([...units, ...machines]);
}

function changed(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  return [...new Set([...before.keys(), ...after.keys()])].filter((name) => before.get(name) !== after.get(name));
}

/** Requests that may change something. */
const WRITE = /^(PUT|DELETE|PATCH|POST \S*units:batch)/;
const WRITERS = ["submit", "load", "start", "stop", "unload", "restart", "destroy"];
/** The words of a command that was stopped before anything was done. */
const REFUSALS =
  /^(Error creating units: |Cannot use unit name |Cannot use (flag )?"?-|No units given$|unable to find |failed getting )/m;

function changeProblem(
  names: readonly string[],
  { words }: HostileCommand,
  world: CliWorld,
  { status, out, err }: Finished,
): string | null {
  if (names.length === 0) return null;
  const told = names.join(", ");
  const mayWrite = words.some((text) => text !== "" && WRITERS.some((name) => name.startsWith(text)));
  if (!mayWrite) return `No command was named that changes anything, and ${told} changed`;
  if (status === 2) return `Refused as not understood, and ${told} changed`;
  if (!world.requests.some((request) => WRITE.test(request))) return `Nothing was asked for, and ${told} changed`;
  if (REFUSALS.test(err)) return `Refused, and ${told} changed`;
  const silent = names.filter((name) => !out.includes(name) && !err.includes(name));
  if (status !== 0 && silent.length > 0)
    return `Exit status ${status} without a word of ${silent.join(", ")}, which changed`;
  return null;
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
