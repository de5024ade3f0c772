/**
 * Unit files: text to options and back, and the hash that names a file's content.
 *
 * Problem. Whoever can smuggle a line break into an option can add options of their own, and two readers that disagree
 * about a continued line run two different units. Fleet's users also compare hashes with those that fleet shows.
 * Idea. Line by line, with the meaning that fleet gave systemd's syntax:
 *
 *   text before the first [Section] is ignored; "#" and ";" begin a comment line, a comment goes on after a final "\"
 *   Name=            an empty assignment is an option with the value ""
 *   Name=a \         a final "\" continues the line; it stays in the value with its line break: "a \\\n  b"
 *     b              (a "#" line is no comment there; a blank line ends the value)
 *
 * Invariants.
 * - parseUnitFile(serializeUnitFile(options)) gives the same options in the same order, but that the sections which occur
 *   twice are merged into their first: true for all that parseUnitFile returns and checkUnitOptions accepts.
 * - No option holds a control character other than a tab, or a line break that does not follow a "\".
 *
 * Not here. What the options mean (requirements.ts; the rest is systemd's business).
 *
 * @module
 */
import { createHash } from "node:crypto";

export interface UnitOption {
  readonly section: string;
  readonly name: string;
  readonly value: string;
}

/** What systemd once read of a line (LINE_MAX); fleet refused longer ones, so that none was ever cut silently. */
export const UNIT_LINE_MAX_BYTES = 2048;

/** Thrown for text that is no unit file. `line` counts from 1. */
export class UnitFileError extends Error {
  readonly code = "bad-unit-file";
  readonly line: number;
  readonly reason: string;
  constructor(line: number, reason: string) {
    super(`Cannot read unit file: line ${line}: ${reason}`);
    this.name = "UnitFileError";
    this.line = line;
    this.reason = reason;
  }
}

/** Thrown for options that cannot stand in a unit file, or that contradict each other; the message names the culprits. */
export class UnitOptionsError extends Error {
  readonly code = "bad-unit-options";
  constructor(message: string) {
    super(message);
    this.name = "UnitOptionsError";
  }
}

/** White space as Go's unicode.IsSpace has it: trimming anything else would change hashes. */
const SPACE = "[\\t\\n\\v\\f\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const SURROUNDING_SPACE = new RegExp(`^${SPACE}+|${SPACE}+$`, "g");
const CONTROL_CHARACTER = /[\0-\x08\x0a-\x1f\x7f]/;

/** Throws UnitFileError for the first line that cannot be understood. */
export function parseUnitFile(source: string | Uint8Array): readonly UnitOption[] {
  return new UnitFileReader(splitLines(decode(source))).options();
}

/** Options with the line that each begins on, and the lines before the first section, which mean nothing; all count from 1. */
export interface UnitFileLines {
  readonly options: readonly UnitOption[];
  readonly lines: readonly number[];
  readonly ignored: readonly number[];
}

/** The same, for those who must point at a line. */
export function parseUnitFileLines(source: string | Uint8Array): UnitFileLines {
  const reader = new UnitFileReader(splitLines(decode(source)));
  return { options: reader.options(), lines: reader.lines, ignored: reader.ignored };
}

/** The canonical text of a unit file. Assumes options that checkUnitOptions accepts. */
export function serializeUnitFile(options: readonly UnitOption[]): string {
  const sections = new Map<string, string[]>();
  for (const { section, name, value } of options) {
    const lines = sections.get(section);
    const line = `${name}=${value}\n`;
    if (lines === undefined) {
      sections.set(section, [line]);
    } else {
      lines.push(line);
    }
  }
  return Array.from(sections, ([section, lines]) => `[${section}]\n${lines.join("")}`).join("\n");
}

/** SHA-1 of the canonical text, in hex. It tells contents apart; it protects nothing. */
export function unitHash(options: readonly UnitOption[]): string {
  return createHash("sha1").update(serializeUnitFile(options), "utf8").digest("hex");
}

/** First 7 digits, as tables show it. */
export function shortHash(hash: string): string {
  return hash.slice(0, 7);
}

