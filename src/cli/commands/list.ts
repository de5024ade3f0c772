/**
 * The tables: which columns, in which order, with or without headings.
 *
 * @module
 */
import { CliError, type CommandContext, EXIT_OK } from "../command.ts";
import { renderTable } from "../table.ts";

/** The cells of one row; "" is shown as "-". */
export type Columns<T> = Readonly<Record<string, (item: T, isFull: boolean) => string>>;

/** The columns that --fields asks for; refused before the cluster is asked anything. */
export function chosenFields<T>(context: CommandContext, columns: Columns<T>): string[] {
  const text = context.flags.text("fields");
  if (text === "") throw new CliError("Must define output format");
  const fields = text.split(",");
  for (const field of fields) {
    if (!Object.hasOwn(columns, field)) throw new CliError(`Invalid key in output format: "${field}"`);
  }
  return fields;
}

export function printTable<T>(
  context: CommandContext,
  columns: Columns<T>,
  fields: readonly string[],
  items: readonly T[],
): number {
  const isFull = context.flags.isOn("full");
  const rows = items.map((item) => fields.map((field) => columns[field]?.(item, isFull) || "-"));
  const headings = context.flags.isOn("no-legend") ? [] : [fields.map((field) => field.toUpperCase())];
  context.world.out(renderTable([...headings, ...rows]));
  return EXIT_OK;
}
