/**
 * Who a log belongs to, and in which format it is: the rows of its table `meta`.
 *
 * Idea. The rows are few and never change but for a recovery, so one checksum stands for all of them.
 *
 * Invariants.
 * - A flipped bit in a name is damage, not another cluster's log.
 *
 * @module
 */
import type { Database } from "bun:sqlite";
import { crc32 } from "node:zlib";
import { CorruptLogError } from "../driver/ports.ts";
import type { NodeId } from "../types.ts";
import { IdentityMismatchError, NewerFormatError } from "./log-errors.ts";

const SOUND_FORMAT = 1;
/** A release that does not know of recoveries would let the node vote: so the log has another format while one is under way. */
const RECOVERING_FORMAT = 2;

export interface LogIdentity {
  readonly clusterId: string;
  readonly nodeId: NodeId;
}

/** @throws IdentityMismatchError, NewerFormatError, CorruptLogError. @returns the recovery under way. */
export function checkMeta(database: Database, path: string, identity: LogIdentity): number | undefined {
  const meta = new Map(database.query("SELECT key, value FROM meta").values() as [string, unknown][]);
  const format = Number(meta.get("format"));
  if (format > RECOVERING_FORMAT) throw new NewerFormatError(path, format, RECOVERING_FORMAT);
  // Logs of earlier releases have no checksum here; they get one with the first recovery.
  const check = meta.get("check");
  meta.delete("check");
  if (check !== undefined && check !== checkOf(meta)) {
    throw new CorruptLogError("Read the raft log: the checksum of its names is wrong");
  }
  const found = { clusterId: String(meta.get("cluster")), nodeId: Number(meta.get("node")) };
  if (found.clusterId !== identity.clusterId || found.nodeId !== identity.nodeId) {
    throw new IdentityMismatchError(path, found, identity);
  }
  const recovery = meta.get("recovery");
  if ((recovery === undefined) !== (format === SOUND_FORMAT)) {
    throw new CorruptLogError(`Read the raft log: its format ${format} does not fit what it holds`);
  }
  return recovery === undefined ? undefined : Number(recovery);
}

export function writeMeta(database: Database, { clusterId, nodeId }: LogIdentity, recovery: number | undefined): void {
  const meta = new Map<string, unknown>([
    ["format", recovery === undefined ? SOUND_FORMAT : RECOVERING_FORMAT],
    ["cluster", clusterId],
    ["node", nodeId],
  ]);
  if (recovery !== undefined) meta.set("recovery", recovery);
  database.run("DELETE FROM meta");
  const save = database.query("INSERT INTO meta VALUES (?, ?)");
  for (const [key, value] of meta) save.run(key, value as string | number);
  save.run("check", checkOf(meta));
}

function checkOf(meta: ReadonlyMap<string, unknown>): number {
  return ["format", "cluster", "node", "recovery"].reduce((crc, key) => crc32(`${key}=${meta.get(key) ?? ""}`, crc), 0);
}
