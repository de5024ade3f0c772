/**
 * What cac is asked to hold: commands by their beginnings, whose flag is whose, and the texts of the help.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { COMMANDS } from "./commands/index.ts";
import { type Flag, splitArguments } from "./flags.ts";
import { GLOBAL_FLAGS } from "./global-flags.ts";
import { Grammar } from "./grammar.ts";

const grammar = new Grammar("flt", COMMANDS);

describe("commands", () => {
  test("every unambiguous beginning finds its command, every ambiguous one is refused by name", () => {
    for (const { name } of COMMANDS) {
      expect(grammar.find(name).name).toBe(name);
      for (let length = 1; length < name.length; length++) {
        const prefix = name.slice(0, length);
        const candidates = COMMANDS.filter((command) => command.name.startsWith(prefix)).map((command) => command.name);
        const isExact = candidates.includes(prefix);
        if (isExact) expect(grammar.find(prefix).name).toBe(prefix);
        else if (candidates.length === 1) expect(grammar.find(prefix).name).toBe(name);
        else expect(() => grammar.find(prefix)).toThrow(`Ambiguous command "${prefix}": ${candidates.join(", ")}`);
      }
    }
  });

  test("words that are no command, however odd", () => {
    for (const word of ["-", "--", "--help", "!", "__proto__", "constructor", "@@global@@", "daemon", "1", "start "]) {
      expect(() => grammar.find(word)).toThrow(`Unknown command "${word}"`);
    }
  });
});

test("a flag belongs to the commands that declare it", () => {
  for (const command of COMMANDS) {
    for (const other of COMMANDS) {
      for (const { name } of other.flags) {
        const isOwn = command.flags.some((flag) => flag.name === name);
        const check = (): void => grammar.checkFlags(command, ["endpoint", name]);
        if (isOwn) expect(check).not.toThrow();
        else expect(check).toThrow(`Command "${command.name}" has no flag "--${name}"`);
      }
    }
  }
});

test("one dash before a flag's name is enough for fleet's names, but where all its letters are switches", () => {
  const readings: string[] = [];
  for (const command of COMMANDS) {
    const flags: Flag[] = [...command.flags, ...GLOBAL_FLAGS];
    const read = (word: string): string => {
      const { given } = splitArguments([word], flags, { goStyleBut: flags });
      return [...given].map(([name, value]) => `${name}=${value}`).join(" ");
    };
    for (const { name } of flags) {
      const found = read(`-${name}=true`);
      if (found !== read(`--${name}=true`)) readings.push(`${command.name} -${name}: ${found}`);
    }
  }
  expect(readings).toEqual([]);
  const flags: Flag[] = ["f", "l"].map((short) => ({ name: short + short, short, help: "" }));
  const { given } = splitArguments(["-fl", "-ll"], [...flags, { name: "fl", help: "" }], { goStyleBut: flags });
  expect([...given.keys()]).toEqual(["ff", "ll"]);
});

test("help names every command, every flag and every example", () => {
  const overview = grammar.help(null);
  expect(Math.max(...overview.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
  expect(overview).toMatch(
    /^ {6}--endpoint <URL> {13}Where flt listens: .*\n {35}\S.*\n {35}\S.*\n {35}\S.*\n {6}--request-timeout /m,
  );
  for (const command of COMMANDS) {
    expect(overview).toContain(`  ${command.name} `);
    const text = grammar.help(command);
    expect(text).toStartWith(`${command.summary}\n\nUsage:\n  $ flt ${command.name}`);
    for (const flag of command.flags) expect(text).toContain(`--${flag.name}`);
    for (const example of command.examples) expect(text).toContain(`  flt ${example}\n`);
    expect(text).not.toMatch(/ $/m);
    // Usage and examples are there to be copied: they stay on their lines.
    const options = text.replace(/^Usage:\n.*$/m, "").replace(/\nExamples:\n( .*\n)*/, "");
    expect(Math.max(...options.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
    expect(grammar.help(null)).toBe(overview);
  }
});
