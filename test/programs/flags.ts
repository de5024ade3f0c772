/**
 * The command lines of the programs that the tests bring along (`bun run sim` and its like).
 *
 * Idea. One table a program: each flag knows how its value reads, what it is without one, and what the help says. Everything is read
 * before anything runs, so a bad value costs nothing.
 * Invariant. What is not understood is refused (exit code 2), never taken for a default: a run of no seeds would look like a green one.
 *
 * Not here. `flt` itself: src/cli.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { didYouMean } from "../../src/lib/suggest.ts";
import { wrap } from "../../src/lib/wrap.ts";

/** What was typed is no command of this program. */
export class UsageError extends Error {
  readonly code = "usage";
}

export interface Flag<T> {
  /** What stands for its value in the help; null for a switch. */
  readonly value: string | null;
  readonly help: string;
  readonly fallback: T;
  /** Throws what is wrong with the text, and what to write instead. */
  readonly read: (text: string) => T;
}

export interface Program<Flags> {
  /** As it is called: "bun run sim". */
  readonly name: string;
  readonly about: string;
  readonly flags: Flags;
  /** Command lines without the name, each with what it is good for. */
  readonly examples: readonly (readonly [string, string])[];
}

type FlagTable = Readonly<Record<string, Flag<unknown>>>;
type Values<Flags> = { readonly [Name in keyof Flags]: Flags[Name] extends Flag<infer T> ? T : never };

const LARGEST = 2 ** 53 - 1;
const LINE_WIDTH = 110;

export function wholeNumber<F extends number | undefined>(
  help: string,
  fallback: F,
  { value = "N", min = 0, max = LARGEST }: { value?: string; min?: number; max?: number } = {},
): Flag<number | F> {
  const bounds = max === LARGEST ? `from ${min} on` : `from ${min} to ${max}`;
  const read = (text: string): number => {
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= min && number <= max) return number;
    throw new Error(`it takes a whole number ${bounds}`);
  };
  return { value, help, fallback, read };
}

export function minutes(help: string): Flag<number | undefined> {
  const read = (text: string): number => {
    if (/^\d+(\.\d+)?$/.test(text) && Number(text) > 0) return Number(text);
    throw new Error('it takes a number of minutes above 0, such as "10" or "0.5"');
  };
  return { value: "M", help, fallback: undefined, read };
}

/** `A..B`, both ends included. */
export function range(help: string): Flag<readonly [number, number] | undefined> {
  const read = (text: string): readonly [number, number] => {
    const [, first, last] = text.match(/^(\d+)\.\.(\d+)$/) ?? [];
    if (first === undefined || last === undefined || Number(last) > LARGEST) {
      throw new Error('it takes the first and the last, such as "1..1000"');
    }
    if (Number(last) < Number(first)) throw new Error(`it ends before it begins; write it as "${last}..${first}"`);
    return [Number(first), Number(last)];
  };
  return { value: "A..B", help, fallback: undefined, read };
}

export function text<F extends string | undefined>(
  help: string,
  value: string,
  fallback: F,
  pattern?: { readonly form: RegExp; readonly such: string },
): Flag<string | F> {
  const read = (given: string): string => {
    if (pattern !== undefined && !pattern.form.test(given)) throw new Error(`it takes ${pattern.such}`);
    return given;
  };
  return { value, help, fallback, read };
}

export function toggle(help: string): Flag<boolean> {
  return { value: null, help, fallback: false, read: () => true };
}

/** Those with the words in their names, or the one that is named exactly so. */
export function chosen<T extends { readonly name: string }>(
  items: readonly T[],
  words: string,
  nameOf: (item: T) => string = ({ name }) => name,
): readonly T[] {
  const exact = items.filter((item) => nameOf(item) === words);
  if (exact.length > 0) return exact;
  const found = items.filter((item) => nameOf(item).includes(words));
  if (found.length > 0) return found;
  const names = items.map((item) => `  ${nameOf(item)}`);
  throw new UsageError(`Read --only "${words}": no name has these words; the names are\n${names.join("\n")}`);
}

