/**
 * Roff for man(7): the few macros that the manual needs, and the escapes that keep a text what it is.
 *
 * Problem. A dash may come out as a hyphen that no shell takes, a line that begins with a dot is an order, a backslash begins one.
 * Idea. Texts go through `asRoff` exactly once, here; the pages hand over plain words.
 * Invariant. The result is ASCII: it looks the same in every locale.
 *
 * @module
 */

/** What stands in a page below its headings. */
export type Block =
  /** A paragraph. */
  | { readonly kind: "text"; readonly text: string }
  /** A term and what it means, as in a list of flags. */
  | { readonly kind: "term"; readonly term: string; readonly text: string }
  /** Lines that stay as they are. */
  | { readonly kind: "verbatim"; readonly lines: readonly string[] };

export interface Section {
  readonly title: string;
  readonly blocks: readonly Block[];
}

export interface Page {
  /** "flt-start" */
  readonly name: string;
  readonly section: 1 | 5 | 8;
  /** What `whatis` shows. */
  readonly summary: string;
  readonly synopsis: readonly string[];
  readonly sections: readonly Section[];
  /** Pages that belong to it: "flt(1)". */
  readonly seeAlso: readonly string[];
}

export function text(words: string): Block {
  return { kind: "text", text: words };
}

export function term(name: string, words: string): Block {
  return { kind: "term", term: name, text: words };
}

export function verbatim(...lines: readonly string[]): Block {
  return { kind: "verbatim", lines };
}

export function renderPage(page: Page, version: string): string {
  const manual = page.section === 1 ? "Commands" : page.section === 5 ? "File formats" : "System administration";
  return [
    `.TH ${quoted(page.name.toUpperCase())} ${page.section} "" ${quoted(`flt ${version}`)} ${quoted(manual)}`,
    // Words stay whole, and the right margin ragged: flags and paths are read letter by letter.
    ".nh",
    ".ad l",
    ".SH NAME",
    `${asRoff(page.name)} \\- ${asRoff(page.summary)}`,
    ".SH SYNOPSIS",
    ...page.synopsis.flatMap((line, index) => [...(index === 0 ? [] : [".br"]), bold(line)]),
    ...page.sections.flatMap(({ title, blocks }) => [`.SH ${quoted(title)}`, ...blocks.flatMap(renderBlock)]),
    ".SH SEE ALSO",
    asRoff(page.seeAlso.join(", ")),
    "",
  ].join("\n");
}

function renderBlock(block: Block): string[] {
  switch (block.kind) {
    case "text":
      return [".PP", asRoff(block.text)];
    case "term":
      return [".TP", bold(block.term), asRoff(block.text)];
    case "verbatim":
      return [".PP", ".RS 4", ".nf", ...block.lines.map(asRoff), ".fi", ".RE"];
  }
}

function bold(words: string): string {
  return words === "" ? "" : `\\fB${asRoff(words)}\\fR`;
}

function quoted(words: string): string {
  return `"${asRoff(words).replaceAll('"', '""')}"`;
}

const PLAIN: readonly (readonly [RegExp, string])[] = [
  [/\s*\n\s*/g, " "],
  [/\\/g, "\\e"],
  [/-/g, "\\-"],
  [/…/g, "..."],
  [/[“”]/g, '"'],
  [/~/g, "\\(ti"],
  [/\^/g, "\\(ha"],
  [/`/g, "\\(ga"],
  [/'/g, "\\(aq"],
];

/** Words as roff: whatever they hold, they are shown and never obeyed. */
export function asRoff(words: string): string {
  const plain = PLAIN.reduce((result, [pattern, by]) => result.replace(pattern, by), words);
  const ascii = plain.replace(/[^\x20-\x7e]/gu, (character) => {
    return `\\[u${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}]`;
  });
  return ascii.startsWith(".") ? `\\&${ascii}` : ascii;
}
