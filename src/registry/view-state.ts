/**
 * What a view holds: the records of every key, indexed for its readers, changed one watch event at a time.
 *
 * Idea. Synchronous and without any I/O: {@link ViewState.load} takes a listed key, {@link ViewState.apply} an event and
 * says what changed. A record that cannot be read counts as absent, with a line in the log.
 *
 * Invariants.
 * - The cost of an event depends on that record alone, never on how many others there are.
 * - `orphans` holds exactly the hashes that have a unit file and no job.
 *
 * Not here. Where the events come from (view.ts).
 *
 * @module
 */

import { NewerFormatError } from "../lib/format.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import { BTree } from "../lib/ordered-map.ts";
import { decodeText } from "../lib/text.ts";
import { type Machine, type MachineId, overlayMetadata } from "../model/machine.ts";
import type { UnitReport } from "../model/states.ts";
import type { UnitOption } from "../model/unit-file.ts";
import type { Bytes, KeyValue, Revision, WatchEvent } from "../store/kv.ts";
import type { AddressRecord } from "./cluster-level.ts";
import type { Keys, ParsedKey } from "./keys.ts";
import {
  decodeAddress,
  decodeJob,
  decodeLeader,
  decodeMachine,
  decodeMetadata,
  decodeReasons,
  decodeReport,
  decodeSchedule,
  decodeUnitFile,
} from "./records.ts";
import type { Job, MachineRegistration, Refusal, Scheduled, ViewChange } from "./types.ts";

/** Between unit name and machine id in an ordered index: smaller than any character of a name. */
const SEPARATOR = "\0";

export interface StoredUnitFile {
  /** Kept as bytes: 20,000 decoded unit files would be a burden to the garbage collector. */
  readonly bytes: Bytes;
  readonly modRevision: Revision;
}

/** By the kind of key (keys.ts). */
export type RecordCounts = Readonly<Record<"unit" | "job" | "schedule" | "state" | "reason" | "machine", number>>;

export class ViewState {
  readonly jobs = sortedMap<Job>();
  readonly unitFiles = new Map<string, StoredUnitFile>();
  readonly orphans = new Set<string>();
  readonly machines = sortedMap<Machine>();
  readonly reports = sortedMap<UnitReport>();
  readonly schedules = new Map<MachineId, BTree<string, Scheduled>>();
  readonly reasons = new Map<string, readonly Refusal[]>();
  readonly addresses = new Map<MachineId, AddressRecord>();
  /** Since when a machine is registered, and since when it has an address: that outlives a lease that is lost. */
  readonly registeredAt = new Map<MachineId, Revision>();
  readonly joinedAt = new Map<MachineId, Revision>();
  /** Names whose job is there and cannot be read: a later release's, mostly. Nobody knows which file it names. */
  readonly unreadableJobs = new Set<string>();
  leader: MachineId | null = null;

  readonly #keys: Keys;
  readonly #log: Log;
  /** How many jobs name a hash. */
  readonly #references = new Map<string, number>();
  readonly #registrations = new Map<MachineId, MachineRegistration>();
  /** Edited metadata; null hides the configured key. */
  readonly #edits = new Map<MachineId, Map<string, string | null>>();

  constructor(keys: Keys, log: Log) {
    this.#keys = keys;
    this.#log = log;
  }

  load(kv: KeyValue): void {
    this.apply({ type: "put", kv });
  }

