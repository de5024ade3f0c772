/**
 * Kinds of values that an option may have: how each is written, and what it is read as.
 *
 * Idea. One object a kind, made with its limits, so that the table of options reads as a table. A kind throws ValueError
 * with the culprit and what is allowed; it knows no option names.
 *
 * @module
 */
import { formatDuration, parseDuration, parseSeconds } from "../lib/duration.ts";
import { PairsError, parsePairs } from "../lib/pairs.ts";
import { shortened } from "../lib/text.ts";
import { parseHost } from "./addresses.ts";
import { ValueError } from "./value-error.ts";

export interface ValueKind<T> {
  /** What stands for the value in help texts. "" for a switch. */
  readonly placeholder: string;
  /** Throws ValueError. */
  parse(text: string): T;
}

const TRUE_WORDS = ["true", "t", "1", "yes", "on"];
const FALSE_WORDS = ["false", "f", "0", "no", "off"];

export const SWITCH: ValueKind<boolean> = {
  placeholder: "",
  parse(text) {
    const word = text.toLowerCase();
    if (!TRUE_WORDS.includes(word) && !FALSE_WORDS.includes(word)) {
      throw new ValueError("it is neither true nor false");
    }
    return TRUE_WORDS.includes(word);
  },
};

export const TEXT: ValueKind<string> = {
  placeholder: "TEXT",
  parse: plainText,
};

/** Absolute, without a slash at its end. */
export const PATH: ValueKind<string> = {
  placeholder: "PATH",
  parse(text) {
    const path = plainText(text).replace(/(?<=.)\/+$/, "");
    if (!path.startsWith("/")) {
      throw new ValueError("it is no absolute path, which begins with /");
    }
    return path;
  },
};

/** A folder of keys in the store: begins and ends with a slash. */
export const KEY_PREFIX: ValueKind<string> = {
  placeholder: "PREFIX",
  parse(text) {
    const prefix = plainText(text).replace(/\/*$/, "/");
    if (!prefix.startsWith("/")) {
      throw new ValueError("it does not begin with /");
    }
    return prefix;
  },
};

export const PAIRS: ValueKind<Readonly<Record<string, string>>> = {
  placeholder: "KEY=VALUE,…",
  parse(text) {
    try {
      return parsePairs(text);
    } catch (error) {
      if (error instanceof PairsError) {
        throw new ValueError(`${error.message}. Write pairs as in region=us-west,disk=ssd`);
      }
      throw error;
    }
  },
};

/** null when empty. */
export const OPTIONAL_HOST: ValueKind<string | null> = {
  placeholder: "ADDRESS",
  parse: (text) => (text === "" ? null : parseHost(text)),
};

export function integer(min: number, max: number): ValueKind<number> {
  return {
    placeholder: "NUMBER",
    parse(text) {
      const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
      if (!(value >= min && value <= max)) {
        throw new ValueError(`it is no whole number from ${min} to ${max}`);
      }
      return value;
    },
  };
}

/** Milliseconds of "4s", "1m30s", "500ms". */
export function duration(minMs: number, maxMs: number): ValueKind<number> {
  return {
    placeholder: "DURATION",
    parse(text) {
      const value = parseDuration(text);
      if (value === undefined && /^[\d.]+$/.test(text)) {
        throw new ValueError(`it has no unit. Write ${shortened(text)}s for seconds`);
      }
      return limited(value, minMs, maxMs, 'it is no duration such as "4s", "1m30s" or "500ms"');
    },
  };
}

/** As duration; a bare number counts seconds, as in fleet. */
export function seconds(minMs: number, maxMs: number): ValueKind<number> {
  return {
    placeholder: "SECONDS",
    parse: (text) =>
      limited(parseSeconds(text), minMs, maxMs, 'it is neither a number of seconds nor a duration such as "500ms"'),
  };
}

function limited(value: number | undefined, minMs: number, maxMs: number, problem: string): number {
  if (value === undefined) {
    throw new ValueError(problem);
  }
  if (value < minMs || value > maxMs) {
    throw new ValueError(`it is not within ${formatDuration(minMs)} and ${formatDuration(maxMs)}`);
  }
  return value;
}

export function oneOf<const Words extends readonly string[]>(...words: Words): ValueKind<Words[number]> {
  return {
    placeholder: words.join("|"),
    parse(text) {
      if (!words.includes(text)) {
        throw new ValueError(`it is none of ${words.join(", ")}`);
      }
      return text;
    },
  };
}

/** null when empty. */
export function optional<T>(kind: ValueKind<T>): ValueKind<T | null> {
  return { placeholder: kind.placeholder, parse: (text) => (text === "" ? null : kind.parse(text)) };
}

export interface ListOptions {
  readonly placeholder: string;
  readonly allowEmpty: boolean;
}

/** `["a","b"]` or `a,b`. The same item twice is refused. */
export function listOf<T>(parseItem: (text: string) => T, options: ListOptions): ValueKind<readonly T[]> {
  return {
    placeholder: `${options.placeholder},…`,
    parse(text) {
      const items = splitList(text).map(parseItem);
      const repeated = items.find((item, index) => items.indexOf(item) !== index);
      if (repeated !== undefined) {
        throw new ValueError(`${JSON.stringify(shortened(String(repeated)))} is in the list twice`);
      }
      if (items.length === 0 && !options.allowEmpty) {
        throw new ValueError("it is empty");
      }
      return items;
    },
  };
}

function splitList(text: string): string[] {
  if (text.startsWith("[") && text.includes('"')) {
    return jsonList(text);
  }
  // "[::1]:2380,…" begins with a bracket, too: only a pair around everything makes a list.
  const inner = /^\[[^[\]]*\]$/.test(text) ? text.slice(1, -1) : text;
  return inner
    .split(",")
    .map((item) => item.trim().replace(/^"(.*)"$/, "$1"))
    .filter((item) => item !== "");
}

function jsonList(text: string): string[] {
  let items: unknown;
  try {
    items = JSON.parse(text);
  } catch {
    throw new ValueError('it is no list such as ["a","b"] or a,b');
  }
  if (!Array.isArray(items) || !items.every((item) => typeof item === "string")) {
    throw new ValueError("it is no list of texts");
  }
  return items;
}

function plainText(text: string): string {
  if (/[\0-\x1f\x7f]/.test(text) || !text.isWellFormed()) {
    throw new ValueError("it contains a control character");
  }
  return text;
}
