/**
 * The lists: which columns, in which order, with or without headings; or the same as data, for programs.
 *
 * Idea. A list says how a row's cells look and what the row is as data. Tables abbreviate and may change their looks; the names of
 * the fields and their meaning in JSON and YAML stay.
 *
 * @module
 */
import { CliError, type CommandContext, EXIT_OK } from "../command.ts";
import type { Tone } from "../output/colour.ts";
import { renderTable } from "../output/table.ts";
import { type Plain, renderYaml } from "../output/yaml.ts";

/** The cells of one row; "" is shown as "-". */
export type Columns<T> = Readonly<Record<string, (item: T, isFull: boolean) => string>>;

export interface Listing<T> {
  readonly columns: Columns<T>;
  /** What a cell looks like on a terminal. */
  readonly tones?: Readonly<Record<string, (cell: string) => Tone | null>>;
  /** Columns of `--output=wide`. */
  readonly wide: readonly string[];
  /** The row as data, by the names of the columns; null: it has none. */
  readonly record: (item: T) => Readonly<Record<string, Plain>>;
}

export const LIST_OUTPUTS = ["table", "wide", "json", "json-pretty", "yaml"] as const;
type Output = (typeof LIST_OUTPUTS)[number];

export interface Layout {
  readonly output: Output;
  readonly fields: readonly string[];
  /** --fields was given: data is narrowed to them, too. */
  readonly isNarrowed: boolean;
}

/** What --output and --fields ask for; refused before the cluster is asked anything. */
export function chosenLayout<T>(context: CommandContext, listing: Listing<T>): Layout {
  const { flags } = context;
  const word = flags.text("output");
  const output = LIST_OUTPUTS.find((candidate) => candidate === word);
  if (output === undefined) throw new CliError(`Unknown output "${word}": use one of ${LIST_OUTPUTS.join(", ")}`);
  const isNarrowed = flags.isGiven("fields");
  if (output === "wide" && !isNarrowed) return { output, fields: listing.wide, isNarrowed };
  const text = flags.text("fields");
  if (text === "") throw new CliError("Must define output format");
  const fields = text.split(",");
  for (const field of fields) {
    if (!Object.hasOwn(listing.columns, field)) throw new CliError(`Invalid key in output format: "${field}"`);
  }
  return { output, fields, isNarrowed };
}

export function printList<T>(
  context: CommandContext,
  listing: Listing<T>,
  layout: Layout,
  items: readonly T[],
): number {
  const { world } = context;
  if (layout.output === "table" || layout.output === "wide") {
    const rows = tableRows(context, listing.columns, layout.fields, items);
    const headings = rows.length - items.length;
    const toneOf = (row: number, cell: string, column: number): Tone | null => {
      if (row < headings) return "bold";
      return listing.tones?.[layout.fields[column] ?? ""]?.(cell) ?? null;
    };
    world.out(renderTable(rows, (cell, row, column) => context.paint(toneOf(row, cell, column), cell)));
    return EXIT_OK;
  }
  const records = items.map((item) => narrowed(listing.record(item), layout));
  if (layout.output === "yaml") world.out(renderYaml(records));
  else world.out(`${JSON.stringify(records, null, layout.output === "json-pretty" ? 2 : undefined)}\n`);
  return EXIT_OK;
}

function tableRows<T>(
  { flags }: CommandContext,
  columns: Columns<T>,
  fields: readonly string[],
  items: readonly T[],
): string[][] {
  const isFull = flags.isOn("full");
  const rows = items.map((item) => fields.map((field) => columns[field]?.(item, isFull) || "-"));
  const headings = flags.isOn("no-legend") ? [] : [fields.map((field) => field.toUpperCase())];
  return [...headings, ...rows];
}

function narrowed(
  record: Readonly<Record<string, Plain>>,
  { fields, isNarrowed }: Layout,
): Readonly<Record<string, Plain>> {
  if (!isNarrowed) return record;
  const chosen: Record<string, Plain> = {};
  for (const field of fields) {
    const value = record[field];
    if (value !== undefined) chosen[field] = value;
  }
  return chosen;
}
