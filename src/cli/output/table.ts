/**
 * Tables as fleet's users know them: columns apart by tabs, wide enough for eight-column tab stops.
 *
 * Idea. A column is as wide as its widest cell and one more, rounded up to a tab stop; the gap is filled with tabs, so
 * that both a terminal and `cut -f` are content. The last cell of a row is followed by nothing.
 *
 * @module
 */

const TAB_STOP = 8;

/** Columns counted in code points, as fleet did. */
function width(cell: string): number {
  let count = 0;
  for (const _ of cell) count++;
  return count;
}

/** @param paint May wrap a cell in what takes no room. */
export function renderTable(
  rows: readonly (readonly string[])[],
  paint: (cell: string, row: number, column: number) => string = (cell) => cell,
): string {
  const stops: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      const stop = Math.floor(width(cell) / TAB_STOP) + 1;
      stops[column] = Math.max(stops[column] ?? 0, stop);
    }
  }
  return rows.map((row, at) => `${renderRow(row, stops, (cell, column) => paint(cell, at, column))}\n`).join("");
}

function renderRow(
  row: readonly string[],
  stops: readonly number[],
  paint: (cell: string, column: number) => string,
): string {
  return row
    .map((cell, column) => {
      if (column === row.length - 1) return paint(cell, column);
      const tabs = (stops[column] ?? 1) - Math.floor(width(cell) / TAB_STOP);
      return `${paint(cell, column)}${"\t".repeat(tabs)}`;
    })
    .join("");
}
