/**
 * The data directory: who this machine is, and which cluster its data belongs to.
 *
 *   identity.json   {"version":1,"identity":"…","cluster":"…","members":["host:port"…]}   written at the first start; members
 *                   are what initial_cluster said then, for messages alone. On an etcd also "registry":{"prefix":"…","name":"…"}
 *   raft.db         log, hard state and snapshots (raft/adapters); not on an etcd
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
  /** The registry in an etcd that this machine was in last. */
  readonly registry?: NamedRegistry;
}

export interface NamedRegistry {
  /** Below which its keys lie. */
  readonly prefix: string;
  readonly name: string;
}

interface IdentityRecord extends DataIdentity {
  readonly version: number;
  /** Empty for a cluster of one, and where an older release wrote the file. */
  readonly members: readonly string[];
}

export class DataDirError extends Error {
  readonly code = "data-dir";
}

export interface NamedCluster {
  readonly id: string;
  /** Peer addresses of its first members. */
  readonly members: readonly string[];
}

/** The cluster of a machine whose store is an etcd: nothing of the store lies in the directory, so any etcd will do. */
export const ETCD_CLUSTER: NamedCluster = { id: "etcd", members: [] };

/** @param cluster What initial_cluster says; null for a cluster of one; ETCD_CLUSTER. */
export async function openDataDir(path: string, cluster: NamedCluster | null): Promise<DataIdentity> {
  await prepare(path);
  const file = join(path, "identity.json");
  const known = await readIdentity(file);
  if (known === null) {
    const identity: DataIdentity = {
      identity: randomHex(IDENTITY_BYTES),
      clusterId: cluster?.id ?? `${SOLITARY_PREFIX}${randomHex(IDENTITY_BYTES / 2)}`,
    };
    await writeIdentity(file, { ...identity, version: FORMAT_VERSION, members: cluster?.members ?? [] });
    return identity;
  }
  if (cluster === null ? !isSolitary(known) : known.clusterId !== cluster.id) throw otherCluster(path, known, cluster);
  return known;
}

/** Of a directory that was opened before. */
export async function rememberRegistry(path: string, registry: NamedRegistry): Promise<void> {
  const file = join(path, "identity.json");
  const known = await readIdentity(file);
  if (known === null)
    throw new DataDirError(`Writing "${file}" failed: it was removed while the daemon runs; restart flt`);
  await writeIdentity(file, { ...known, registry });
}

async function writeIdentity(file: string, { clusterId, ...rest }: IdentityRecord): Promise<void> {
  await writeWhole(file, `${JSON.stringify({ ...rest, cluster: clusterId })}\n`);
}

/** Marks clusters that were never given a list of members. */
const SOLITARY_PREFIX = "solo-";

function isSolitary({ clusterId }: Pick<DataIdentity, "clusterId">): boolean {
  return clusterId.startsWith(SOLITARY_PREFIX);
}

/** Ids tell an operator nothing: options and lists of members do. */
function otherCluster(path: string, known: IdentityRecord, wanted: NamedCluster | null): DataDirError {
  const was = origin(known, known.members);
  const is = wanted === null ? "sets none" : `says ${origin({ clusterId: wanted.id }, wanted.members).option}`;
  const back = was.option === null ? `Remove ${optionOf(wanted)}` : `Set ${was.again} again`;
  return new DataDirError(
    `Starting with the data directory "${path}" failed: it was made ${was.words}, but the configuration ${is}. ${back}, ` +
      "or set data_dir to an empty folder, to leave the old cluster's data and begin anew",
  );
}

interface Origin {
  /** How it was made. */
  readonly words: string;
  /** The option that made it so, as it is written; null: none. */
  readonly option: string | null;
  /** The same for somebody who is to write it again. */
  readonly again: string;
}

function origin(cluster: Pick<DataIdentity, "clusterId">, members: readonly string[]): Origin {
  if (isSolitary(cluster))
    return { words: "without an initial_cluster, for a cluster of one", option: null, again: "" };
  if (cluster.clusterId === ETCD_CLUSTER.id) {
    return { words: "with etcd_servers, for a store in an etcd", option: "etcd_servers", again: "etcd_servers" };
  }
  const option = `initial_cluster=${members.join(",")}`;
  if (members.length > 0) return { words: `with ${option}`, option, again: "initial_cluster to that list" };
  return { words: "with another initial_cluster", option, again: "initial_cluster" };
}

function optionOf(wanted: NamedCluster | null): string {
  return wanted?.id === ETCD_CLUSTER.id ? "etcd_servers" : "initial_cluster";
}

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

async function readIdentity(file: string): Promise<IdentityRecord | null> {
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

function parseRecord(text: string): IdentityRecord | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return null;
    const { version, identity, cluster, members, registry } = value as Record<string, unknown>;
    if (typeof version !== "number" || typeof identity !== "string" || typeof cluster !== "string") return null;
    const isList = Array.isArray(members) && members.every((member) => typeof member === "string");
    return {
      version,
      identity,
      clusterId: cluster,
      members: isList ? members : [],
      ...(isRegistry(registry) ? { registry } : {}),
    };
  } catch {
    // Not JSON: the caller says so with the file's name.
    return null;
  }
}

function isRegistry(value: unknown): value is NamedRegistry {
  if (typeof value !== "object" || value === null) return false;
  const { prefix, name } = value as Record<string, unknown>;
  return typeof prefix === "string" && typeof name === "string";
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
