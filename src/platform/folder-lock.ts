/**
 * A folder that one process has to itself, for as long as that lives: flock(2) on the folder.
 *
 * Idea. The kernel ends the lock with the process, however that ends: nothing stays behind that a later one had to doubt. No
 * file is made in the folder.
 *
 * Invariants.
 * - No child inherits the lock: a journalctl that outlives its daemon keeps nobody out (O_CLOEXEC, which the runtime sets).
 *
 * @module
 */
import { closeSync, constants, openSync } from "node:fs";
import { libc } from "./libc.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;

export interface FolderLock {
  release(): void;
}

/** null: another process has it. Throws what opening the folder throws. */
export function lockFolder(path: string): FolderLock | null {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  if (libc().flock(fd, LOCK_EX | LOCK_NB) !== 0) {
    closeSync(fd);
    return null;
  }
  let isHeld = true;
  return {
    release: () => {
      if (isHeld) closeSync(fd);
      isHeld = false;
    },
  };
}
