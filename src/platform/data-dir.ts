/**
 * The data directory: who this machine is, and which cluster its data belongs to.
 *
 *   identity.json   {"version":1,"identity":"…","cluster":"…"}   written once, at the first start
 *   raft.db         log, hard state and snapshots (raft/adapters)
 *
 * Idea. The identity tells a restart from a second host with the same machine-id. The cluster is the id derived from
 * initial_cluster, or a random one for a cluster of one; a directory never changes cluster.
 *
 * Invariants.
 * - The file is written whole and synced before its name appears; a torn one cannot be read.
 *
 * @module
 */
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { randomHex } from "./random.ts";

const FORMAT_VERSION = 1;
const IDENTITY_BYTES = 16;

export interface DataIdentity {
  readonly identity: string;
  /** The cluster this directory belongs to. */
  readonly clusterId: string;
}

export class DataDirError extends Error {
  readonly code = "data-dir";
}

/** @param derivedClusterId What initial_cluster says; null for a cluster of one. */
export async function openDataDir(path: string, derivedClusterId: string | null): Promise<DataIdentity> {
  await prepare(path);
  const file = join(path, "identity.json");
  const known = await readIdentity(file);
  if (known === null) {
    const identity: DataIdentity = {
      identity: randomHex(IDENTITY_BYTES),
      clusterId: derivedClusterId ?? `${SOLITARY_PREFIX}${randomHex(IDENTITY_BYTES / 2)}`,
    };
    const record = { version: FORMAT_VERSION, identity: identity.identity, cluster: identity.clusterId };
    await writeWhole(file, `${JSON.stringify(record)}\n`);
    return identity;
  }
  const wanted = derivedClusterId ?? "a cluster of one (initial_cluster is not set)";
  const solitary = known.clusterId.startsWith(SOLITARY_PREFIX);
  if (derivedClusterId === null ? !solitary : known.clusterId !== derivedClusterId) {
    throw new DataDirError(
      `Starting with the data directory "${path}" failed: it belongs to ${solitary ? "a cluster of one" : `cluster ${known.clusterId}`}, ` +
        `but the configuration names ${derivedClusterId === null ? wanted : `cluster ${wanted}`}. Restore the initial_cluster it was made with, ` +
        "or give this daemon an empty data_dir",
    );
  }
  return known;
}

/** Marks clusters that were never given a list of members. */
const SOLITARY_PREFIX = "solo-";

async function prepare(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const why = existsSync(path) && !statSync(path).isDirectory() ? "it is a file" : wordsOf(error);
    throw new DataDirError(`Using the data directory "${path}" failed: ${why}; ${adviceFor(error)}`, { cause: error });
  }
}

function adviceFor(error: unknown): string {
  const isDenied = error instanceof Error && "code" in error && error.code === "EACCES";
  return isDenied && process.getuid?.() !== 0
    ? "run the daemon as root, or with --systemd-user to try it without"
    : "make it a folder that can be written, or set data_dir";
}

async function readIdentity(file: string): Promise<DataIdentity | null> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw new DataDirError(`Reading "${file}" failed: ${wordsOf(error)}`, { cause: error });
  }
  const record = parseRecord(text);
  if (record === null) {
    throw new DataDirError(
      `Reading "${file}" failed: it is damaged; restore it from a copy. The rest of its cluster goes on without this member`,
    );
  }
  if (record.version !== FORMAT_VERSION) {
    throw new DataDirError(
      `Reading "${file}" failed: it has format ${record.version}, this flt knows ${FORMAT_VERSION}; use the newer flt that wrote it`,
    );
  }
  return record;
}

function parseRecord(text: string): (DataIdentity & { readonly version: number }) | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return null;
    const { version, identity, cluster } = value as Record<string, unknown>;
    if (typeof version !== "number" || typeof identity !== "string" || typeof cluster !== "string") return null;
    return { version, identity, clusterId: cluster };
  } catch {
    // Not JSON: the caller says so with the file's name.
    return null;
  }
}

async function writeWhole(file: string, text: string): Promise<void> {
  const temporary = `${file}.new`;
  try {
    const handle = await open(temporary, "w", 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    const directory = await open(dirname(file), "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  } catch (error) {
    throw new DataDirError(`Writing "${file}" failed: ${wordsOf(error)}`, { cause: error });
  }
}

/** "EACCES: permission denied, mkdir '/x'" without the call and the path, which the message names already. */
export function wordsOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return /^[A-Z]+: ([^,]+)/.exec(text)?.[1] ?? text;
}
