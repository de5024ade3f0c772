/**
 * Placement requirements: what a unit file's section [X-Fleet], or [X-Flt], asks of the machine that gets the unit.
 *
 *   MachineID=ID                 one machine, by its full id or its first 8 digits; the first one named counts
 *   MachineOf=unit …             wherever these units are
 *   MachineMetadata="k=v" "k=w"  one of the values for each key
 *   Conflicts=glob …             not beside units with such names
 *   Replaces=glob …              send such units away from the machine that gets this one
 *   Global=true                  one on each machine that fits; the last assignment counts
 *   Fence=strict                 stopped before another machine may take over (flt)
 *
 * Idea. Everything is checked when a unit is submitted, so that engine and agent never meet a requirement they cannot
 * read. A requirement that can never hold is no error (fleet took it, too): unitWarnings tells the user.
 *
 * Not here. Which machine fits (engine/).
 *
 * @module
 */
import { parsePair } from "../lib/pairs.ts";
import { didYouMean } from "../lib/suggest.ts";
import { compileGlob, escapeGlob, type Glob, GlobError } from "./glob.ts";
import { splitValues } from "./option-values.ts";
import { type UnitOption, UnitOptionsError } from "./unit-file.ts";
import { isUnitName, parseUnitName, type UnitName, UnitNameError } from "./unit-name.ts";

export type Fence = "none" | "strict";

export interface Requirements {
  /** At most one: a full machine id or its first 8 digits, in lower case. Compare with matchesMachineId. */
  readonly machineIds: readonly string[];
  readonly machineOf: readonly string[];
  /** Key to the values that will do; every key must hold. */
  readonly metadata: ReadonlyMap<string, ReadonlySet<string>>;
  /** Well-formed patterns, for matchGlob or compileGlob. */
  readonly conflicts: readonly string[];
  readonly replaces: readonly string[];
  readonly global: boolean;
  readonly fence: Fence;
}

/** The section's names; in one file only one of them may occur. */
export const PLACEMENT_SECTIONS = ["X-Fleet", "X-Flt"] as const;

export const PLACEMENT_OPTIONS = [
  "MachineID",
  "MachineOf",
  "MachineMetadata",
  "Conflicts",
  "Global",
  "Replaces",
  "Fence",
] as const;
export type PlacementOption = (typeof PLACEMENT_OPTIONS)[number];

const OLD_SPELLINGS: ReadonlyMap<string, PlacementOption> = new Map([
  ["X-ConditionMachineID", "MachineID"],
  ["X-ConditionMachineBootID", "MachineID"],
  ["X-ConditionMachineOf", "MachineOf"],
  ["X-ConditionMachineMetadata", "MachineMetadata"],
  ["X-Conflicts", "Conflicts"],
]);
const SPELLINGS: ReadonlyMap<string, PlacementOption> = new Map([
  ...PLACEMENT_OPTIONS.map((name): [string, PlacementOption] => [name, name]),
  ...OLD_SPELLINGS,
]);

/** Types of units that start others. */
const STARTERS: readonly string[] = ["automount", "path", "socket", "timer"];
const TRUE_WORDS: readonly string[] = ["true", "yes", "1", "on", "t"];
/** Any other word means the same, and was hardly meant so. */
const FALSE_WORDS: readonly string[] = ["false", "no", "0", "off", "f"];
const MACHINE_ID_OR_SHORT = /^[0-9a-f]{8}$|^[0-9a-f]{32}$/;

/** Pairs that cannot both be asked for, and why. */
const EXCLUSIONS: readonly (readonly [PlacementOption, PlacementOption, string])[] = [
  ["MachineID", "MachineOf", "each names the machine by itself"],
  ["MachineID", "Conflicts", "a unit that is bound to one machine has nowhere else to go"],
  ["MachineID", "Global", "a global unit runs on every machine"],
  ["MachineID", "Replaces", "a unit that is bound to one machine is not placed by what it replaces"],
  ["Global", "MachineOf", "a global unit runs on every machine"],
  ["Global", "Replaces", "a global unit would replace on every machine"],
  ["Fence", "Global", "a global unit runs on every machine, so there is none to take it over"],
  ["Conflicts", "Replaces", "one keeps away from the unit, the other sends the unit away"],
];

/**
 * Reads and checks the requirements of a unit. Throws UnitNameError for a bad name, UnitOptionsError (the message names the
 * options) for requirements that cannot be read or contradict each other.
 */
export function parseRequirements(unitName: string, options: readonly UnitOption[]): Requirements {
  const name = parseUnitName(unitName);
  const section = placementSection(options);
  const values = placementValues(options);
  const conflicts = globValues(values, "Conflicts", name, section);
  const replaces = globValues(values, "Replaces", name, section);
  const machineOf = unique(plainValues(values, "MachineOf", name, section));
  const requirements: Requirements = {
    machineIds: plainValues(values, "MachineID", name, section).slice(0, 1).map(normalizeMachineId),
    machineOf,
    metadata: metadataValues(values, name, section),
    conflicts: conflicts.map((glob) => glob.pattern),
    replaces: replaces.map((glob) => glob.pattern),
    global: isTrue(plainValues(values, "Global", name, section).at(-1)),
    fence: fenceOf(options),
  };
  refuseContradictions(requirements, section);
  refuseUnstoppable(requirements, options, section);
  refuseOwnPeers(machineOf, "Conflicts", conflicts, section);
  refuseOwnPeers(machineOf, "Replaces", replaces, section);
  return requirements;
}

