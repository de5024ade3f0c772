/**
 * What the lists leave out: --machine, --type, --state and patterns, with the meaning that systemctl gives them.
 *
 * Idea. Each flag is a list of words of which one must fit; different flags must all fit. Everything is read and refused before
 * the cluster is asked.
 *
 * @module
 */
import { didYouMean } from "../../lib/suggest.ts";
import { shortened } from "../../lib/text.ts";
import { wrap } from "../../lib/wrap.ts";
import type { MachineEntity } from "../../model/entities.ts";
import type { Glob } from "../../model/glob.ts";
import { JOB_STATES } from "../../model/states.ts";
import { ACTIVE_STATES, LOAD_STATES, SUB_STATES } from "../../model/systemd-states.ts";
import { mangleUnitName, UNIT_SUFFIXES } from "../../model/unit-name.ts";
import { compileUnitPattern, isUnitPattern, matchesSome } from "../../model/unit-pattern.ts";
import { CliError, type CommandContext } from "../command.ts";

const LINE_WIDTH = 100;

/** The words that --state takes, in groups; the headings are systemctl's. */
export type StateWords = readonly (readonly [heading: string, words: readonly string[]])[];

/** Of what systemd says of a unit. */
export const SYSTEMD_STATE_WORDS: StateWords = [
  ["Available unit load states", LOAD_STATES],
  ["Available unit active states", ACTIVE_STATES],
  ...Object.entries(SUB_STATES).map(([type, words]) => [`Available ${type} unit substates`, words] as const),
];

/** Of what is wanted of a unit in the cluster, and what was done. */
export const JOB_STATE_WORDS: StateWords = [["Available states of units in the cluster", JOB_STATES]];

export interface UnitFilter {
  readonly patterns: readonly Glob[];
  readonly types: readonly string[];
  readonly loadStates: readonly string[];
  readonly states: readonly string[];
}

/** From the arguments, --type and --state, which takes these words. */
export function unitFilter(context: CommandContext, stateWords: StateWords): UnitFilter {
  const types: string[] = [];
  const loadStates: string[] = [];
  for (const word of context.flags.list("type")) {
    if ((UNIT_SUFFIXES as readonly string[]).includes(word)) types.push(word);
    else if (LOAD_STATES.includes(word)) loadStates.push(word);
    else throw unknownWord("unit type or load state", word, [...UNIT_SUFFIXES, ...LOAD_STATES]);
  }
  const states = context.flags.list("state");
  const known = [...new Set(stateWords.flatMap(([, words]) => words))];
  for (const word of states) if (!known.includes(word)) throw unknownWord("state", word, known);
  return { patterns: argumentPatterns(context.args), types, loadStates, states };
}

/** systemctl passes over a mistyped state, and the list looks as if there were no such unit. */
function unknownWord(what: string, word: string, known: readonly string[]): CliError {
  const list = wrap(`Known are: ${known.join(", ")}`, LINE_WIDTH).join("\n");
  return new CliError(`Unknown ${what} "${shortened(word)}"${didYouMean(word, known)}\n${list}`);
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

/** `--type=help`, `--state=help`: the words that they take; true when they were asked for. */
export function helpsWithWords(context: CommandContext, stateWords: StateWords): boolean {
  const groups: StateWords[number][] = [];
  if (context.flags.list("type").includes("help")) {
    groups.push(["Available unit types", UNIT_SUFFIXES], ["Available unit load states", LOAD_STATES]);
  }
  if (context.flags.list("state").includes("help")) groups.push(...stateWords);
  context.world.out(groups.map(([heading, words]) => `${heading}:\n${words.join("\n")}\n`).join("\n"));
  return groups.length > 0;
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
