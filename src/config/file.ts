/**
 * The configuration file: lines `key = value` to entries with their line numbers.
 *
 * Problem. The package `ini` accepts anything, knows no lines and cuts a value at each ";" and "#".
 * Idea. This reader finds the lines, the keys and the comments, and refuses what is neither; `ini` is left with what it is
 * good at: taking the quotes off one value.
 *
 *   # comment                       also with ";", and after a value if a blank stands before it
 *   metadata = "region=us-west"     quotes are taken off, and keep "#" and ";" in the value
 *
 * Not here. Which keys there are and what their values mean (table.ts).
 *
 * @module
 */
import ini from "ini";
import { shortened } from "../lib/text.ts";
import { ConfigError } from "./config-error.ts";

export interface FileEntry {
  readonly key: string;
  readonly value: string;
  /** From 1. */
  readonly line: number;
}

/** What a decoder puts in place of bytes that it cannot read. */
const NOT_UTF8 = "\ufffd";

/** Throws ConfigError, with path and line, for the first line that cannot be read. */
export function parseConfigFile(path: string, text: string): readonly FileEntry[] {
  const entries = new Map<string, FileEntry>();
  const lines = text.replace(/^\ufeff/, "").split(/\r\n|\n|\r/);
  for (const [index, written] of lines.entries()) {
    const entry = parseLine(path, index + 1, written.trim());
    if (entry === undefined) {
      continue;
    }
    const name = entry.key.toLowerCase().replaceAll("-", "_");
    const first = entries.get(name);
    if (first !== undefined) {
      throw lineError(
        path,
        entry.line,
        `${JSON.stringify(entry.key)} is set a second time, first in line ${first.line}`,
      );
    }
    entries.set(name, entry);
  }
  return [...entries.values()];
}

function parseLine(path: string, line: number, text: string): FileEntry | undefined {
  if (text === "" || text.startsWith("#") || text.startsWith(";")) {
    return undefined;
  }
  const shown = /password/i.test(text) ? "what stands there" : JSON.stringify(shortened(text));
  if (/^\[[^=]*\]$/.test(text)) {
    throw lineError(path, line, `${shown} begins a section, and the file has none. Remove the line`);
  }
  const equals = text.indexOf("=");
  const key = text.slice(0, Math.max(equals, 0)).trim();
  if (equals === -1 || !/^[A-Za-z][\w-]*$/.test(key)) {
    throw lineError(path, line, `${shown} is no option. Write key=value, or "#" before a comment`);
  }
  if (text.includes(NOT_UTF8)) {
    throw lineError(path, line, `the value of ${JSON.stringify(key)} is not UTF-8`);
  }
  const value = withoutComment(text.slice(equals + 1).trim());
  if (value === undefined) {
    throw lineError(path, line, `the value of ${JSON.stringify(key)} has a quote that is not closed`);
  }
  return { key, value: unquote(value), line };
}

/** Cuts a comment that follows a blank and stands outside quotes; undefined when a quote is left open. */
function withoutComment(value: string): string | undefined {
  // An apostrophe within a word is no quote: single quotes count only round the whole value.
  const single = value.startsWith("'");
  let quote = "";
  let before = " ";
  for (let index = 0; index < value.length; index++) {
    const character = value.charAt(index);
    if (quote !== "") {
      quote = character === quote && before !== "\\" ? "" : quote;
    } else if (character === '"' || (single && character === "'")) {
      quote = character;
    } else if ((character === "#" || character === ";") && /\s/.test(before)) {
      return value.slice(0, index).trim();
    }
    before = character;
  }
  return quote === "" ? value : undefined;
}

function unquote(value: string): string {
  const isQuoted = value.length > 1 && /^(["']).*\1$/.test(value);
  const read: unknown = ini.unsafe(isQuoted ? value : value.replace(/[\\;#]/g, "\\$&"));
  // ini takes a quoted list or number for JSON and gives what it says: the text is wanted.
  return typeof read === "string" ? read : value.slice(1, -1);
}

function lineError(path: string, line: number, reason: string): ConfigError {
  return new ConfigError(`Cannot read ${JSON.stringify(path)}: line ${line}: ${reason}`);
}
