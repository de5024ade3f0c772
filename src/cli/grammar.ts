/**
 * Which commands and flags there are, which command a word means, and what the help says: cac holds all of it.
 *
 * Idea. The tables of commands and flags are declared to cac once; it matches the command, finds flags that the command does
 * not have, and lays the help out. Prefixes are aliases: each beginning that only one command has.
 *
 * Invariants.
 * - No value goes through cac, which would make 12 of `00012` and loses `--x=`: it is shown the command's word and the names of
 *   the flags. The values are read from the raw words (flags.ts).
 *
 * @module
 */
import { type CAC, cac } from "cac";
import { didYouMean } from "../lib/suggest.ts";
import { wrap } from "../lib/wrap.ts";
import { CliError, type Command } from "./command.ts";
import { type Flag, UsageError } from "./flags.ts";
import { GLOBAL_FLAGS } from "./global-flags.ts";

interface Section {
  title?: string;
  body: string;
}

const LINE_WIDTH = 100;

/** A command that is not of this table: `flt daemon` explains itself. */
const DAEMON = { name: "daemon", summary: "Run a machine of the cluster (flt daemon --help)" };

export class Grammar {
  readonly #program: string;
  readonly #commands: readonly Command[];
  readonly #cac: CAC;
  #shape: (sections: Section[]) => Section[] = (sections) => sections;

  constructor(program: string, commands: readonly Command[]) {
    this.#program = program;
    this.#commands = commands;
    this.#cac = cac(program);
    this.#cac.usage("[GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]");
    // The flag --help is one of GLOBAL_FLAGS; cac's own help() would declare it a second time.
    this.#cac.globalCommand.helpCallback = (sections) => this.#shape(sections);
    declareFlags(this.#cac.globalCommand, GLOBAL_FLAGS);
    for (const command of commands) this.#declare(command);
    if (program === "flt") this.#cac.command(DAEMON.name, DAEMON.summary);
  }

  #declare(command: Command): void {
    const declared = this.#cac.command(command.name, command.summary);
    declared.usage(`${command.name} ${command.usage}`.trimEnd());
    declareFlags(declared, command.flags);
    for (const example of command.examples) declared.example((program) => `  ${program} ${example}`);
    for (let length = 1; length < command.name.length; length++) {
      const prefix = command.name.slice(0, length);
      if (this.#matches(prefix).length === 1) declared.alias(prefix);
    }
  }

  #matches(prefix: string): readonly Command[] {
    return this.#commands.filter((command) => command.name.startsWith(prefix));
  }

  /** By name, or by a beginning that only one command has. */
  find(word: string): Command {
    const command = this.#parse(word, []);
    if (command !== undefined) return command;
    const matches = this.#matches(word).map(({ name }) => name);
    if (matches.length > 1) throw new CliError(`Ambiguous command "${word}": ${matches.join(", ")}`);
    const known = this.#commands.map(({ name }) => name);
    const advice = didYouMean(word, known) || `. See \`${this.#program} help\``;
    throw new CliError(`Unknown command "${word}"${advice}`);
  }

  /** The full name of the command that a word means; undefined where find() would refuse it. */
  nameOf(word: string): string | undefined {
    return this.#parse(word, [])?.name;
  }

  /** Refuses a flag of another command; `names` are those on the command line. */
  checkFlags(command: Command, names: readonly string[]): void {
    for (const name of names) {
      this.#parse(command.name, [name]);
      try {
        this.#cac.matchedCommand?.checkUnknownOptions();
      } catch {
        throw new UsageError(`Command "${command.name}" has no flag "--${name}"`, command.name);
      }
    }
  }

  #parse(word: string, flagNames: readonly string[]): Command | undefined {
    this.#cac.unsetMatchedCommand();
    // A word that looks like a flag is a command only for those who typed it after "--".
    if (word.startsWith("-")) return undefined;
    this.#cac.parse(["", this.#program, word, ...flagNames.map((name) => `--${name}`)], { run: false });
    const matched = this.#cac.matchedCommand;
    return matched === undefined ? undefined : this.#commands.find(({ name }) => name === matched.name);
  }

  /** The text about one command, or about all of them. */
  help(command: Command | null): string {
    this.#cac.unsetMatchedCommand();
    if (command !== null) this.#parse(command.name, []);
    this.#shape = (sections) =>
      command === null ? overview(this.#program, sections) : about(this.#program, command, sections);
    return captured(() => this.#cac.outputHelp());
  }
}

function declareFlags(target: ReturnType<CAC["command"]>, flags: readonly Flag[]): void {
  for (const flag of flags) {
    const names = flag.short === undefined ? `    --${flag.name}` : `-${flag.short}, --${flag.name}`;
    const isPlain = flag.value === undefined || (flag.fallback ?? "") === "";
    target.option(flag.value === undefined ? names : `${names} <${flag.value}>`, flag.help, {
      default: isPlain ? undefined : flag.fallback,
    });
    // Of a flag that begins with "no-" cac takes the opposite for true and says so in the help.
    const declared = target.options.at(-1);
    if (flag.value === undefined && declared !== undefined) delete declared.config.default;
  }
}

function overview(program: string, sections: Section[]): Section[] {
  const [, usage, commands] = sections;
  const options = sections.find(({ title }) => title === "Options");
  if (usage === undefined || commands === undefined || options === undefined) return sections;
  return [
    { body: `${program}: systemd for a cluster` },
    usage,
    { ...commands, title: "Commands (any beginning that only one of them has will do)" },
    {
      body: foldOptions(options.body.split("\n")),
      title: "Global options (each also as FLTCTL_NAME or FLEETCTL_NAME in the environment)",
    },
    { body: `\`${program} help COMMAND\` says more about one command.` },
  ].map(trimmed);
}

function about(program: string, command: Command, sections: Section[]): Section[] {
  const [, usage] = sections;
  const options = sections.find(({ title }) => title === "Options")?.body.split("\n") ?? [];
  const examples = sections.find(({ title }) => title === "Examples");
  const own = options.slice(0, command.flags.length);
  return [
    { body: command.summary },
    ...(usage === undefined ? [] : [usage]),
    { body: wrap(command.description, LINE_WIDTH).join("\n") },
    ...(own.length === 0 ? [] : [{ title: "Options", body: foldOptions(own) }]),
    ...(examples === undefined ? [] : [examples]),
    { body: `The options of all commands (--endpoint, --tunnel, …): \`${program} help\`.` },
  ].map(trimmed);
}

/** cac gives each option one line, however long; what does not fit goes on below its own column. */
function foldOptions(lines: readonly string[]): string {
  return lines
    .flatMap((line) => {
      const [, names = "", help = ""] = /^( +(?:-\w, )?--[\w-]+(?: <[^>]*>)? {2,})(.*)$/.exec(line) ?? [];
      if (names === "") return [line];
      const folded = wrap(help, LINE_WIDTH - names.length);
      return folded.map((text, index) => (index === 0 ? names : " ".repeat(names.length)) + text);
    })
    .join("\n");
}

function trimmed({ title, body }: Section): Section {
  const text = body.replaceAll(/ +$/gm, "");
  return title === undefined ? { body: text } : { title, body: text };
}

/** cac prints its help itself, by console.info. */
function captured(print: () => void): string {
  let text = "";
  const original = console.info;
  console.info = (line: string): void => {
    text += `${line}\n`;
  };
  try {
    print();
  } finally {
    console.info = original;
  }
  return text;
}
