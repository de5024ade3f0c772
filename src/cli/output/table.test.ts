/** @module */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { renderTable } from "./table.ts";

/** Where a terminal with tab stops every eight columns puts the cells of a line. */
function columnsOf(line: string): number[] {
  const columns: number[] = [];
  let at = 0;
  let isInCell = false;
  for (const character of line) {
    if (character === "\t") {
      at += 8 - (at % 8);
      isInCell = false;
    } else {
      if (!isInCell) columns.push(at);
      isInCell = true;
      at += 1;
    }
  }
  return columns;
}

test("a cell that ends on a tab stop still gets a gap", () => {
  expect(renderTable([["1234567", "x"]])).toBe("1234567\tx\n");
  expect(renderTable([["12345678", "x"]])).toBe("12345678\tx\n");
  expect(
    renderTable([
      ["12345678", "x"],
      ["1", "y"],
    ]),
  ).toBe("12345678\tx\n1\t\ty\n");
  expect(renderTable([])).toBe("");
});

test("every column begins at the same tab stop in every row, and no further right than it must", () => {
  const cell = fc.string({ minLength: 1, maxLength: 30, unit: fc.constantFrom("a", "ä", "€", "𝄞", "-") });
  const table = fc.integer({ min: 1, max: 5 }).chain((columns) => {
    return fc.array(fc.array(cell, { minLength: columns, maxLength: columns }), { minLength: 1, maxLength: 8 });
  });
  fc.assert(
    fc.property(table, (rows) => {
      const lines = renderTable(rows).trimEnd().split("\n");
      const starts = columnsOf(lines[0] ?? "");
      for (const line of lines) expect(columnsOf(line)).toEqual(starts);
      for (let column = 1; column < starts.length; column++) {
        const widest = Math.max(...rows.map((row) => [...(row[column - 1] ?? "")].length));
        const gap = (starts[column] ?? 0) - (starts[column - 1] ?? 0) - widest;
        expect(gap).toBeGreaterThan(0);
        expect(gap).toBeLessThanOrEqual(8);
      }
    }),
  );
});
