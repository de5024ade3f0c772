/**
 * What the lists leave out: --machine, --type, --state and patterns, with the meaning that systemctl gives them.
 *
 * Idea. Each flag is a list of words of which one must fit; different flags must all fit. Everything is read and refused before
 * the cluster is asked.
 *
 * @module
 */
import { didYouMean } from "../../lib/suggest.ts";
import type { MachineEntity } from "../../model/entities.ts";
import type { Glob } from "../../model/glob.ts";
import { mangleUnitName, UNIT_SUFFIXES } from "../../model/unit-name.ts";
import { compileUnitPattern, isUnitPattern, matchesSome } from "../../model/unit-pattern.ts";
import { CliError, type CommandContext } from "../command.ts";

/** systemd's words for a unit's load state; --type takes them, too, as systemctl does. */
const LOAD_STATES = ["stub", "loaded", "not-found", "bad-setting", "error", "merged", "masked"];

export interface UnitFilter {
  readonly patterns: readonly Glob[];
  readonly types: readonly string[];
  readonly loadStates: readonly string[];
  readonly states: readonly string[];
}

/** From the arguments, --type and --state. */
export function unitFilter(context: CommandContext): UnitFilter {
  const types: string[] = [];
  const loadStates: string[] = [];
  for (const word of context.flags.list("type")) {
    if ((UNIT_SUFFIXES as readonly string[]).includes(word)) types.push(word);
    else if (LOAD_STATES.includes(word)) loadStates.push(word);
    else {
      const guess = didYouMean(word, [...UNIT_SUFFIXES, ...LOAD_STATES]);
      throw new CliError(`Unknown unit type or load state "${word}"${guess === "" ? ". See --type=help" : guess}`);
    }
  }
  return { patterns: argumentPatterns(context.args), types, loadStates, states: context.flags.list("state") };
}

/** A name is a pattern that matches itself, with ".service" where a type is missing. */
export function argumentPatterns(args: readonly string[]): Glob[] {
  return args.map((arg) => (isUnitPattern(arg) ? compileUnitPattern(arg) : exactly(mangleUnitName(arg))));
}

function exactly(name: string): Glob {
  return { pattern: name, matches: (text) => text === name };
}

/** @param states The words for what the unit is in: one of them must be among those of --state. */
export function fits(filter: UnitFilter, name: string, states: readonly string[], loadState = ""): boolean {
  const { types, loadStates } = filter;
  const isOfType = types.length + loadStates.length === 0 || types.some((type) => name.endsWith(`.${type}`));
  return (
    matchesSome(filter.patterns, name) &&
    (isOfType || loadStates.includes(loadState)) &&
    (filter.states.length === 0 || states.some((state) => filter.states.includes(state)))
  );
}

/** `--type=help`: the words it takes; true when they were asked for. */
export function helpsWithTypes(context: CommandContext): boolean {
  if (!context.flags.list("type").includes("help")) return false;
  context.world.out(`Unit types:\n${UNIT_SUFFIXES.join("\n")}\n\nLoad states:\n${LOAD_STATES.join("\n")}\n`);
  return true;
}

/**
 * The ids that --machine names, each by any beginning, as tables show it or by its address; null: it was not given. Throws for
 * one that no machine has.
 */
export function machineFilter(context: CommandContext, machines: readonly MachineEntity[]): ReadonlySet<string> | null {
  const words = context.flags.list("machine");
  if (words.length === 0) return null;
  return new Set(words.flatMap((word) => machinesNamed(machines, word).map(({ id }) => id)));
}

/** The beginning of an id that a word means: "113f16a7.../10.0.0.2" is how tables show a machine. */
export function idPrefix(word: string): string {
  return word.replace(/\.\.\.(?:\/.*)?$/, "").toLowerCase();
}

export function isMachineNamed({ id, primaryIP }: MachineEntity, word: string): boolean {
  return id.startsWith(idPrefix(word)) || primaryIP === word;
}

function machinesNamed(machines: readonly MachineEntity[], word: string): readonly MachineEntity[] {
  const found = machines.filter((machine) => isMachineNamed(machine, word));
  if (found.length > 0) return found;
  throw new CliError(`Cannot find machine "${word}": no machine's id begins so`);
}
