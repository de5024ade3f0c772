/** A file is as open as the most closed thing on its way. */
import { afterAll, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isReadableByAll } from "./public-file.ts";

const folder = mkdtempSync(join(tmpdir(), "flt-public-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("the file's mode counts, that of its folders, and what a link leads to", () => {
  const inner = join(folder, "inner");
  const file = join(inner, "flt.conf");
  const link = join(folder, "link");
  mkdirSync(inner);
  writeFileSync(file, "");
  symlinkSync(file, link);
  const seen = (mode: number, inside: number) => {
    chmodSync(folder, 0o755);
    chmodSync(inner, inside);
    chmodSync(file, mode);
    return [isReadableByAll(file), isReadableByAll(link)];
  };
  expect(seen(0o644, 0o755)).toEqual([true, true]);
  expect(seen(0o640, 0o755)).toEqual([false, false]);
  expect(seen(0o600, 0o755)).toEqual([false, false]);
  expect(seen(0o644, 0o750)).toEqual([false, false]);
  expect(isReadableByAll(join(folder, "none"))).toBe(false);
});
