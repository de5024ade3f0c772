/**
 * The registry's values: JSON with a format version, and a checked way back.
 *
 * Idea. `{"v":1,…}`: a reader that meets bytes that are no record at all gets a {@link RecordError} and passes over that record
 * with a line in the log: one broken key must never take a daemon down. A record of a later version is another matter: it
 * is refused with advice (lib/format.ts), since a daemon that took it for absent would act on that. Fields that a reader does
 * not know are left alone, so that a later release may add some within the same version, if they may be lost in a rewrite.
 *
 * @module
 */
import { FIRST_LEVEL, refuseNewer } from "../lib/format.ts";
import { decodeText, encodeText } from "../lib/text.ts";
import { MACHINE_ID_PATTERN, type MachineId, type Metadata } from "../model/machine.ts";
import { isJobState, type JobState, type UnitReport } from "../model/states.ts";
import type { UnitOption } from "../model/unit-file.ts";
import type { Bytes } from "../store/kv.ts";
import type { AddressRecord } from "./cluster-level.ts";
import { HASH_PATTERN } from "./keys.ts";
import type { MachineRegistration, Refusal } from "./types.ts";

const FORMAT_VERSION = 1;

/** A value in the store is not the record that its key promises. */
export class RecordError extends Error {
  readonly code = "bad-record";
}

export interface JobRecord {
  readonly hash: string;
  readonly desiredState: JobState;
  readonly machine: MachineId | null;
}
export interface ScheduleRecord {
  readonly hash: string;
  readonly desiredState: JobState;
}
export interface LeaderRecord {
  readonly machineId: MachineId;
  /** As in `machine/<id>`; absent where the key hangs on no lease, and from releases that did not write it. */
  readonly identity?: string;
}
/** `value` null: the configured key of this name is hidden. */
export interface MetadataRecord {
  readonly value: string | null;
}

type Fields = Readonly<Record<string, unknown>>;

function encode(fields: Fields): Bytes {
  return encodeText(JSON.stringify({ v: FORMAT_VERSION, ...fields }));
}