/** For lists: files were checked when they were written; one that this release cannot read is shown as what it is, not refused. */
export function isGlobalFile(unitName: string, options: readonly UnitOption[]): boolean {
  try {
    return parseRequirements(unitName, options).global;
  } catch (error) {
    if (error instanceof UnitOptionsError || error instanceof UnitNameError) return false;
    throw error;
  }
}

/** What a user should hear about a unit that is accepted nevertheless: misspelt options, requirements nothing can meet. */
export function unitWarnings(unitName: string, options: readonly UnitOption[]): string[] {
  return [...unknownOptions(options), ...hopelessValues(unitName, options), ...halfFences(unitName, options)];
}

/** One sentence for each option of the placement section that means nothing, and each section that looks like it. */
export function unknownOptions(options: readonly UnitOption[]): string[] {
  const warnings = new Set<string>();
  for (const { section, name } of options) {
    if (isPlacementSection(section)) {
      if (!SPELLINGS.has(name)) {
        warnings.add(
          `Unknown option ${JSON.stringify(name)} in section [${section}]${didYouMean(name, PLACEMENT_OPTIONS)}`,
        );
      }
    } else if (/^x-?fl/i.test(section)) {
      const guess = didYouMean(section, PLACEMENT_SECTIONS);
      if (guess !== "") {
        warnings.add(`Unknown section ${JSON.stringify(`[${section}]`)}${guess}`);
      }
    }
  }
  return [...warnings];
}

function hopelessValues(unitName: string, options: readonly UnitOption[]): string[] {
  const name = parseUnitName(unitName);
  // A template's own %i is empty: its values are looked at when an instance is made.
  const values = name.isTemplate ? new Map<PlacementOption, string[]>() : placementValues(options);
  const section = placementSection(options);
  const machineIds = plainValues(values, "MachineID", name, section).map(normalizeMachineId);
  const warnings: string[] = [];
  const [first, ...others] = unique(machineIds);
  if (first !== undefined && !MACHINE_ID_OR_SHORT.test(first)) {
    warnings.push(`No machine has the id ${JSON.stringify(first)} of MachineID: it has neither 32 nor 8 hex digits`);
  }
  if (first !== undefined && others.length > 0) {
    warnings.push(`MachineID names ${others.length + 1} machines: only the first, ${JSON.stringify(first)}, counts`);
  }
  for (const peer of plainValues(values, "MachineOf", name, section)) {
    if (!isUnitName(peer)) {
      warnings.push(`No unit can have the name ${JSON.stringify(peer)} of MachineOf: it is no unit name`);
    }
  }
  const global = plainValues(values, "Global", name, section).at(-1);
  if (global !== undefined && ![...TRUE_WORDS, ...FALSE_WORDS].includes(global.toLowerCase())) {
    warnings.push(`Global=${global} counts as false, as each word does that is not one of ${TRUE_WORDS.join(", ")}`);
  }
  return warnings;
}

/** The fence stops the unit itself. What it starts goes on. */
function halfFences(unitName: string, options: readonly UnitOption[]): string[] {
  const { suffix } = parseUnitName(unitName);
  if (fenceOf(options) !== "strict" || !STARTERS.includes(suffix)) return [];
  return [
    `Fence=strict holds for this ${suffix} alone: a unit that it starts needs it in its own file, and starts without asking`,
  ];
}

function isPlacementSection(section: string): boolean {
  return (PLACEMENT_SECTIONS as readonly string[]).includes(section);
}

/** The name that this file uses for the section. */
function placementSection(options: readonly UnitOption[]): string {
  const used = PLACEMENT_SECTIONS.filter((section) => options.some((option) => option.section === section));
  if (used.length > 1) {
    throw new UnitOptionsError(
      "Cannot use [X-Fleet] and [X-Flt] in one unit file: they are the same section, keep one",
    );
  }
  return used[0] ?? PLACEMENT_SECTIONS[0];
}

/** Of these the last assignment counts, also an empty one. */
export const SINGLE_VALUED: readonly string[] = ["Global", "Fence"];

/** Values as written, by option; empty assignments ask for nothing, and take nothing back from a list. */
function placementValues(options: readonly UnitOption[]): Map<PlacementOption, string[]> {
  const values = new Map<PlacementOption, string[]>();
  for (const { section, name, value } of options) {
    const option = isPlacementSection(section) ? SPELLINGS.get(name) : undefined;
    if (option === undefined) continue;
    const before = SINGLE_VALUED.includes(option) ? [] : (values.get(option) ?? []);
    values.set(option, value.trim() === "" ? before : [...before, value]);
  }
  return values;
}

