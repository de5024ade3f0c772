/**
 * Everything that is wrong with a unit file, with its lines: what flt would refuse, and what it or systemd would not heed.
 *
 * Problem. A submit stops at the first refusal, and names no line where two options contradict each other.
 * Idea. The same checks that a submit makes, asked piece by piece: a line that cannot be read is reported and taken out, and the rest is
 * read again; each placement option is checked alone, then each pair of them, so that a refusal has the line that causes it.
 *
 * Invariants.
 * - A file without an error here is one that flt takes; one that flt refuses has an error here.
 *
 * Not here. What systemd thinks of the values (systemd-analyze(1), verify).
 *
 * @module
 */
import { didYouMean } from "../lib/suggest.ts";
import { PLACEMENT_SECTIONS, parseRequirements, SINGLE_VALUED, unitWarnings, unknownOptions } from "./requirements.ts";
import {
  checkUnitOptions,
  parseUnitFileLines,
  UnitFileError,
  type UnitFileLines,
  type UnitOption,
} from "./unit-file.ts";
import { parseUnitName, UNIT_SUFFIXES, type UnitName } from "./unit-name.ts";

export interface Finding {
  readonly kind: "error" | "warning";
  /** From 1; null: it is about the whole file. */
  readonly line: number | null;
  readonly message: string;
}

/** More than anybody reads; a file that is no unit file has one in each line. */
const UNREADABLE_LINES_MAX = 20;
/** Pairs are compared each with each. */
const PLACEMENT_OPTIONS_MAX = 200;

/** @param unitName The name under which the file would be submitted. By line, whole-file findings first. */
export function checkUnitFile(unitName: string, source: Uint8Array): readonly Finding[] {
  const findings = new Findings();
  const name = findings.attempt(null, () => parseUnitName(unitName));
  const file = readWhatCanBe(source, findings);
  if (file !== null && !findings.hasErrors) {
    if (file.options.length === 0) findings.add("error", null, "The file has no options");
    findings.attempt(null, () => checkUnitOptions(file.options));
  }
  if (file !== null && name !== null) {
    checkPlacement(name, file, findings);
    checkSections(name, file, findings);
  }
  return findings.sorted();
}

class Findings {
  readonly #all: Finding[] = [];
  readonly #seen = new Set<string>();

  get hasErrors(): boolean {
    return this.#all.some(({ kind }) => kind === "error");
  }

