/**
 * What the word under the cursor could become: commands, flags, their values, units, machines, states.
 *
 * Idea. The shells' scripts are thin: they hand over the words typed so far and show what comes back, so that the three of
 * them agree with each other and with the tables of commands and options, which is where everything here is read from. What
 * a place takes is told by what stands for it in the help: UNIT, MACHINE, FILE, or the words themselves, as in "bash|zsh".
 *
 * Invariants.
 * - Every candidate begins with the word under the cursor.
 * - Nothing is refused: words that make no sense have no candidates.
 *
 * Not here. How a shell asks (scripts.ts), how the cluster is asked (cluster-names.ts).
 *
 * @module
 */
import { CONFIG_FIELDS, CONFIG_OPTIONS, flagName } from "../../config/table.ts";
import type { Command } from "../command.ts";
import type { Flag } from "../flags.ts";
import { GLOBAL_FLAGS } from "../global-flags.ts";

export interface Candidate {
  readonly value: string;
  /** Shown beside it, where a shell can. */
  readonly help: string;
}

export interface Completion {
  readonly candidates: readonly Candidate[];
  /** Names of local files will do as well. */
  readonly takesFiles: boolean;
}

/** What only the cluster knows; each answers with nothing when it cannot be asked. */
export interface ClusterNames {
  units(): Promise<readonly Candidate[]>;
  machines(): Promise<readonly Candidate[]>;
  states(): Promise<readonly Candidate[]>;
}

/** Flags whose names say more than what stands for their values. */
const NAMES_OF_FLAGS: Readonly<Record<string, string>> = { state: "STATE", machine: "MACHINE", unit: "UNIT" };

/** What nobody but the user can know. */
export const NOT_COMPLETED: ReadonlySet<string> = new Set([
  ...["N", "PORT", "SECONDS", "URL", "HOST[:PORT]", "NAME", "API", "PREFIX", "LIST", "TIME"],
]);

const NOTHING: Completion = { candidates: [], takesFiles: false };
const FILES: Completion = { candidates: [], takesFiles: true };
const DAEMON: Candidate = { value: "daemon", help: "Run a machine of the cluster" };

/** @param words What follows the program's name, up to the cursor; the last one is the word to complete, "" when it is new. */
export async function complete(
  words: readonly string[],
  commands: readonly Command[],
  names: ClusterNames,
): Promise<Completion> {
  const current = words.at(-1) ?? "";
  if (words.length > 1 && words[0] === "daemon") return daemonFlags(words.at(-2) ?? "", current);
  const place = findPlace(words.slice(0, -1), commands);
  const found = await candidatesAt(place, current, commands, names);
  // What is there already is of no use twice.
  const seen = new Set(place.args);
  const isNew = ({ value }: Candidate): boolean => !seen.has(value) && seen.add(value) === seen;
  return { ...found, candidates: found.candidates.filter((each) => each.value.startsWith(current) && isNew(each)) };
}

interface Place {
  readonly command: Command | undefined;
  /** What follows the command, without flags. */
  readonly args: readonly string[];
  /** The flag whose value comes next. */
  readonly pending: Flag | undefined;
  readonly isPastFlags: boolean;
  readonly hasCommandWord: boolean;
}

function findPlace(before: readonly string[], commands: readonly Command[]): Place {
  const all = [...GLOBAL_FLAGS, ...commands.flatMap(({ flags }) => flags)];
  const args: string[] = [];
  let pending: Flag | undefined;
  let isPastFlags = false;
  let command: Command | undefined;
  for (const word of before) {
    if (pending !== undefined) pending = undefined;
    else if (isPastFlags || !word.startsWith("-") || word === "-") {
      if (args.length === 0) command = commandOf(word, commands);
      args.push(word);
      if (command?.takesCommand === true && args.length === 2) isPastFlags = true;
    } else if (word === "--") isPastFlags = true;
    else pending = flagThatWaits(word, [...(command?.flags ?? []), ...all]);
  }
  return { command, args: args.slice(1), pending, isPastFlags, hasCommandWord: args.length > 0 };
}

/** By name, or by a beginning that only one command has. */
function commandOf(word: string, commands: readonly Command[]): Command | undefined {
  const matches = commands.filter(({ name }) => name.startsWith(word));
  return matches.find(({ name }) => name === word) ?? (matches.length === 1 ? matches[0] : undefined);
}

function flagThatWaits(word: string, flags: readonly Flag[]): Flag | undefined {
  const flag = word.startsWith("--")
    ? flags.find(({ name }) => word === `--${name}`)
    : flags.find(({ short }) => short !== undefined && word.endsWith(short));
  return flag?.value === undefined ? undefined : flag;
}

