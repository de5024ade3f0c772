/**
 * Damaged files make room for new ones: moved into a folder beside them, never deleted in silence.
 *
 *     raft.db  raft.db-wal  raft.db.reserve  raft.db.snapshot-4      ->   raft.db.damaged-2026-11-21T10-15-00Z/
 *     raft.db.new                                                    ->   raft.db
 *
 * Problem. A log without its write-ahead file looks sound and is older; no log at all looks like a new member's. A crash in the
 * middle must leave neither behind.
 * Idea. The new log is made whole under another name first. Once `raft.db.new` has its name the old files do not count any more, and the
 * rest can be done again by any later start.
 *
 * Invariants.
 * - As long as there is no `raft.db.new`, the old files are untouched, but for a damaged snapshot, whose absence is damage, too.
 *
 * @module
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { syncDirectory } from "./hard-state-reserve.ts";
import { DiskFailedError } from "./log-errors.ts";

/** Of one log, beside snapshots. */
const COMPANIONS = ["", "-wal", "-shm", "-journal", ".reserve", ".condemned"];
/** Folders of damaged files that are kept; they can be as large as the log and its snapshot. */
const KEPT_FOLDERS = 3;

/** The next start is not to believe this log, though it may look sound. @throws DiskFailedError with the reason: that start will not know it. */
export function condemn(path: string, reason: string): void {
  try {
    writeFileSync(`${path}.condemned`, reason, { mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new DiskFailedError(`Note for the next start that the raft log is damaged (${reason})`, error);
  }
}

/** Why this log was condemned, also by an operator; null: it was not. */
export function reasonToCondemn(path: string): string | null {
  const condemned = `${path}.condemned`;
  if (!existsSync(condemned)) return null;
  return readFileSync(condemned, "utf8").trim() || `"${condemned}" is there, without a reason in it`;
}

/** The path under which the next log is made. */
export function makingPath(path: string): string {
  const making = `${path}.making`;
  for (const suffix of COMPANIONS) rmSync(making + suffix, { force: true });
  return making;
}

/** A file that is damaged for itself alone. @returns where it went. */
export function setAsideFile(path: string, name: string, at: Date): string {
  const folder = folderOf(path, at);
  move(join(dirname(path), name), folder);
  return folder;
}

/** The new log is closed and whole: from now on it counts. @returns where the old files went. */
export function replaceLog(path: string, at: Date): string {
  utimesSync(`${path}.making`, at, at);
  renameSync(`${path}.making`, `${path}.new`);
  syncDirectory(dirname(path));
  return finishReplacing(path) ?? "";
}

/** At the start: what a crash interrupted. @returns where the old files went, null when there was nothing to do. */
export function finishReplacing(path: string): string | null {
  if (!existsSync(`${path}.new`)) return null;
  const folder = folderOf(path, statSync(`${path}.new`).mtime);
  for (const suffix of COMPANIONS) move(path + suffix, folder);
  if (existsSync(folder)) syncDirectory(folder);
  renameSync(`${path}.new`, path);
  syncDirectory(dirname(path));
  forgetOldFolders(path);
  return folder;
}

function folderOf(path: string, at: Date): string {
  const date = at
    .toISOString()
    .replace(/\.\d+Z$/, "Z")
    .replaceAll(":", "-");
  return `${path}.damaged-${date}`;
}

function move(file: string, folder: string): void {
  if (!existsSync(file)) return;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  renameSync(file, join(folder, basename(file)));
}

function forgetOldFolders(path: string): void {
  const prefix = `${basename(path)}.damaged-`;
  const folders = readdirSync(dirname(path)).filter((name) => name.startsWith(prefix));
  for (const name of folders.sort().slice(0, -KEPT_FOLDERS)) rmSync(join(dirname(path), name), { recursive: true });
}
