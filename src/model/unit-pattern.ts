/**
 * Patterns for unit names on the command line, with the meaning that systemctl gives them (fnmatch(3) with FNM_NOESCAPE).
 *
 *   *        any run of characters         [a-c]   one of these
 *   ?        any one character             [!a-c]  one that is none of these; [^a-c] is the same
 *
 * A "\" is itself, since names of units hold it ("dev-sda\x2d1.device"). What has none of * ? [ is a name, not a pattern.
 *
 * Not here. The globs of Conflicts= and Replaces=, which are Go's (glob.ts).
 *
 * @module
 */
import { compileGlob, type Glob } from "./glob.ts";
import { parseUnitName, UNIT_NAME_MAX_LENGTH } from "./unit-name.ts";

const PATTERN_CHARACTER = /[*?[]/;

export function isUnitPattern(text: string): boolean {
  return PATTERN_CHARACTER.test(text);
}

/** Throws GlobError for a class without end. */
export function compileUnitPattern(pattern: string): Glob {
  const { matches } = compileGlob(pattern.replaceAll("\\", "\\\\").replaceAll("[!", "[^"));
  return { pattern, matches };
}

/** A name stands for itself alone. Throws UnitNameError or GlobError for what is neither a name nor a pattern of one. */
export function unitSelector(text: string): Glob {
  if (text.length > UNIT_NAME_MAX_LENGTH || !isUnitPattern(text)) {
    const { name } = parseUnitName(text);
    return { pattern: name, matches: (other) => other === name };
  }
  return compileUnitPattern(text);
}

/** Whether one of these patterns describes the text; true when there are none. */
export function matchesSome(patterns: readonly Glob[], text: string): boolean {
  return patterns.length === 0 || patterns.some((pattern) => pattern.matches(text));
}
