/**
 * Lists in one option of the placement section: `"a=b" "c=d"`, `foo* bar*`.
 *
 * Idea. Unit names, patterns and ids hold no blanks, so a blank between bare words separates them. A metadata value may
 * hold blanks: there a bare line is one pair, and what looks like two (`a=b c=d`) is refused, since fleet dropped it.
 *
 * @module
 */
import { UnitOptionsError } from "./unit-file.ts";

const WORDS = /"([^"]*)"(?=\s|$)|([^\s"]+)(?=\s|$)|\s+/gy;
const LOOKS_LIKE_PAIRS = /\s\S*=/;

/**
 * Splits a value. "words": blanks and quotes separate. "pairs": only quoted parts are separate.
 *
 * @param what Option and section, for the message of the UnitOptionsError thrown when quotes do not pair up.
 */
export function splitValues(value: string, kind: "words" | "pairs", what: string): string[] {
  // A continued line keeps its backslash and line break in the option's value.
  const line = value.replaceAll("\\\n", " ").trim();
  if (line === "") {
    return [];
  }
  if (kind === "pairs" && !line.startsWith('"')) {
    if (LOOKS_LIKE_PAIRS.test(line.replace(/^[^=]*=\s*/, ""))) {
      throw new UnitOptionsError(
        `Cannot use ${what}: ${JSON.stringify(line)} looks like several pairs. Quote each: "key=value" "key=value"`,
      );
    }
    return [line];
  }
  const words: string[] = [];
  let end = 0;
  for (const match of line.matchAll(WORDS)) {
    const word = match[1] ?? match[2];
    if (kind === "pairs" && match[2] !== undefined) {
      break;
    }
    end = match.index + match[0].length;
    if (word !== undefined) {
      words.push(word);
    }
  }
  if (end !== line.length) {
    const rule = kind === "pairs" ? "quote each pair, with a blank between them" : "its quotes do not pair up";
    throw new UnitOptionsError(`Cannot use ${what}: cannot split ${JSON.stringify(line)}: ${rule}`);
  }
  return words;
}
