/**
 * The power fails: what was not synced is on the disk, or not, or in part. The log must open, with exactly what it had promised.
 *
 * Problem. A killed process loses nothing that it wrote, the kernel still has it; and bun:sqlite offers no place to put a disk of one's own.
 * Idea. strace writes down what a log does to its files (script.ts). From that record the disk is made as it may be after the power failed
 * at any moment: each file has what was synced, and of the rest each write as a whole, not at all, or its first sectors; names that the
 * directory's sync did not cover are there up to some moment. Then the production adapter opens it.
 *
 * @module
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { SeededRandom } from "../sim/random.ts";
import { type FileCall, fileCalls, TRACE } from "./calls.ts";
import { brokenPromiseIn, PROMISES_FILE } from "./promises.ts";
import { STRACE } from "./tracer.ts";

const SECTOR_BYTES = 512;
/** Disks are made by the hundred: their own syncs prove nothing. */
const MEMORY = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
const OWNER = { clusterId: "c", nodeId: 1 };

type Change = Extract<FileCall, { readonly kind: "write" | "truncate" }>;
type Naming = Extract<FileCall, { readonly kind: "create" | "unlink" | "rename" }>;

/** A file, by whatever names it had. */
interface Inode {
  synced: number;
  readonly changes: { readonly at: number; readonly change: Change }[];
}

/** What a log does to its files in a life of so many steps. */
export function recordedLife(seed: number, steps: number): readonly FileCall[] {
  const folder = mkdtempSync(join(tmpdir(), "flt-power-"));
  try {
    const directory = join(folder, "data");
    mkdirSync(directory);
    const output = join(folder, "trace");
    const words = [process.execPath, join(import.meta.dir, "script.ts"), directory, String(seed), String(steps)];
    const { exitCode, stderr } = Bun.spawnSync([STRACE, ...TRACE, "-o", output, ...words]);
    if (exitCode !== 0) throw new Error(`Record a log's life: ${stderr.toString().slice(-2000)}`);
    return fileCalls(readFileSync(output, "latin1"), directory);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @returns What is wrong with the log when the power fails before the call `moment`; null: nothing. */
export async function powerLoss(
  calls: readonly FileCall[],
  moment: number,
  random: SeededRandom,
): Promise<string | null> {
  const folder = mkdtempSync(join(MEMORY, "flt-power-"));
  try {
    const { names, inodes } = diskAt(calls, moment, random);
    for (const [name, inode] of names) {
      // The record of promises is the test's own, and stands for the memory of those who were promised something.
      const isRecord = name === PROMISES_FILE;
      writeFileSync(join(folder, name), contentOf(inodes.get(inode), isRecord, random), { mode: 0o600 });
    }
    return await brokenPromiseIn(folder, OWNER);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Disk {
  /** Inodes by name. */
  readonly names: ReadonlyMap<string, number>;
  readonly inodes: ReadonlyMap<number, Inode>;
}

function diskAt(calls: readonly FileCall[], moment: number, random: SeededRandom): Disk {
  const inodes = new Map<number, Inode>();
  /** As the process sees them. */
  const live = new Map<string, number>();
  const namings: { readonly at: number; readonly apply: (names: Map<string, number>) => void }[] = [];
  let namesSynced = 0;
  calls.slice(0, moment).forEach((call, at) => {
    const name = basename(call.path);
    if (call.kind === "sync") {
      const inode = inodes.get(live.get(name) ?? -1);
      if (inode !== undefined) inode.synced = Math.max(inode.synced, call.since);
      else if (call.path !== "") namesSynced = Math.max(namesSynced, call.since);
    } else if (call.kind === "write" || call.kind === "truncate") {
      inodes.get(live.get(name) ?? -1)?.changes.push({ at, change: call });
    } else if (call.kind !== "create" || !live.has(name)) {
      if (call.kind === "create") inodes.set(at, { synced: 0, changes: [] });
      const apply = naming(call, at);
      apply(live);
      namings.push({ at, apply });
    }
  });
  const names = new Map<string, number>();
  const kept = random.int(Math.min(namesSynced, moment), moment);
  for (const { at, apply } of namings) if (at < kept) apply(names);
  const record = live.get(PROMISES_FILE);
  if (record !== undefined) names.set(PROMISES_FILE, record);
  return { names, inodes };
}

function naming(call: Naming, at: number): (names: Map<string, number>) => void {
  const name = basename(call.path);
  if (call.kind === "create") return (names) => void names.set(name, at);
  if (call.kind === "unlink") return (names) => void names.delete(name);
  return (names) => {
    const inode = names.get(name);
    names.delete(name);
    if (inode !== undefined) names.set(basename(call.to), inode);
  };
}

function contentOf(inode: Inode | undefined, isWhole: boolean, random: SeededRandom): Uint8Array {
  const changes = inode?.changes ?? [];
  const room = changes.reduce(
    (most, { change }) => most + (change.kind === "write" ? endOf(change, most) - most : 0),
    0,
  );
  const content = new Uint8Array(room);
  let size = 0;
  let end = 0;
  for (const { at, change } of changes) {
    const isThere = isWhole || at < (inode?.synced ?? 0);
    const share = isThere ? 1 : ([0, 1, random.next()][random.int(0, 2)] ?? 0);
    if (change.kind === "truncate") {
      if (share < 1) continue;
      content.fill(0, change.size, size);
      size = change.size;
      continue;
    }
    const from = change.at ?? end;
    const { length } = change.bytes;
    if (change.at === null) end += length;
    const written = share === 1 ? length : Math.floor((share * length) / SECTOR_BYTES) * SECTOR_BYTES;
    if (written === 0) continue;
    content.set(change.bytes.subarray(0, written), from);
    size = Math.max(size, from + written);
  }
  return content.subarray(0, size);
}

/** Where a file ends at the least after this write, when it ended at `before`. */
function endOf({ at, bytes }: Extract<Change, { readonly kind: "write" }>, before: number): number {
  return at === null ? before + bytes.length : Math.max(before, at + bytes.length);
}
