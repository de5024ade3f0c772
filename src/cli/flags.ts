/**
 * Command line words to flags and arguments, exactly as they were written.
 *
 * Problem. General option parsers turn `00012345` into a number and `--sign=false` into the truth; ids and units must
 * arrive as typed.
 * Idea. One pass over the raw words with a table of flags: a word is a flag, a flag's value, or an argument. Flags may stand
 * anywhere, before and after the command, until "--". A flag given twice: the last one counts, unless it is a list.
 *
 * Not here. Which flags there are (global-flags.ts, commands/), what the help says of them (grammar.ts).
 *
 * @module
 */
import { didYouMean } from "../lib/suggest.ts";

export interface Flag {
  /** Long name without dashes. */
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** What stands for the value in the help; absent: the flag is a switch. */
  readonly value?: string;
  /** Given several times it is a list, as if the values had been given in one, separated by commas. */
  readonly isList?: true;
  readonly help: string;
  /** The value when nothing is given. */
  readonly fallback?: string;
  /** The values that there are, where they can be told: the shell offers them. */
  readonly choices?: readonly string[];
}

/** The command line cannot be understood: exit status 2, as with fleetctl. */
export class UsageError extends Error {
  readonly code = "usage";
  /** Whose help has the answer; undefined: that of all commands. */
  readonly command: string | undefined;
  constructor(message: string, command?: string) {
    super(message);
    this.command = command;
  }
}

export class FlagValues {
  readonly #given: ReadonlyMap<string, string>;
  readonly #flags: readonly Flag[];

  constructor(given: ReadonlyMap<string, string>, flags: readonly Flag[]) {
    this.#given = given;
    this.#flags = flags;
  }

  isGiven(name: string): boolean {
    return this.#given.has(name);
  }

  text(name: string): string {
    return this.#given.get(name) ?? this.#flags.find((flag) => flag.name === name)?.fallback ?? "";
  }

  isOn(name: string): boolean {
    return this.text(name) === "true";
  }

  /** A whole number of at least 0. */
  count(name: string): number {
    const text = this.text(name);
    if (/^\d{1,9}$/.test(text)) return Number(text);
    throw new UsageError(`Cannot use --${name}=${text}: a whole number is needed`);
  }

  /** The same, or the word "all". */
  countOrAll(name: string): number | "all" {
    const text = this.text(name);
    if (text === "all" || /^\d{1,9}$/.test(text)) return text === "all" ? text : Number(text);
    throw new UsageError(`Cannot use --${name}=${text}: a whole number is needed, or all`);
  }

  /** Seconds, with fractions, to milliseconds. */
  secondsMs(name: string): number {
    const text = this.text(name);
    const seconds = /^\d{1,6}(\.\d+)?$/.test(text) ? Number(text) : 0;
    if (seconds > 0) return seconds * 1000;
    throw new UsageError(`Cannot use --${name}=${text}: a number of seconds above 0 is needed`);
  }

  /** The values of a list, each once, in their order; "" and empty items are none. */
  list(name: string): string[] {
    const items = this.text(name).split(",");
    return [...new Set(items.map((item) => item.trim()).filter((item) => item !== ""))];
  }

  names(): Iterable<string> {
    return this.#given.keys();
  }
}

export interface SplitArguments {
  readonly given: Map<string, string>;
  readonly words: string[];
}

export interface SplitOptions {
  /** Told the words so far: true when whatever follows is an argument. */
  readonly isComplete?: (words: readonly string[]) => boolean;
  /** As fleetctl, which Go's library wrote `-full` for: one dash is enough for a name, unless its letters are switches among these. */
  readonly goStyleBut?: readonly Flag[] | null;
}

/**
 * Separates flags from arguments.
 *
 * @param flags All that may occur. Where two have the same name or letter, the first one counts.
 */
export function splitArguments(
  argv: readonly string[],
  flags: readonly Flag[],
  { isComplete = () => false, goStyleBut = null }: SplitOptions = {},
): SplitArguments {
  const given = new Map<string, string>();
  const words: string[] = [];
  const rest = [...argv];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--") {
      words.push(...rest);
      break;
    }
    if (word.startsWith("--")) takeLong(word, rest, flags, given);
    else if (goStyleBut !== null && isGoStyle(word, flags, goStyleBut)) takeLong(`-${word}`, rest, flags, given);
    else if (word.startsWith("-") && word.length > 1) takeShort(word, rest, flags, given);
    else {
      words.push(word);
      if (isComplete(words)) {
        words.push(...(rest[0] === "--" ? rest.slice(1) : rest));
        break;
      }
    }
  }
  return { given, words };
}

function takeLong(word: string, rest: string[], flags: readonly Flag[], given: Map<string, string>): void {
  const equals = word.indexOf("=");
  const name = word.slice(2, equals === -1 ? undefined : equals);
  const flag = flags.find((candidate) => candidate.name === name);
  if (flag === undefined) {
    const known = flags.map((candidate) => candidate.name);
    throw new UsageError(`Unknown flag "--${name}"${didYouMean(name, known, "--")}`);
  }
  take(flag, equals === -1 ? null : word.slice(equals + 1), rest, given);
}

function isGoStyle(word: string, flags: readonly Flag[], own: readonly Flag[]): boolean {
  const [, name = ""] = /^-([^-=][^=]+)(?:=.*)?$/s.exec(word) ?? [];
  if (!flags.some((flag) => flag.name === name)) return false;
  const switches = own.filter(({ value }) => value === undefined).map(({ short }) => short);
  return ![...name].every((letter) => switches.includes(letter));
}

/** systemd itself has such names: -.slice, -.mount. */
const UNIT_LIKE = /\.[a-z]+$/;

/** `-f`, `-fl` for switches, `-n5` and `-n 5` for values. */
function takeShort(word: string, rest: string[], flags: readonly Flag[], given: Map<string, string>): void {
  for (let at = 1; at < word.length; at++) {
    const letter = word[at];
    const flag = flags.find((candidate) => candidate.short === letter);
    if (flag === undefined) {
      const hint = UNIT_LIKE.test(word) ? ': a unit whose name begins with "-" is named after "--"' : "";
      throw new UsageError(`Unknown flag "-${letter}"${word.length > 2 ? ` in "${word}"` : ""}${hint}`);
    }
    const attached = word.slice(at + 1);
    if (flag.value !== undefined) {
      take(flag, attached === "" ? null : attached.replace(/^=/, ""), rest, given);
      return;
    }
    take(flag, null, rest, given);
  }
}

function take(flag: Flag, attached: string | null, rest: string[], given: Map<string, string>): void {
  if (flag.value === undefined) {
    given.set(flag.name, switchValue(attached ?? "true", `--${flag.name}`));
    return;
  }
  const value = attached ?? rest.shift();
  if (value === undefined) throw new UsageError(`Cannot use --${flag.name}: its value is missing (${flag.value})`);
  const before = flag.isList === true ? given.get(flag.name) : undefined;
  given.set(flag.name, before === undefined ? value : `${before},${value}`);
}

const TRUE_WORDS = new Set(["true", "1", "t", "yes", "on"]);
const FALSE_WORDS = new Set(["false", "0", "f", "no", "off", ""]);

/** `origin` names the flag or the variable in the message. */
export function switchValue(text: string, origin: string): "true" | "false" {
  const word = text.toLowerCase();
  if (TRUE_WORDS.has(word)) return "true";
  if (FALSE_WORDS.has(word)) return "false";
  throw new UsageError(`Cannot use ${origin}=${text}: only true and false are known`);
}
