/**
 * Plain data as YAML: blocks, one value a line, every string in double quotes.
 *
 * Problem. Readers of YAML 1.1, which most tools still are, take an unquoted 12:30 for a number of minutes, 2026-01-31 for a date and
 * `no` for false; Bun's own writer leaves the first two bare. Metadata and descriptions hold such things.
 * Idea. A string as JSON writes it is a string to every YAML reader; only the keys are left bare, where they are plain words.
 *
 * @module
 */

export type Plain = string | number | boolean | null | readonly Plain[] | { readonly [key: string]: Plain };

export function renderYaml(value: Plain): string {
  return `${block(value, "").join("\n")}\n`;
}

/** Words that are no strings to some reader, bare. */
const NOT_BARE = new Set(["y", "n", "yes", "no", "on", "off", "true", "false", "null"]);

function block(value: Plain, indent: string): string[] {
  if (isList(value)) {
    if (value.length === 0) return [`${indent}[]`];
    // The first line of an item stands behind its dash.
    return value.flatMap((item) => {
      const [first = "", ...rest] = block(item, `${indent}  `);
      return [`${indent}- ${first.slice(indent.length + 2)}`, ...rest];
    });
  }
  if (typeof value !== "object" || value === null) return [`${indent}${scalar(value)}`];
  const entries = Object.entries(value);
  if (entries.length === 0) return [`${indent}{}`];
  return entries.flatMap(([name, item]) => {
    const isNested = typeof item === "object" && item !== null && Object.keys(item).length > 0;
    if (isNested) return [`${indent}${key(name)}:`, ...block(item, `${indent}  `)];
    return [`${indent}${key(name)}: ${block(item, "").join("")}`];
  });
}

function isList(value: Plain): value is readonly Plain[] {
  return Array.isArray(value);
}

function key(name: string): string {
  return /^[a-z_]\w*$/i.test(name) && !NOT_BARE.has(name.toLowerCase()) ? name : quoted(name);
}

function scalar(value: string | number | boolean | null): string {
  return typeof value === "string" ? quoted(value) : String(value);
}

/** JSON leaves a few characters bare that YAML 1.1 takes for line breaks. */
function quoted(text: string): string {
  return JSON.stringify(text).replace(/[\x7f-\x9f\u2028\u2029\ufeff]/g, (character) => {
    return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`;
  });
}
