/**
 * Whether a file is open to every user of the host, by the modes of it and of the folders above it.
 *
 * Not here. Access lists and security modules, which may open or close more; a warning needs no more than this.
 *
 * @module
 */
import { realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";

const READ_BY_OTHERS = 0o004;
const SEARCH_BY_OTHERS = 0o001;

/** False also for what cannot be looked at. */
export function isReadableByAll(path: string): boolean {
  try {
    const real = realpathSync(path);
    if ((statSync(real).mode & READ_BY_OTHERS) === 0) return false;
    for (let folder = dirname(real); ; folder = dirname(folder)) {
      if ((statSync(folder).mode & SEARCH_BY_OTHERS) === 0) return false;
      if (folder === dirname(folder)) return true;
    }
  } catch {
    return false;
  }
}
