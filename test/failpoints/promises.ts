/**
 * What a member's disk must hold after it was killed: what its port had promised, or that and the one write under way.
 *
 * @module
 */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HardState, LoadedState } from "#raft";
import { openSqliteLog } from "#raft/adapters";

export const PROMISES_FILE = "promises.json";

/** Where the log ends, with the hard state that was written beside it. */
export interface LogEnd {
  readonly hardState: HardState;
  readonly lastIndex: number;
  readonly lastTerm: number;
}

interface Known<T> {
  readonly kept: T;
  /** Under way: it may be there or not. */
  readonly pending: T | null;
}

export interface Promised {
  readonly log: Known<LogEnd | null>;
  /** Index of the snapshot that counts; 0: none. */
  readonly snapshot: Known<number>;
}

export interface Owner {
  readonly clusterId: string;
  readonly nodeId: number;
}

/** What this member's port promised in its last life; null: it had not come so far. */
export function promisesIn(directory: string): Promised | null {
  const file = join(directory, PROMISES_FILE);
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  return text === "" ? null : (JSON.parse(text) as Promised);
}

/** Opens a copy of a dead member's log as a start would, and compares. @returns What is wrong; null: nothing. */
export async function brokenPromise(directory: string, owner: Owner): Promise<string | null> {
  const copy = mkdtempSync(join(tmpdir(), "flt-promises-"));
  try {
    cpSync(directory, copy, { recursive: true });
    return await brokenPromiseIn(copy, owner);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** The same, of a log that nobody needs afterwards. */
export async function brokenPromiseIn(directory: string, owner: Owner): Promise<string | null> {
  const promised = promisesIn(directory);
  try {
    const storage = await openSqliteLog({ path: join(directory, "raft.db"), ...owner });
    try {
      const loaded = await storage.load();
      for await (const _ of (await storage.readSnapshot())?.chunks ?? []);
      return promised === null ? null : difference(promised, loaded);
    } finally {
      await storage.close();
    }
  } catch (error) {
    return `the log cannot be opened: ${String(error)}`;
  }
}

export function difference({ log, snapshot }: Promised, loaded: LoadedState): string | null {
  const last = loaded.entries.at(-1) ?? loaded.snapshot;
  const found: LogEnd = { hardState: loaded.hardState, lastIndex: last?.index ?? 0, lastTerm: last?.term ?? 0 };
  const index = loaded.snapshot?.index ?? 0;
  const isLogRight = log.kept === null || [log.kept, log.pending].some((one) => Bun.deepEquals(one, found));
  if (isLogRight && [snapshot.kept, snapshot.pending].includes(index)) return null;
  return `promised ${JSON.stringify({ log, snapshot })}, found ${JSON.stringify({ log: found, snapshot: index })}`;
}