/**
 * Checks options that did not come from parseUnitFile: throws UnitOptionsError unless writing them to a file and reading
 * it again gives just these options.
 */
export function checkUnitOptions(options: readonly UnitOption[]): void {
  for (const option of options) {
    const problem =
      sectionProblem(option.section) ?? optionNameProblem(option.name) ?? optionValueProblem(option.value);
    if (problem !== undefined) {
      throw new UnitOptionsError(`Cannot use option ${describeOption(option)}: ${problem}`);
    }
  }
  const wanted = mergeSections(options);
  let got: readonly UnitOption[];
  try {
    got = parseUnitFile(serializeUnitFile(options));
  } catch (error) {
    if (error instanceof UnitFileError) {
      throw new UnitOptionsError(`Cannot use these options in a unit file: written out, ${error.message}`);
    }
    throw error;
  }
  const changed = wanted.find((option, index) => !sameOption(option, got[index]));
  if (changed !== undefined || got.length !== wanted.length) {
    const culprit = changed === undefined ? "options" : `option ${describeOption(changed)}`;
    throw new UnitOptionsError(`Cannot use ${culprit}: it would not be read back from a unit file as it was given`);
  }
}

/** The options in the order in which the canonical text has them. */
function mergeSections(options: readonly UnitOption[]): UnitOption[] {
  return [...Map.groupBy(options, (option) => option.section).values()].flat();
}

function sameOption(one: UnitOption, other: UnitOption | undefined): boolean {
  return one.section === other?.section && one.name === other.name && one.value === other.value;
}

function describeOption({ section, name }: UnitOption): string {
  return `${JSON.stringify(name)} in section ${JSON.stringify(section)}`;
}

function sectionProblem(section: string): string | undefined {
  if (section === "") {
    return "its section has no name";
  }
  if (section.includes("]")) {
    return 'its section contains "]"';
  }
  return characterProblem(section, "its section");
}