/** The flags' values; null when help is asked for. */
export function readFlags<Flags extends FlagTable>(flags: Flags, words: readonly string[]): Values<Flags> | null {
  const { tokens } = parseArgs({
    args: [...words],
    strict: false,
    tokens: true,
    options: {
      help: { type: "boolean", short: "h" },
      ...Object.fromEntries(
        Object.entries(flags).map(([name, { value }]) => [name, { type: value === null ? "boolean" : "string" }]),
      ),
    },
  });
  const options = tokens.filter((token) => token.kind === "option");
  if (options.some(({ name }) => name === "help")) return null;
  const values: Record<string, unknown> = {};
  for (const token of tokens) {
    if (token.kind === "positional") throw new UsageError(`Read "${token.value}": only flags are understood here`);
    if (token.kind !== "option") continue;
    const flag = Object.hasOwn(flags, token.name) ? flags[token.name] : undefined;
    if (flag === undefined || !token.rawName.startsWith("--")) {
      const advice = didYouMean(token.name, Object.keys(flags), "--");
      throw new UsageError(`Read "${token.rawName}": there is no such flag${advice}`);
    }
    if (Object.hasOwn(values, token.name)) throw new UsageError(`Read --${token.name}: it is given twice`);
    values[token.name] = readValue(token.name, flag, token.value);
  }
  const fallbacks = Object.entries(flags).map(([name, { fallback }]) => [name, fallback]);
  return { ...Object.fromEntries(fallbacks), ...values } as Values<Flags>;
}

function readValue(name: string, flag: Flag<unknown>, given: string | undefined): unknown {
  if (flag.value === null && given !== undefined) throw new UsageError(`Read --${name} "${given}": it takes no value`);
  if (flag.value !== null && given === undefined) throw new UsageError(`Read --${name}: its value is missing`);
  try {
    return flag.read(given ?? "");
  } catch (error) {
    throw new UsageError(`Read --${name} "${given}": ${error instanceof Error ? error.message : error}`);
  }
}

/** How the program is called, what each flag means, and examples. */
export function helpOf({ name, about, flags, examples }: Program<FlagTable>): string {
  const forms = Object.entries(flags).map(([flag, { value }]) => (value === null ? `--${flag}` : `--${flag} ${value}`));
  const width = Math.max("--help".length, ...forms.map((form) => form.length));
  const meaning = ({ help, fallback, value }: Flag<unknown>): string =>
    value === null || fallback === undefined || fallback === "" ? help : `${help} (${fallback})`;
  const commands = examples.map(([words, purpose]) => [`${name} ${words}`.trimEnd(), purpose] as const);
  const commandWidth = Math.max(...commands.map(([command]) => command.length));
  return [
    `Usage: ${name} ${forms.map((form) => `[${form}]`).join(" ")}`,
    "",
    ...wrap(about, LINE_WIDTH),
    "",
    "Flags:",
    ...Object.values(flags).map((flag, place) => `  ${forms[place]?.padEnd(width)}  ${meaning(flag)}`),
    `  ${"--help".padEnd(width)}  this text`,
    "",
    "Examples:",
    ...commands.map(([command, purpose]) => `  ${command.padEnd(commandWidth)}  # ${purpose}`),
    "",
  ].join("\n");
}

/**
 * Reads this process's command line, and lets `check` turn it into what is to be run. Ends the process with 0 after the help, and with 2
 * where a flag or `check` refuses what was typed.
 */
export function commandLine<Flags extends FlagTable, T>(
  program: Program<Flags>,
  check: (values: Values<Flags>) => T,
): T {
  try {
    const values = readFlags(program.flags, process.argv.slice(2));
    if (values !== null) return check(values);
    process.stdout.write(helpOf(program));
    process.exit(0);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\nSee: ${program.name} --help`);
    process.exit(2);
  }
}
