/**
 * DirectoryWatch: notices when somebody deletes a unit file, or the whole units directory.
 *
 * Idea. The kernel tells (inotify); of what it tells, only names that are missing now matter. When the directory itself goes, whoever
 * puts the files back makes it again, and opens this watch anew.
 *
 * Invariants.
 * - Without a watch (the host has no inotify to spare) everything else works: what was deleted shows when systemd reloads.
 *
 * @module
 */
import { type FSWatcher, watch } from "node:fs";
import { basename } from "node:path";
import { type Log, reasonOf } from "../../lib/log.ts";
import type { UnitDirectory } from "./unit-directory.ts";

export interface DirectoryWatchOptions {
  readonly directory: UnitDirectory;
  readonly log: Log;
  /** Units whose files ought to be there. */
  readonly names: () => Iterable<string>;
  readonly isHeld: (name: string) => boolean;
  readonly onMissing: (name: string) => void;
}

export class DirectoryWatch {
  readonly #options: DirectoryWatchOptions;
  #watcher: FSWatcher | null = null;

  constructor(options: DirectoryWatchOptions) {
    this.#options = options;
  }

  /** Open already: nothing to do. */
  open(): void {
    if (this.#watcher !== null) return;
    const { directory, log } = this.#options;
    try {
      const watcher = watch(directory.path, { persistent: false });
      watcher.on("change", (_, file) => this.#changed(String(file)));
      watcher.on("error", (error) => log.debug("The watch on the units directory failed", { reason: reasonOf(error) }));
      this.#watcher = watcher;
    } catch (error) {
      log.warning("Cannot watch the units directory: files that are deleted there are missed until systemd reloads", {
        reason: reasonOf(error),
      });
    }
  }

  close(): void {
    this.#watcher?.close();
    this.#watcher = null;
  }

  #changed(file: string): void {
    const { directory, isHeld, onMissing, names } = this.#options;
    if (file === basename(directory.path)) {
      // The directory that was watched is gone. Another one may be there by now.
      this.close();
      if (directory.exists) this.open();
      for (const name of [...names()]) if (!directory.has(name)) onMissing(name);
    } else if (isHeld(file) && !directory.has(file)) onMissing(file);
  }
}
