/**
 * Folders for the tests of one file that need a real disk.
 *
 * Idea. A test asks for as many as it likes; all go when the file's tests are over, whether they passed or not. scripts/test.ts
 * counts what a run leaves behind, and fails it.
 *
 * @module
 */
import { afterAll } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** To be called at the top of a test file: returns what makes a new, empty folder per call, named after `name`. */
export function temporaryFolders(name: string): () => string {
  const made: string[] = [];
  afterAll(() => {
    for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
  });
  return () => {
    const folder = mkdtempSync(join(tmpdir(), `flt-${name}-`));
    made.push(folder);
    return folder;
  };
}
