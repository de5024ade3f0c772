/**
 * A machine as the cluster sees it: its id, its address and its metadata.
 *
 * Idea. Metadata has two sources: the machine's own configuration, and edits made over the API. An edit outlives the
 * machine's absence and wins; a removed key is remembered, so that it hides the configured one.
 *
 * @module
 */
import { formatPairs, PairsError, parsePairs } from "../lib/pairs.ts";

/** 32 lower-case hex digits of /etc/machine-id (machine-id(5)). */
export type MachineId = string;
export type Metadata = Readonly<Record<string, string>>;
/** Edited metadata by key; null: the key was removed. */
export type MetadataEdits = ReadonlyMap<string, string | null>;

export interface Machine {
  readonly id: MachineId;
  readonly publicIp: string;
  /** Configured metadata overlaid with the edited one: what placement sees. */
  readonly metadata: Metadata;
  readonly version: string;
  /** host:port where this machine's daemon takes requests of other machines; "" for a cluster of one. */
  readonly peerAddress: string;
}

export const MACHINE_ID_PATTERN = /^[0-9a-f]{32}$/;
export const SHORT_MACHINE_ID_LENGTH = 8;

/** Thrown for what /etc/machine-id should not hold. */
export class MachineIdError extends Error {
  readonly code = "bad-machine-id";
  constructor(reason: string) {
    super(`Cannot use machine id: ${reason}`);
    this.name = "MachineIdError";
  }
}

/** Thrown for metadata that cannot be read; the message names the pair. */
export class MetadataError extends Error {
  readonly code = "bad-metadata";
  constructor(reason: string) {
    super(`Cannot read metadata: ${reason}`);
    this.name = "MetadataError";
  }
}

/** First 8 digits, as tables show it. */
export function shortMachineId(id: MachineId): string {
  return id.slice(0, SHORT_MACHINE_ID_LENGTH);
}

/** Whether `wanted`, a full id or its first 8 digits, names this machine. */
export function matchesMachineId(id: MachineId, wanted: string): boolean {
  return wanted === id || (wanted.length === SHORT_MACHINE_ID_LENGTH && wanted === shortMachineId(id));
}

/** The id in the text of /etc/machine-id. */
export function parseMachineId(text: string): MachineId {
  const id = text.trim().toLowerCase();
  if (id === "" || id === "uninitialized") {
    throw new MachineIdError('the host has none yet. Run "systemd-machine-id-setup"');
  }
  if (!MACHINE_ID_PATTERN.test(id)) {
    throw new MachineIdError(`${JSON.stringify(id.slice(0, 80))} is not 32 hex digits`);
  }
  if (/^0+$/.test(id)) {
    throw new MachineIdError("it is all zeros. Make another with systemd-machine-id-setup");
  }
  return id;
}

/** Reads `k=v,k=v` (lib/pairs.ts has the rules). Throws MetadataError. */
export function parseMetadata(text: string): Metadata {
  try {
    return parsePairs(text);
  } catch (error) {
    if (error instanceof PairsError) {
      throw new MetadataError(error.message);
    }
    throw error;
  }
}

/** What placement sees: configured metadata with the edits over it. */
export function overlayMetadata(configured: Metadata, edits: MetadataEdits): Metadata {
  const merged = new Map(Object.entries(configured));
  for (const [key, value] of edits) {
    if (value === null) {
      merged.delete(key);
    } else {
      merged.set(key, value);
    }
  }
  return Object.fromEntries(merged);
}

/** `k=v,k=v`, sorted by key; "" for none. */
export function formatMetadata(metadata: Metadata): string {
  return formatPairs(metadata);
}