function optionNameProblem(name: string): string | undefined {
  if (name === "") {
    return "it has no name";
  }
  if (name.includes("=")) {
    return 'its name contains "="';
  }
  if (/^[[#;]/.test(name)) {
    return `its name begins with "${name.slice(0, 1)}"`;
  }
  if (trim(name) !== name) {
    return "its name begins or ends with white space";
  }
  return characterProblem(name, "its name");
}

function optionValueProblem(value: string): string | undefined {
  const lines = value.split("\n");
  const last = lines.pop() ?? "";
  if (lines.some((line) => !line.endsWith("\\"))) {
    return 'its value contains a line break that no "\\" comes before';
  }
  if (last.endsWith("\\")) {
    return 'its value ends in "\\", which would swallow the next line';
  }
  const broken = [...lines, last].map((line) => characterProblem(line, "its value")).find((found) => found);
  if (broken !== undefined) {
    return broken;
  }
  return trimValue(value) === value ? undefined : "its value begins or ends with white space";
}

function characterProblem(text: string, what: string): string | undefined {
  if (!text.isWellFormed()) {
    return `${what} is no valid Unicode text`;
  }
  const control = CONTROL_CHARACTER.exec(text);
  return control === null ? undefined : `${what} contains the control character ${JSON.stringify(control[0])}`;
}

function trim(text: string): string {
  return text.replace(SURROUNDING_SPACE, "");
}

/** A value that ends in a continued, then empty line keeps that line break: without it the next option would be eaten. */
function trimValue(value: string): string {
  return value.endsWith("\n") ? `${trim(value)}\n` : trim(value);
}

function decode(source: string | Uint8Array): string {
  if (typeof source === "string") {
    const broken = source.isWellFormed() ? -1 : splitLines(source).findIndex((line) => !line.isWellFormed());
    if (broken !== -1) {
      throw new UnitFileError(broken + 1, "it is no valid Unicode text");
    }
    return source.startsWith("\ufeff") ? source.slice(1) : source;
  }
  const text = decodeUtf8(source);
  if (text === undefined) {
    throw new UnitFileError(firstBrokenLine(source), "it is not UTF-8");
  }
  return text;
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** A line break is never part of a longer UTF-8 sequence, so lines can be judged one by one. */
function firstBrokenLine(source: Uint8Array): number {
  let line = 1;
  let start = 0;
  for (let end = source.indexOf(0x0a); end !== -1; end = source.indexOf(0x0a, start)) {
    if (decodeUtf8(source.subarray(start, end)) === undefined) {
      break;
    }
    line += 1;
    start = end + 1;
  }
  return line;
}

/** Lines without their ends, be they "\n" or "\r\n". */
function splitLines(text: string): string[] {
  return text.split(/\r?\n/);
}

class UnitFileReader {
  readonly #lines: readonly string[];
  readonly #options: UnitOption[] = [];
  readonly lines: number[] = [];
  readonly ignored: number[] = [];
  #section: string | undefined;
  #next = 0;

  constructor(lines: readonly string[]) {
    this.#lines = lines;
  }

  options(): readonly UnitOption[] {
    while (this.#next < this.#lines.length) {
      const line = this.#take();
      const text = trim(line);
      if (text.startsWith("#") || text.startsWith(";")) {
        this.#skipComment(line);
      } else if (text.startsWith("[")) {
        this.#section = this.#readSection(text);
      } else if (text !== "" && this.#section !== undefined) {
        this.lines.push(this.#next);
        this.#options.push(this.#readOption(this.#section, line));
      } else if (text !== "") this.ignored.push(this.#next);
    }
    return this.#options;
  }

  /** Counts the line as read, and refuses one that is too long wherever it stands. */
  #take(): string {
    const line = this.#lines[this.#next] ?? "";
    this.#next += 1;
    const byteLength = Buffer.byteLength(line);
    if (byteLength > UNIT_LINE_MAX_BYTES) {
      throw this.#error(
        `it has ${byteLength} bytes, at most ${UNIT_LINE_MAX_BYTES} are allowed. Continue it on another line with "\\"`,
      );
    }
    return line;
  }

  /** `line` is the comment's first line. */
  #skipComment(line: string): void {
    let comment = line;
    while (/\\ ?$/.test(comment) && this.#next < this.#lines.length) {
      comment = this.#take();
    }
  }

  #readSection(text: string): string {
    const end = text.indexOf("]");
    if (end === -1) {
      throw this.#error(`section ${JSON.stringify(text)} has no "]"`);
    }
    const section = text.slice(1, end);
    const problem = section === "" ? "the section has no name" : characterProblem(section, "the section's name");
    if (problem !== undefined) {
      throw this.#error(problem);
    }
    if (end !== text.length - 1) {
      throw this.#error(`${JSON.stringify(text.slice(end + 1))} follows section ${JSON.stringify(section)}`);
    }
    return section;
  }

  #readOption(section: string, line: string): UnitOption {
    const equals = line.indexOf("=");
    if (equals === -1) {
      throw this.#error(`${JSON.stringify(trim(line).slice(0, 80))} is no option: it has no "="`);
    }
    const name = trim(line.slice(0, equals));
    const problem = name === "" ? 'no option name stands before "="' : characterProblem(name, "the option's name");
    if (problem !== undefined) {
      throw this.#error(problem);
    }
    return { section, name, value: this.#readValue(name, line.slice(equals + 1)) };
  }

  #readValue(name: string, firstLine: string): string {
    let value = "";
    let line = firstLine;
    while (trim(line) !== "") {
      this.#checkValueLine(name, line);
      value += line;
      if (!line.endsWith("\\")) {
        break;
      }
      value += "\n";
      line = this.#take();
    }
    return trimValue(value);
  }

  #checkValueLine(name: string, line: string): void {
    const problem = characterProblem(line, `the value of ${JSON.stringify(name)}`);
    if (problem !== undefined) {
      throw this.#error(problem);
    }
    if (!line.endsWith("\\") && trim(line).endsWith("\\")) {
      throw this.#error(`white space follows the "\\" that ends it. Remove it to continue the line`);
    }
  }

  #error(reason: string): UnitFileError {
    return new UnitFileError(this.#next, reason);
  }
}