function decode(what: string, bytes: Bytes): Fields {
  let value: unknown;
  try {
    value = JSON.parse(decodeText(bytes));
  } catch {
    throw new RecordError(`Cannot read ${what}: not JSON`);
  }
  if (!isFields(value)) throw new RecordError(`Cannot read ${what}: not an object`);
  refuseNewer(`${what} in the registry`, value.v, FORMAT_VERSION);
  if (value.v !== FORMAT_VERSION) {
    throw new RecordError(
      `Cannot read ${what}: format version ${String(value.v)}, this release knows ${FORMAT_VERSION}`,
    );
  }
  return value;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(what: string, fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string") throw new RecordError(`Cannot read ${what}: field "${name}" is no string`);
  return value;
}

function stateOf(what: string, fields: Fields, name: string): JobState {
  const value = textOf(what, fields, name);
  if (!isJobState(value)) throw new RecordError(`Cannot read ${what}: field "${name}" holds "${value}"`);
  return value;
}

/** Hashes and ids become parts of keys: what could be none is no record. */
function hashOf(what: string, fields: Fields): string {
  const hash = textOf(what, fields, "hash");
  if (!HASH_PATTERN.test(hash)) throw new RecordError(`Cannot read ${what}: its hash is not 40 hex digits`);
  return hash;
}

function machineOf(what: string, fields: Fields, name: string): MachineId {
  const id = textOf(what, fields, name);
  if (!MACHINE_ID_PATTERN.test(id)) throw new RecordError(`Cannot read ${what}: field "${name}" is no machine's id`);
  return id;
}

export function encodeUnitFile(options: readonly UnitOption[]): Bytes {
  return encode({ options: options.map((option) => [option.section, option.name, option.value]) });
}
export function decodeUnitFile(bytes: Bytes): readonly UnitOption[] {
  const rows = decode("a unit file", bytes).options;
  if (!Array.isArray(rows)) throw new RecordError('Cannot read a unit file: field "options" is no list');
  return rows.map((row: unknown) => {
    if (!Array.isArray(row) || row.length !== 3 || !row.every((part) => typeof part === "string")) {
      throw new RecordError("Cannot read a unit file: an option is not three strings");
    }
    const [section, name, value] = row as [string, string, string];
    return { section, name, value };
  });
}

export function encodeJob(job: JobRecord): Bytes {
  return encode({ hash: job.hash, desiredState: job.desiredState, machine: job.machine ?? undefined });
}
export function decodeJob(bytes: Bytes): JobRecord {
  const fields = decode("a job", bytes);
  return {
    hash: hashOf("a job", fields),
    desiredState: stateOf("a job", fields, "desiredState"),
    machine: fields.machine === undefined ? null : machineOf("a job", fields, "machine"),
  };
}

export function encodeSchedule(schedule: ScheduleRecord): Bytes {
  return encode({ hash: schedule.hash, desiredState: schedule.desiredState });
}
export function decodeSchedule(bytes: Bytes): ScheduleRecord {
  const fields = decode("a schedule", bytes);
  return {
    hash: hashOf("a schedule", fields),
    desiredState: stateOf("a schedule", fields, "desiredState"),
  };
}

/** Name and machine are in the key. */
export function encodeReport(report: UnitReport): Bytes {
  const { name: _name, machineId: _machineId, ...rest } = report;
  return encode({ ...rest });
}
export function decodeReport(machineId: MachineId, name: string, bytes: Bytes): UnitReport {
  const what = "a unit's state";
  const fields = decode(what, bytes);
  return {
    name,
    machineId,
    load: textOf(what, fields, "load"),
    active: textOf(what, fields, "active"),
    sub: textOf(what, fields, "sub"),
    hash: textOf(what, fields, "hash"),
    jobState: stateOf(what, fields, "jobState"),
    ...(fields.problem === undefined ? {} : { problem: textOf(what, fields, "problem") }),
    ...(typeof fields.orderRevision === "number" ? { orderRevision: fields.orderRevision } : {}),
    ...(fields.result === undefined ? {} : { result: textOf(what, fields, "result") }),
    ...(fields.pending === "start" || fields.pending === "stop" ? { pending: fields.pending } : {}),
  };
}

export function encodeMachine(machine: MachineRegistration): Bytes {
  const { id: _id, ...rest } = machine;
  return encode({ ...rest });
}
export function decodeMachine(id: MachineId, bytes: Bytes): MachineRegistration {
  const what = "a machine";
  const fields = decode(what, bytes);
  const metadata = fields.metadata;
  if (!isFields(metadata) || !Object.values(metadata).every((value) => typeof value === "string")) {
    throw new RecordError('Cannot read a machine: field "metadata" is no map of strings');
  }
  return {
    id,
    identity: textOf(what, fields, "identity"),
    publicIp: textOf(what, fields, "publicIp"),
    metadata: metadata as Metadata,
    version: textOf(what, fields, "version"),
    peerAddress: textOf(what, fields, "peerAddress"),
    format: formatOf(fields),
  };
}

export function encodeAddress(record: AddressRecord): Bytes {
  return encode({ ...record });
}
export function decodeAddress(bytes: Bytes): AddressRecord {
  const fields = decode("an address", bytes);
  return { address: textOf("an address", fields, "address"), format: formatOf(fields) };
}

/** What a machine said that it can read. */
function formatOf({ format }: Fields): number {
  return typeof format === "number" && Number.isInteger(format) && format > 0 ? format : FIRST_LEVEL;
}

export function encodeMetadata(record: MetadataRecord): Bytes {
  return encode(record.value === null ? { removed: true } : { value: record.value });
}
export function decodeMetadata(bytes: Bytes): MetadataRecord {
  const fields = decode("metadata", bytes);
  return { value: fields.removed === true ? null : textOf("metadata", fields, "value") };
}

export function encodeReasons(refusals: readonly Refusal[]): Bytes {
  return encode({ refusals: refusals.map((refusal) => [refusal.machineId, refusal.reason]) });
}
export function decodeReasons(bytes: Bytes): readonly Refusal[] {
  const rows = decode("reasons", bytes).refusals;
  if (!Array.isArray(rows)) throw new RecordError('Cannot read reasons: field "refusals" is no list');
  return rows.map((row: unknown) => {
    if (!Array.isArray(row) || typeof row[0] !== "string" || typeof row[1] !== "string") {
      throw new RecordError("Cannot read reasons: a refusal is not two strings");
    }
    return { machineId: row[0], reason: row[1] };
  });
}

export function encodeRegistry(name: string): Bytes {
  return encode({ name });
}
export function decodeRegistry(bytes: Bytes): string {
  return textOf("the registry's name", decode("the registry's name", bytes), "name");
}

export function encodeLeader(machineId: MachineId, identity?: string): Bytes {
  return encode({ machineId, identity });
}
export function decodeLeader(bytes: Bytes): LeaderRecord {
  const what = "the leader";
  const fields = decode(what, bytes);
  return {
    machineId: machineOf(what, fields, "machineId"),
    ...(fields.identity === undefined ? {} : { identity: textOf(what, fields, "identity") }),
  };
}