async function candidatesAt(
  { command, args, pending, isPastFlags, hasCommandWord }: Place,
  current: string,
  commands: readonly Command[],
  names: ClusterNames,
): Promise<Completion> {
  if (pending !== undefined) return await valuesOf(pending, "", current, names);
  const flags = [...(command?.flags ?? []), ...GLOBAL_FLAGS];
  if (!isPastFlags && current.startsWith("-")) {
    const equals = current.indexOf("=");
    if (equals === -1) return { candidates: flags.flatMap(flagCandidates), takesFiles: false };
    const flag = flags.find(({ name }) => current.slice(0, equals) === `--${name}`);
    return flag === undefined ? NOTHING : await valuesOf(flag, current.slice(0, equals + 1), current, names);
  }
  if (!hasCommandWord) return { candidates: [...commands.map(commandCandidate), DAEMON], takesFiles: false };
  if (command === undefined) return NOTHING;
  // From here on it is another program's command line.
  if (command.takesCommand === true && args.length > 0) return FILES;
  return await argumentsOf(command, args.length, commands, names);
}

function commandCandidate({ name, summary }: Command): Candidate {
  return { value: name, help: summary };
}

function flagCandidates({ name, value, help }: Flag): Candidate[] {
  return [{ value: `--${name}${value === undefined ? "" : "="}`, help }];
}

/** @param prefix What stands before the value in the word: "--fields=". */
async function valuesOf(flag: Flag, prefix: string, current: string, names: ClusterNames): Promise<Completion> {
  if (flag.value === undefined) {
    return { candidates: ["true", "false"].map((value) => ({ value: prefix + value, help: "" })), takesFiles: false };
  }
  const found =
    flag.choices === undefined
      ? await ofPlaceholder(NAMES_OF_FLAGS[flag.name] ?? flag.value, names)
      : { candidates: flag.choices.map((value) => ({ value, help: "" })), takesFiles: false };
  // Lists are completed item by item.
  const done =
    flag.value === "LIST" || flag.isList === true ? current.slice(prefix.length, current.lastIndexOf(",") + 1) : "";
  return {
    takesFiles: found.takesFiles && prefix === "",
    candidates: found.candidates.map(({ value, help }) => ({ value: prefix + done + value, help })),
  };
}

async function argumentsOf(
  command: Command,
  position: number,
  commands: readonly Command[],
  names: ClusterNames,
): Promise<Completion> {
  const places = argumentPlaces(command.usage);
  const place = places[position] ?? (places.at(-1)?.endsWith("...") === true ? places.at(-1) : undefined);
  if (place === undefined) return NOTHING;
  if (place === "COMMAND") return { candidates: [...commands.map(commandCandidate), DAEMON], takesFiles: false };
  const found = await ofPlaceholder(place.replace("...", ""), names);
  return { ...found, takesFiles: found.takesFiles || command.takesFiles === true };
}

/** "[--x=N] [MACHINE|UNIT] [COMMAND...]" to ["MACHINE|UNIT", "COMMAND..."]. */
export function argumentPlaces(usage: string): string[] {
  return usage
    .replaceAll(/\[-[^\]]*\]/g, "")
    .split(" ")
    .map((word) => word.replaceAll(/[[\]]/g, "").replace("…", "..."))
    .filter((word) => word !== "");
}

async function ofPlaceholder(placeholder: string, names: ClusterNames): Promise<Completion> {
  const candidates: Candidate[] = [];
  let takesFiles = false;
  for (const word of placeholder.split("|")) {
    if (NOT_COMPLETED.has(word)) continue;
    if (/^(UNIT|PATTERN)/.test(word)) candidates.push(...(await names.units()));
    else if (/^(MACHINE|ID)/.test(word)) candidates.push(...(await names.machines()));
    else if (/^STATE/.test(word)) candidates.push(...(await names.states()));
    else if (/^(FILE|PATH|SOCKET|FOLDER)/.test(word)) takesFiles = true;
    else if (/^[a-z][a-z-]*$/.test(word)) candidates.push({ value: word, help: "" });
  }
  return { candidates, takesFiles };
}

function daemonFlags(previous: string, current: string): Completion {
  const options = CONFIG_FIELDS.map((field) => CONFIG_OPTIONS[field]);
  const before = options.find(({ key }) => flagName(key) === previous);
  if (previous === "--config" || before?.kind.placeholder === "PATH") return FILES;
  if (before !== undefined && before.kind.placeholder !== "") return NOTHING;
  const flags = options
    .filter(({ effect }) => effect.kind === "active")
    .map(({ key, help }) => ({ value: flagName(key), help }));
  const candidates = [
    ...flags,
    { value: "--config", help: "Read this configuration file" },
    { value: "--check-config", help: "Say whether the configuration can be used" },
  ];
  return { candidates: candidates.filter(({ value }) => value.startsWith(current)), takesFiles: false };
}
