/**
 * node:fs and node:fs/promises with failpoints, as far as raft/adapters uses them: snapshots' files and the reserve.
 *
 * @module
 */
import * as plain from "node:fs";
import { type FileHandle, open as openPlain, unlink as unlinkPlain } from "node:fs/promises";
import { isDue, pass } from "./failpoint.ts";

export {
  chmodSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
export type { FileHandle };

/** What a torn write leaves: the first half. */
const half = (length: number) => Math.floor(length / 2);

export async function open(path: string, flags: string, mode?: number): Promise<FileHandle> {
  if (flags === "r") {
    const file = await openPlain(path, flags);
    if ((await file.stat()).isDirectory()) guardSync(file, "directory");
    return file;
  }
  pass("snapshot.create");
  const file = await openPlain(path, flags, mode);
  pass("snapshot.created");
  guardSync(file, "snapshot");
  const write = file.write.bind(file);
  Object.assign(file, {
    async write(bytes: Uint8Array, offset: number, length: number) {
      pass("slice.write");
      if (isDue("slice.torn")) await write(bytes, offset, half(length));
      pass("slice.torn");
      const written = await write(bytes, offset, length);
      pass("slice.written");
      return written;
    },
  });
  return file;
}

function guardSync(file: FileHandle, what: string): void {
  const sync = file.sync.bind(file);
  file.sync = async () => {
    pass(`${what}.sync`);
    await sync();
    pass(`${what}.synced`);
  };
  const datasync = file.datasync.bind(file);
  file.datasync = async () => {
    pass(`${what}.piece-sync`);
    await datasync();
  };
}

export async function unlink(path: string): Promise<void> {
  pass("prune");
  await unlinkPlain(path);
  pass("pruned");
}

export function unlinkSync(path: string): void {
  pass("prune");
  plain.unlinkSync(path);
  pass("pruned");
}

export function openSync(path: string, flags: string | number, mode?: number): number {
  const isReserve = path.endsWith(".reserve");
  if (isReserve) pass("reserve.create");
  const file = plain.openSync(path, flags, mode);
  if (isReserve) pass("reserve.created");
  if (flags === "r") directories.add(file);
  return file;
}

/** What raft/adapters opens to read is a directory, to be synced. */
const directories = new Set<number>();

export function closeSync(file: number): void {
  directories.delete(file);
  plain.closeSync(file);
}

/** Behind the slots of the reserve: the note of what was committed last. */
const NOTE_AT = 8192;

export function writeSync(file: number, bytes: Uint8Array, offset: number, length: number, at: number): number {
  if (at >= NOTE_AT) return writeNote(file, bytes, offset, length, at);
  pass("reserve.write");
  if (isDue("reserve.torn")) plain.writeSync(file, bytes, offset, half(length), at);
  pass("reserve.torn");
  return plain.writeSync(file, bytes, offset, length, at);
}

function writeNote(file: number, bytes: Uint8Array, offset: number, length: number, at: number): number {
  pass("note.write");
  if (isDue("note.torn")) plain.writeSync(file, bytes, offset, half(length), at);
  pass("note.torn");
  const written = plain.writeSync(file, bytes, offset, length, at);
  pass("note.written");
  return written;
}

export function renameSync(from: string, to: string): void {
  pass("rename");
  plain.renameSync(from, to);
  pass("renamed");
}

export function fsyncSync(file: number): void {
  const point = directories.has(file) ? "reserve.directory-sync" : "reserve.found-sync";
  pass(point);
  plain.fsyncSync(file);
  pass(`${point}ed`);
}

export function fdatasyncSync(file: number): void {
  pass("reserve.sync");
  plain.fdatasyncSync(file);
  pass("reserve.synced");
}
