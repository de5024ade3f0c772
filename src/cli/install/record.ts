/**
 * The record of what was installed: a line a file with its hash, a line a folder that was made for them.
 *
 * Idea. A file that still has the hash that was written belongs to the installation and may be replaced or removed; one that
 * has another belongs to whoever changed it. Before files are written the record has both hashes of each, the old one and the
 * new, so that an installation that was cut short knows its own.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { decodeText } from "../../lib/text.ts";

export const RECORD_PATH = "/var/lib/flt-install/files";
const FOLDER = "folder";

export interface InstallRecord {
  readonly hashes: ReadonlyMap<string, ReadonlySet<string>>;
  readonly folders: ReadonlySet<string>;
}

export const EMPTY_RECORD: InstallRecord = { hashes: new Map(), folders: new Set() };

export function hashOf(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

export function parseRecord(content: Uint8Array): InstallRecord {
  const hashes = new Map<string, Set<string>>();
  const folders = new Set<string>();
  for (const line of decodeText(content).split("\n")) {
    const at = line.indexOf("  ");
    if (at === -1) continue;
    const path = line.slice(at + 2);
    if (line.slice(0, at) === FOLDER) folders.add(path);
    else hashes.set(path, (hashes.get(path) ?? new Set()).add(line.slice(0, at)));
  }
  return { hashes, folders };
}

export function formatRecord({ hashes, folders }: InstallRecord): string {
  const files = [...hashes].flatMap(([path, each]) => [...each].map((hash) => `${hash}  ${path}\n`));
  return [...files, ...[...folders].map((path) => `${FOLDER}  ${path}\n`)].join("");
}

/** Both, as one. */
export function joinRecords(left: InstallRecord, right: InstallRecord): InstallRecord {
  const hashes = new Map<string, Set<string>>();
  for (const { hashes: some } of [left, right]) {
    for (const [path, each] of some) hashes.set(path, new Set([...(hashes.get(path) ?? []), ...each]));
  }
  return { hashes, folders: new Set([...left.folders, ...right.folders]) };
}
