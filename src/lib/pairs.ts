/**
 * `k=v,k=v`: pairs as configurations, environments and unit files write them.
 *
 * Idea. Blanks and double quotes around keys, values, pairs and the whole are dropped; inside quotes a comma is part of the
 * value; of two pairs with one key the last wins; empty text is no pairs.
 *
 * Not here. What the pairs are for.
 *
 * @module
 */
import { shortened } from "./text.ts";

/** Thrown for text that holds no such pairs. The message is only the reason, beginning with the culprit. */
export class PairsError extends Error {
  readonly code = "bad-pairs";
  constructor(reason: string) {
    super(reason);
    this.name = "PairsError";
  }
}

export interface Pair {
  readonly key: string;
  readonly value: string;
}

/** A plain object with no key twice. Throws PairsError. */
export function parsePairs(text: string): Readonly<Record<string, string>> {
  const pairs = new Map<string, string>();
  for (const part of splitOutsideQuotes(unquoteWhole(text))) {
    if (part.trim() === "") {
      continue;
    }
    const pair = parsePair(part);
    if (pair === undefined) {
      throw new PairsError(`${JSON.stringify(shortened(part.trim()))} is no pair key=value`);
    }
    const problem = pairKeyProblem(pair.key) ?? pairValueProblem(pair.value);
    if (problem !== undefined) {
      throw new PairsError(`in ${JSON.stringify(shortened(part.trim()))} ${problem}`);
    }
    pairs.set(pair.key, pair.value);
  }
  return Object.fromEntries(pairs);
}

/** Splits at the first "="; undefined when there is none or the key is empty. The value may be empty. */
export function parsePair(text: string): Pair | undefined {
  const inner = unquote(text);
  const equals = inner.indexOf("=");
  if (equals === -1) {
    return undefined;
  }
  const key = unquote(inner.slice(0, equals));
  return key === "" ? undefined : { key, value: unquote(inner.slice(equals + 1)) };
}

/** Why a key could not be written as `k=v,k=v` and read again, or undefined. */
export function pairKeyProblem(key: string): string | undefined {
  if (key === "") {
    return "the key is empty";
  }
  if (key !== key.trim()) {
    return "the key begins or ends with a blank";
  }
  return /[\0-\x1f\x7f=,"]/.test(key) || !key.isWellFormed()
    ? `the key ${JSON.stringify(shortened(key))} contains "=", ",", a quote or a control character`
    : undefined;
}

export function pairValueProblem(value: string): string | undefined {
  return /[\0-\x1f\x7f]/.test(value) || !value.isWellFormed()
    ? `the value ${JSON.stringify(shortened(value))} contains a control character`
    : undefined;
}

/** `k=v,k=v`, sorted by key; "" for none. */
export function formatPairs(pairs: Readonly<Record<string, string>>): string {
  return Object.entries(pairs)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}

function unquote(text: string): string {
  const trimmed = text.trim();
  return /^"[^"]*"$/.test(trimmed) ? trimmed.slice(1, -1).trim() : trimmed;
}

/** `"a=b,c=d"`: quotes round all of it, as environment files have them. */
function unquoteWhole(text: string): string {
  const inner = unquote(text);
  return inner.includes("=") ? inner : text;
}

function splitOutsideQuotes(text: string): string[] {
  const parts: string[] = [];
  let part = "";
  let quoted = false;
  for (const character of text) {
    if (character === '"') {
      quoted = !quoted;
    }
    if (character === "," && !quoted) {
      parts.push(part);
      part = "";
    } else {
      part += character;
    }
  }
  if (quoted) {
    throw new PairsError(`a quote is not closed in ${JSON.stringify(shortened(text.trim()))}`);
  }
  parts.push(part);
  return parts;
}