type PlacementValues = ReadonlyMap<PlacementOption, readonly string[]>;

/** The words of an option, quoted or not, with their specifiers filled in. */
function plainValues(values: PlacementValues, option: PlacementOption, name: UnitName, section: string): string[] {
  return (values.get(option) ?? [])
    .flatMap((value) => splitValues(value, "words", `${option} in [${section}]`))
    .map((word) => expandSpecifiers(word, name))
    .filter((word) => word !== "");
}

function globValues(values: PlacementValues, option: PlacementOption, name: UnitName, section: string): Glob[] {
  const words = (values.get(option) ?? []).flatMap((value) => splitValues(value, "words", `${option} in [${section}]`));
  const patterns = words.map((word) => expandSpecifiers(word, name, escapeGlob)).filter((word) => word !== "");
  return unique(patterns).map((pattern) => {
    try {
      return compileGlob(pattern);
    } catch (error) {
      if (error instanceof GlobError) {
        throw new UnitOptionsError(`Cannot use ${option} in [${section}]: ${error.message}`);
      }
      throw error;
    }
  });
}

function metadataValues(values: PlacementValues, name: UnitName, section: string): Map<string, Set<string>> {
  const metadata = new Map<string, Set<string>>();
  const what = `MachineMetadata in [${section}]`;
  for (const written of values.get("MachineMetadata") ?? []) {
    for (const word of splitValues(written, "pairs", what)) {
      const pair = parsePair(expandSpecifiers(word, name));
      if (pair === undefined || pair.value === "") {
        throw new UnitOptionsError(`Cannot use ${what}: ${JSON.stringify(word)} is no pair key=value`);
      }
      metadata.set(pair.key, (metadata.get(pair.key) ?? new Set()).add(pair.value));
    }
  }
  return metadata;
}

/** %n %N %p %i, as in systemd.unit(5); any other "%" stays as it is. */
function expandSpecifiers(text: string, name: UnitName, encode: (value: string) => string = (value) => value): string {
  return text.replace(/%[nNpi]/g, (specifier) => {
    switch (specifier) {
      case "%n":
        return encode(name.name);
      case "%N":
        return encode(name.stem);
      case "%p":
        return encode(name.prefix);
      default:
        return encode(name.instance);
    }
  });
}

/** A boot id, which the oldest spelling names, is written with dashes. */
function normalizeMachineId(text: string): string {
  return text.toLowerCase().replaceAll("-", "");
}

function isTrue(word: string | undefined): boolean {
  return word !== undefined && TRUE_WORDS.includes(word.toLowerCase());
}

/** What a unit file says of Fence; throws UnitOptionsError for another word. */
export function fenceOf(options: readonly UnitOption[]): Fence {
  const values = placementValues(options).get("Fence") ?? [];
  if (values.length === 0) return "none";
  const section = placementSection(options);
  const word = values.flatMap((value) => splitValues(value, "words", `Fence in [${section}]`)).at(-1);
  if (word === undefined || word === "none" || word === "strict") {
    return word ?? "none";
  }
  throw new UnitOptionsError(`Cannot use Fence=${word} in [${section}]: use "strict" or "none"`);
}

function refuseContradictions(requirements: Requirements, section: string): void {
  const asked: ReadonlyMap<PlacementOption, boolean> = new Map([
    ["MachineID", requirements.machineIds.length > 0],
    ["MachineOf", requirements.machineOf.length > 0],
    ["Conflicts", requirements.conflicts.length > 0],
    ["Replaces", requirements.replaces.length > 0],
    ["Global", requirements.global],
    ["Fence", requirements.fence === "strict"],
  ]);
  for (const [one, other, reason] of EXCLUSIONS) {
    if (asked.get(one) && asked.get(other)) {
      throw new UnitOptionsError(`Cannot use ${one} with ${other} in [${section}]: ${reason}. Remove one of them`);
    }
  }
}

/** The fence stops the unit as an operator would. */
function refuseUnstoppable({ fence }: Requirements, options: readonly UnitOption[], section: string): void {
  const said = options.findLast((option) => option.section === "Unit" && option.name === "RefuseManualStop")?.value;
  if (fence === "strict" && said !== undefined && TRUE_WORDS.includes(said.trim().toLowerCase())) {
    throw new UnitOptionsError(
      `Cannot use Fence=strict in [${section}] with RefuseManualStop in [Unit]: a fenced unit must be stoppable. Remove one of them`,
    );
  }
}

function refuseOwnPeers(
  peers: readonly string[],
  option: "Conflicts" | "Replaces",
  globs: readonly Glob[],
  section: string,
): void {
  for (const peer of peers) {
    const glob = globs.find((candidate) => candidate.matches(peer));
    if (glob !== undefined) {
      throw new UnitOptionsError(
        `Cannot use MachineOf=${peer} with ${option}=${glob.pattern} in [${section}]: the unit would have to be on the ` +
          `machine of ${JSON.stringify(peer)} and away from it. Remove one of them`,
      );
    }
  }
}

function unique(words: readonly string[]): string[] {
  return [...new Set(words)];
}