  /** A warning has one place: its first. */
  add(kind: Finding["kind"], line: number | null, message: string): void {
    const what = kind === "error" ? `${line} ${message}` : message;
    if (this.#seen.has(what)) return;
    this.#seen.add(what);
    this.#all.push({ kind, line, message });
  }

  /** null when it was refused, which is now an error on that line. What is no refusal is thrown on. */
  attempt<T>(line: number | null, work: () => T): T | null {
    const refusal = refusalOf(work);
    if (refusal.message === null) return refusal.value;
    this.add("error", line, refusal.message);
    return null;
  }

  sorted(): readonly Finding[] {
    return this.#all.sort((one, other) => (one.line ?? 0) - (other.line ?? 0));
  }
}

type Attempt<T> = { readonly message: null; readonly value: T } | { readonly message: string };

function refusalOf<T>(work: () => T): Attempt<T> {
  try {
    return { message: null, value: work() };
  } catch (error) {
    if (error instanceof Error && "code" in error) return { message: error.message };
    throw error;
  }
}

const NEWLINE = 0x0a;
const BACKSLASH = 0x5c;

/** null: too many lines cannot be read for the others to mean anything. */
function readWhatCanBe(source: Uint8Array, findings: Findings): UnitFileLines | null {
  let bytes = source;
  for (let count = 0; count < UNREADABLE_LINES_MAX; count++) {
    try {
      return parseUnitFileLines(bytes);
    } catch (error) {
      if (!(error instanceof UnitFileError)) throw error;
      findings.add("error", error.line, `${error.reason.charAt(0).toUpperCase()}${error.reason.slice(1)}`);
      bytes = without(bytes, error.line);
    }
  }
  return null;
}

/** The same text with a line, and what continues it, empty: the others keep their numbers. */
function without(bytes: Uint8Array, line: number): Uint8Array {
  let at = 0;
  for (let count = 1; count < line; count++) at = bytes.indexOf(NEWLINE, at) + 1;
  const kept = [bytes.subarray(0, at)];
  for (let continues = true; continues; ) {
    const end = bytes.indexOf(NEWLINE, at);
    const stop = end === -1 ? bytes.length : end;
    continues = end !== -1 && bytes[stop - 1] === BACKSLASH;
    kept.push(bytes.subarray(stop, stop + 1));
    at = stop + 1;
  }
  return Buffer.concat([...kept, bytes.subarray(at)]);
}

interface PlacedOption {
  readonly option: UnitOption;
  readonly line: number;
}

function checkPlacement(name: UnitName, { options, lines }: UnitFileLines, findings: Findings): void {
  const placed = options.flatMap((option, index): PlacedOption[] => {
    const isOverridden = SINGLE_VALUED.includes(option.name) && options.slice(index + 1).some(isSameOption(option));
    return isPlacementLike(option.section) && !isOverridden ? [{ option, line: lines[index] ?? 1 }] : [];
  });
  if (placed.length > PLACEMENT_OPTIONS_MAX) {
    findings.attempt(null, () => parseRequirements(name.name, options));
    return;
  }
  const sound = placed.filter(({ option, line }) => {
    return findings.attempt(line, () => parseRequirements(name.name, [option])) !== null;
  });
  for (const [index, { option: later, line }] of sound.entries()) {
    for (const earlier of sound.slice(0, index)) {
      const together = refusalOf(() => parseRequirements(name.name, [earlier.option, later]));
      if (together.message !== null) findings.add("error", line, `${together.message} (line ${earlier.line})`);
    }
  }
  // What no pair shows is still a refusal.
  if (!findings.hasErrors) findings.attempt(null, () => parseRequirements(name.name, options));
  // A name that is no option's stays one, whatever else is to be mended.
  for (const { option, line } of placed) {
    for (const warning of unknownOptions([option])) findings.add("warning", line, warning);
  }
  if (findings.hasErrors) return;
  for (const { option, line } of placed) {
    for (const warning of unitWarnings(name.name, [option])) findings.add("warning", line, warning);
  }
  for (const warning of unitWarnings(name.name, options)) {
    const culprit = placed.findLast(({ option }) => warning.includes(option.name));
    findings.add("warning", culprit?.line ?? null, warning);
  }
}

function isSameOption({ name }: UnitOption): (other: UnitOption) => boolean {
  return (other) => other.name === name && (PLACEMENT_SECTIONS as readonly string[]).includes(other.section);
}

/** Misspelt ones, too: unitWarnings() has a word for them. */
function isPlacementLike(section: string): boolean {
  return (PLACEMENT_SECTIONS as readonly string[]).includes(section) || /^x-?fl/i.test(section);
}

/** Types whose own section systemd cannot do without. */
const NEEDS_SECTION = new Set(["service", "socket", "timer", "path", "mount", "automount", "swap"]);
const COMMON_SECTIONS = ["Unit", "Install"];
/** One of these a service needs; an empty assignment takes back what stood before it. */
const WORK: Readonly<Record<string, string>> = { ExecStart: "Service", ExecStop: "Service", SuccessAction: "Unit" };

function checkSections({ suffix }: UnitName, { options, lines, ignored }: UnitFileLines, findings: Findings): void {
  const [first] = ignored;
  if (first !== undefined) {
    findings.add("warning", first, "Text before the first section is ignored");
  }
  const own = sectionOf(suffix);
  const known = [...COMMON_SECTIONS, own, ...PLACEMENT_SECTIONS];
  for (const [index, { section }] of options.entries()) {
    if (known.includes(section) || section.startsWith("X-") || isPlacementLike(section)) continue;
    const isOther = UNIT_SUFFIXES.some((other) => sectionOf(other) === section);
    const why = isOther ? `: the unit is a ${suffix}` : didYouMean(section, known);
    findings.add("warning", lines[index] ?? null, `systemd ignores section "[${section}]"${why}`);
  }
  if (findings.hasErrors || options.length === 0) return;
  if (NEEDS_SECTION.has(suffix) && !options.some(({ section }) => section === own)) {
    findings.add("warning", null, `Section [${own}] is missing: systemd does not load a ${suffix} without it`);
  } else if (suffix === "service" && !hasWork(options)) {
    findings.add("warning", null, "The service has no ExecStart=: systemd does not load it");
  }
}

function hasWork(options: UnitFileLines["options"]): boolean {
  return Object.entries(WORK).some(([name, section]) => {
    const last = options.findLast((option) => option.section === section && option.name === name);
    return last !== undefined && last.value !== "";
  });
}

function sectionOf(suffix: string): string {
  return suffix.charAt(0).toUpperCase() + suffix.slice(1);
}
