/**
 * keepFile: a file is there, and says this.
 *
 * Invariants.
 * - It is there whole or as it was before: with no room to write another one, the one that is there stays.
 *
 * Not here. Folders: they are there, or this fails with ENOENT.
 *
 * @module
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";

export function keepFile(file: string, text: string): void {
  if (textOf(file) === text) return;
  const temporary = `${file}.tmp`;
  try {
    writeFileSync(temporary, text, { mode: 0o644 });
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export function isMissing(error: unknown): boolean {
  return hasCode(error, "ENOENT");
}

/** Neither a block nor an inode is left. */
export function isFull(error: unknown): boolean {
  return hasCode(error, "ENOSPC");
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
