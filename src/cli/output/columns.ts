/**
 * Tables for eyes: columns apart by two blanks, numbers to the right, as systemctl and top lay them out.
 *
 * Not here. fleet's tables (table.ts), which scripts cut at tabs.
 *
 * @module
 */

export interface Cell {
  readonly text: string;
  readonly isRight?: boolean;
}

/** Lines without their ends. A row may have fewer cells than others; its last cell is followed by nothing. */
export function renderColumns(rows: readonly (readonly Cell[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    // A text that ends its row pushes nothing aside.
    for (const [column, { text, isRight }] of row.entries()) {
      if (column < row.length - 1 || isRight === true) widths[column] = Math.max(widths[column] ?? 0, text.length);
    }
  }
  return rows.map((row) =>
    row
      .map(({ text, isRight }, column) => {
        const width = widths[column] ?? 0;
        if (isRight === true) return text.padStart(width);
        return column === row.length - 1 ? text : text.padEnd(width);
      })
      .join("  "),
  );
}
