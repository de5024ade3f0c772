/**
 * A machine as the cluster sees it: its id, its address and its metadata.
 *
 * Idea. Metadata has two sources: the machine's own configuration, and edits made over the API. An edit outlives the
 * machine's absence and wins; a removed key is remembered, so that it hides the configured one.
 *
 * @module
 */

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

/**
 * Reads `k=v,k=v`. Blanks and double quotes around keys, values and the whole are dropped; inside quotes a comma is part of
 * the value; of two pairs with one key the last wins; empty text is no metadata.
 */
export function parseMetadata(text: string): Metadata {
  const pairs = new Map<string, string>();
  for (const part of splitOutsideQuotes(unquoteWhole(text))) {
    if (part.trim() === "") {
      continue;
    }
    const pair = parseMetadataPair(part);
    if (pair === undefined) {
      throw new MetadataError(`${JSON.stringify(part.trim())} is no pair key=value`);
    }
    const problem = metadataKeyProblem(pair.key) ?? metadataValueProblem(pair.value);
    if (problem !== undefined) {
      throw new MetadataError(`in ${JSON.stringify(part.trim())} ${problem}`);
    }
    pairs.set(pair.key, pair.value);
  }
  return Object.fromEntries(pairs);
}

/** Splits at the first "="; undefined when there is none or the key is empty. The value may be empty. */
export function parseMetadataPair(text: string): { readonly key: string; readonly value: string } | undefined {
  const equals = text.indexOf("=");
  if (equals === -1) {
    return undefined;
  }
  const key = unquote(text.slice(0, equals));
  return key === "" ? undefined : { key, value: unquote(text.slice(equals + 1)) };
}

/** Why a key cannot be used, or undefined. Such keys stand in API paths, in store keys and in `k=v,k=v`. */
export function metadataKeyProblem(key: string): string | undefined {
  if (key === "") {
    return "the key is empty";
  }
  if (key !== key.trim()) {
    return "the key begins or ends with a blank";
  }
  return /[\0-\x1f\x7f=,"]/.test(key) || !key.isWellFormed()
    ? `the key ${JSON.stringify(key)} contains "=", ",", a quote or a control character`
    : undefined;
}

export function metadataValueProblem(value: string): string | undefined {
  return /[\0-\x1f\x7f]/.test(value) || !value.isWellFormed()
    ? `the value ${JSON.stringify(value)} contains a control character`
    : undefined;
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
  return Object.entries(metadata)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}

function unquote(text: string): string {
  const trimmed = text.trim();
  return /^"[^"]*"$/.test(trimmed) ? trimmed.slice(1, -1).trim() : trimmed;
}

/** `"a=b,c=d"`: quotes round all of it, as environment files have them. */
function unquoteWhole(text: string): string {
  const inner = unquote(text);
  return inner.includes("=") ? inner : text;
}

function splitOutsideQuotes(text: string): string[] {
  const parts: string[] = [];
  let part = "";
  let quoted = false;
  for (const character of text) {
    if (character === '"') {
      quoted = !quoted;
    }
    if (character === "," && !quoted) {
      parts.push(part);
      part = "";
    } else {
      part += character;
    }
  }
  if (quoted) {
    throw new MetadataError(`a quote is not closed in ${JSON.stringify(text.trim())}`);
  }
  parts.push(part);
  return parts;
}