  /** Returns what readers should look at again; null when nothing that they can see changed. */
  apply(event: WatchEvent): ViewChange | null {
    const parsed = this.#keys.parse(event.kv.key);
    if (parsed === null) return null;
    if (event.type === "delete") return this.#set(parsed, null);
    try {
      return this.#set(parsed, event.kv);
    } catch (error) {
      if (error instanceof NewerFormatError) throw error;
      this.#log.error("Passed over a record that cannot be read", {
        key: decodeText(event.kv.key),
        reason: reasonOf(error),
      });
      const change = this.#set(parsed, null);
      if (parsed.kind === "job") this.unreadableJobs.add(parsed.name);
      return change;
    }
  }

  /** How many records of each kind there are that come and go with units and machines. */
  get counts(): RecordCounts {
    let scheduled = 0;
    for (const ofMachine of this.schedules.values()) scheduled += ofMachine.size;
    return {
      unit: this.unitFiles.size,
      job: this.jobs.size,
      schedule: scheduled,
      state: this.reports.size,
      reason: this.reasons.size,
      machine: this.#registrations.size,
    };
  }

  referencesOf(hash: string): number {
    return this.#references.get(hash) ?? 0;
  }

  options(hash: string): readonly UnitOption[] | undefined {
    const file = this.unitFiles.get(hash);
    if (file === undefined) return undefined;
    try {
      return decodeUnitFile(file.bytes);
    } catch (error) {
      this.#log.error("Passed over a unit file that cannot be read", { hash, reason: reasonOf(error) });
      return undefined;
    }
  }

  report(machineId: MachineId, name: string): UnitReport | undefined {
    return this.reports.get(name + SEPARATOR + machineId);
  }

  *reportsOf(name: string): Iterable<UnitReport> {
    const first = name + SEPARATOR;
    for (const [key, report] of this.reports.entries(first)) {
      if (!key.startsWith(first)) return;
      yield report;
    }
  }

  /** `kv` null: the record is gone. */
  #set(key: ParsedKey, kv: KeyValue | null): ViewChange | null {
    switch (key.kind) {
      case "unit":
        return this.#setUnitFile(key.hash, kv);
      case "job":
        return this.#setJob(key.name, kv);
      case "schedule":
        return this.#setSchedule(key.machineId, key.name, kv);
      case "state": {
        const report = kv === null ? null : decodeReport(key.machineId, key.name, kv.value);
        setOrDelete(this.reports, key.name + SEPARATOR + key.machineId, report);
        return { kind: "report", machineId: key.machineId, name: key.name };
      }
      case "machine":
        setOrDelete(this.#registrations, key.machineId, kv === null ? null : decodeMachine(key.machineId, kv.value));
        setOrDelete(this.registeredAt, key.machineId, kv?.createRevision ?? null);
        this.#refreshMachine(key.machineId);
        return { kind: "machine", id: key.machineId };
      case "metadata":
        return this.#setMetadata(key.machineId, key.key, kv);
      case "reason":
        setOrDelete(this.reasons, key.name, kv === null ? null : decodeReasons(kv.value));
        return { kind: "reason", name: key.name };
      case "address":
        setOrDelete(this.addresses, key.machineId, kv === null ? null : decodeAddress(kv.value));
        setOrDelete(this.joinedAt, key.machineId, kv?.createRevision ?? null);
        // It comes with a registration, which is told of.
        return kv === null ? { kind: "left", id: key.machineId } : null;
      case "leader":
        this.leader = kv === null ? null : decodeLeader(kv.value).machineId;
        return null;
    }
  }

  #setUnitFile(hash: string, kv: KeyValue | null): null {
    setOrDelete(this.unitFiles, hash, kv === null ? null : { bytes: kv.value, modRevision: kv.modRevision });
    this.#refreshOrphan(hash);
    return null;
  }

  #setJob(name: string, kv: KeyValue | null): ViewChange {
    const job = kv === null ? null : { name, ...decodeJob(kv.value), modRevision: kv.modRevision };
    const before = this.jobs.get(name);
    this.unreadableJobs.delete(name);
    setOrDelete(this.jobs, name, job);
    if (before?.hash !== job?.hash) {
      if (before !== undefined) this.#refer(before.hash, -1);
      if (job !== null) this.#refer(job.hash, 1);
    }
    return { kind: "job", name };
  }

  #refer(hash: string, step: 1 | -1): void {
    const count = this.referencesOf(hash) + step;
    if (count === 0) this.#references.delete(hash);
    else this.#references.set(hash, count);
    this.#refreshOrphan(hash);
  }

  #refreshOrphan(hash: string): void {
    if (this.unitFiles.has(hash) && !this.#references.has(hash)) this.orphans.add(hash);
    else this.orphans.delete(hash);
  }

  #setSchedule(machineId: MachineId, name: string, kv: KeyValue | null): ViewChange {
    const scheduled = kv === null ? null : { name, ...decodeSchedule(kv.value) };
    let ofMachine = this.schedules.get(machineId);
    if (ofMachine === undefined) {
      ofMachine = sortedMap<Scheduled>();
      this.schedules.set(machineId, ofMachine);
    }
    setOrDelete(ofMachine, name, scheduled);
    if (ofMachine.size === 0) this.schedules.delete(machineId);
    return { kind: "schedule", machineId, name };
  }

  #setMetadata(id: MachineId, key: string, kv: KeyValue | null): ViewChange {
    const edits = this.#edits.get(id) ?? new Map<string, string | null>();
    if (kv === null) edits.delete(key);
    else edits.set(key, decodeMetadata(kv.value).value);
    if (edits.size === 0) this.#edits.delete(id);
    else this.#edits.set(id, edits);
    this.#refreshMachine(id);
    return { kind: "metadata", id };
  }

  #refreshMachine(id: MachineId): void {
    const registration = this.#registrations.get(id);
    if (registration === undefined) {
      this.machines.delete(id);
      return;
    }
    const { publicIp, version, peerAddress } = registration;
    const edits = this.#edits.get(id);
    const metadata = edits === undefined ? registration.metadata : overlayMetadata(registration.metadata, edits);
    this.machines.set(id, { id, publicIp, metadata, version, peerAddress });
  }
}

function sortedMap<V>(): BTree<string, V> {
  return new BTree<string, V>(undefined, (a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

function setOrDelete<V>(
  map: { set(key: string, value: V): unknown; delete(key: string): unknown },
  key: string,
  value: V | null,
): void {
  if (value === null) map.delete(key);
  else map.set(key, value);
}
