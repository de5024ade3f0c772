/**
 * What the registry speaks of: the records behind its keys, the ports that engine, agent and API use, its refusals.
 *
 * Idea. One record kind a key (design: registry keys). A unit's one truth is its job; everything else is derived from it
 * or reported about it. Engine, agent and API meet here and nowhere else.
 *
 *   unit/<hash>              JSON options, immutable, shared
 *   job/<name>               {hash, desiredState, machine?}
 *   schedule/<machine>/<name> {hash, desiredState}
 *   state/<machine>/<name>   a UnitReport, under the machine's lease
 *   machine/<id>             a registration, under its lease
 *   address/<machine>        where that machine's daemon listened when it registered; outlives the lease, so that an engine can
 *                            still ask its kernel; gone when the machine leaves in order
 *   metadata/<id>/<key>      edited metadata; outlives the lease
 *   reason/<name>            why the unit is nowhere: one sentence a machine
 *   leader                   the engine's leadership key
 *   registry                 on an etcd: this registry's random name (guard.ts)
 *
 * Not here. How records become keys and values (keys.ts), the list-and-watch view (view.ts).
 *
 * @module
 */
import type { Machine, MachineId, Metadata } from "../model/machine.ts";
import type { JobState, UnitReport } from "../model/states.ts";
import type { UnitOption } from "../model/unit-file.ts";
import type { CallOptions, KvError, Revision } from "../store/kv.ts";

export interface Job {
  readonly name: string;
  readonly hash: string;
  readonly desiredState: JobState;
  /** Where it is placed; null while it is nowhere, and always for globals. */
  readonly machine: MachineId | null;
  readonly modRevision: Revision;
}

/** What an agent is to hold: one of its own `schedule/` keys. */
export interface Scheduled {
  readonly name: string;
  readonly hash: string;
  readonly desiredState: JobState;
}

/** An order as its agent reads it. */
export interface GivenOrder extends Scheduled {
  /** Of the schedule key. The job was written at this revision, or before: whoever changes a placed job writes both at once. */
  readonly revision: Revision;
}

/** Why one machine was refused for a unit. `machineId` "" speaks of all of them ("no machine is registered"). */
export interface Refusal {
  readonly machineId: MachineId;
  readonly reason: string;
}

/** What a machine says of itself when it registers. */
export interface MachineRegistration {
  readonly id: MachineId;
  /** Random, made at the first start in data_dir: tells a restart from a second host with the same machine-id. */
  readonly identity: string;
  readonly publicIp: string;
  /** From the configuration, before edits. */
  readonly metadata: Metadata;
  readonly version: string;
  readonly peerAddress: string;
  /** The newest format level that its release reads (lib/format.ts). */
  readonly format: number;
}

/** One change that the view has taken in; listeners read the new value from the view. */
export type ViewChange =
  | { readonly kind: "job"; readonly name: string }
  | { readonly kind: "schedule"; readonly machineId: MachineId; readonly name: string }
  | { readonly kind: "report"; readonly machineId: MachineId; readonly name: string }
  | { readonly kind: "machine"; readonly id: MachineId }
  /** It has left in order, and is gone already: nobody waits for it any more. */
  | { readonly kind: "left"; readonly id: MachineId }
  | { readonly kind: "metadata"; readonly id: MachineId }
  | { readonly kind: "reason"; readonly name: string }
  /** The watch was lost and the whole view was listed anew: look at everything. */
  | { readonly kind: "reset" };

/**
 * The cluster as this member knows it: fed by one list and one watch, read without waiting. Iteration is by name or id.
 */
export interface ClusterView {
  readonly revision: Revision;
  job(name: string): Job | undefined;
  jobs(): Iterable<Job>;
  /** The unit file of a job; undefined only for a hash nobody names. */
  options(hash: string): readonly UnitOption[] | undefined;
  machine(id: MachineId): Machine | undefined;
  /** Machines whose lease lives. */
  machines(): Iterable<Machine>;
  /** Reports of one unit, or of all, by name and then machine. */
  reports(name?: string): Iterable<UnitReport>;
  report(machineId: MachineId, name: string): UnitReport | undefined;
  scheduled(machineId: MachineId): Iterable<Scheduled>;
  reasons(name: string): readonly Refusal[];
  /** Calls back after each batch of one revision. Returns the unsubscribe. */
  subscribe(listener: (changes: readonly ViewChange[], revision: Revision) => void): () => void;
  /** Resolves when the view holds everything that was committed before the call (linearizable): rejects with KvError
   *  `unavailable` when there is no quorum to ask. */
  sync(options?: CallOptions): Promise<void>;
}

/** What the engine reads beside: all of it from the same list and watch. */
export interface EngineView extends ClusterView {
  /** host:port where the machine's daemon last listened, also after its lease is over; "": nowhere; undefined: it is not known. */
  address(id: MachineId): string | undefined;
  scheduledOn(machineId: MachineId, name: string): Scheduled | undefined;
  /** Machines that hold a schedule key, whether they are registered or not. */
  scheduledMachines(): Iterable<MachineId>;
  /** Unit files that no job names. */
  orphanFiles(): Iterable<string>;
  /** Resolves when the view holds everything up to this revision. */
  reached(revision: Revision, options?: CallOptions): Promise<void>;
}

/** Outcome of writing one unit; refusals by name, so that a batch hides none. */
export type UnitWriteResult =
  | {
      readonly kind: "created" | "replaced" | "changed" | "unchanged" | "destroyed";
      /** The store's, at which the unit was so. */
      readonly revision: Revision;
    }
  | { readonly kind: "refused"; readonly error: RegistryError };

/** One unit's part in a bulk write. */
export type UnitChange =
  | {
      readonly kind: "put";
      readonly name: string;
      readonly options: readonly UnitOption[];
      readonly desiredState: JobState;
    }
  | { readonly kind: "state"; readonly name: string; readonly desiredState: JobState }
  | { readonly kind: "destroy"; readonly name: string };

/** `failed`: the store did not do this unit's transaction, or may not have (the error's code says which). */
export type UnitChangeResult = UnitWriteResult | { readonly kind: "failed"; readonly error: KvError | RegistryError };

export type RegistryErrorCode =
  | "unit-not-found"
  /** Another host with this machine-id is alive. */
  | "machine-id-taken"
  /** The store holds another registry than this machine's. */
  | "other-registry"
  /** This engine is not the leader any more: a newer one has the key. */
  | "not-leader"
  /** The key changed between reading and writing too often. */
  | "conflict";

export class RegistryError extends Error {
  readonly code: RegistryErrorCode;
  constructor(code: RegistryErrorCode, message: string) {
    super(message);
    this.name = "RegistryError";
    this.code = code;
  }
}

/** What the API writes. Each call is one transaction where no race forces another try. */
export interface UnitWriter {
  /** Creates the unit, or replaces its file and state when it exists with other options. */
  putUnit(
    name: string,
    options: readonly UnitOption[],
    desiredState: JobState,
    call?: CallOptions,
  ): Promise<UnitWriteResult>;
  /** Refused with `unit-not-found` when there is none. A placed unit's schedule key changes in the same transaction. */
  setDesiredState(name: string, desiredState: JobState, call?: CallOptions): Promise<UnitWriteResult>;
  /** True when it existed. */
  destroyUnit(name: string, call?: CallOptions): Promise<boolean>;
  /** Many units, each named once, in as few transactions as they fit into; one result a change, in their order. The failure of
   *  one changes nothing for the others. */
  changeUnits(changes: readonly UnitChange[], call?: CallOptions): Promise<readonly UnitChangeResult[]>;
}

/** One edit of a machine's metadata; `value` null: hide the key. */
export interface MetadataEdit {
  readonly machineId: MachineId;
  readonly key: string;
  readonly value: string | null;
}

export interface MachineWriter {
  /** All edits in one transaction; a machine need not be registered. Of two for one key the later one counts. */
  editMetadata(edits: readonly MetadataEdit[], call?: CallOptions): Promise<void>;
}

/** One decision of the engine. `from` and the job's modRevision are compared, so a stale decision is refused alone. */
export interface Placement {
  readonly job: Job;
  /** null: take it off. */
  readonly to: MachineId | null;
  readonly reason: string;
  /** True: taken off because its machine is dead; refused when that machine is registered again by then. */
  readonly fromIsGone?: boolean;
}
/** A schedule key of a global unit to be there, or not; also how a stray key of any unit is put right. */
export interface GlobalPlacement {
  readonly machineId: MachineId;
  readonly name: string;
  /** What the decision was made from; null: there is no such unit (any more). Compared, as in a placement. */
  readonly job: Job | null;
  readonly scheduled: Scheduled | null;
  /** True: taken off because the machine is dead; refused when it is registered by then, or was all the time, unreadably. */
  readonly machineIsGone?: boolean;
}
export interface PlaceResult {
  /** Names whose decision was stale: look again once the view has reached `revision`. */
  readonly refused: readonly string[];
  readonly revision: Revision;
}

/** The engine's writes; all compare the leadership key and reject with `not-leader` when it is another's. */
export interface EngineSession {
  place(placements: readonly Placement[], globals: readonly GlobalPlacement[]): Promise<PlaceResult>;
  /** Writes why units are nowhere; an empty list removes. Units that are gone by then are passed over. */
  explain(reasons: ReadonlyMap<string, readonly Refusal[]>): Promise<void>;
  /** Deletes these unit files unless a job came to name them meanwhile. */
  collect(hashes: readonly string[]): Promise<void>;
}

/** A term of office of the engine. */
export interface EngineTerm {
  readonly session: EngineSession;
  /** Gives the office back, so that another engine can begin at once. Never rejects; the engine must have stopped. */
  resign(): Promise<void>;
}

/** What an agent does in the registry. */
export interface MachineSession {
  readonly ttlMs: number;
  /** Units that a former session of this machine reported: they stay as reported until this one says what they are, or that they are gone. */
  readonly inherited: readonly string[];
  /** Renews the lease; rejects with KvError `lease-not-found` when it is over: register again. */
  heartbeat(options?: CallOptions): Promise<void>;
  /** One transaction (or a few, above 128 keys): reports to be there, names to be gone. */
  publish(reports: readonly UnitReport[], gone: readonly string[], options?: CallOptions): Promise<void>;
  /** Leaves in order: units given back, machine and states gone, lease revoked. */
  leave(options?: CallOptions): Promise<void>;
}
export interface ScheduleWatch extends AsyncIterable<readonly GivenOrder[]> {
  close(): void;
}
export interface AgentRegistry {
  /** Rejects with `machine-id-taken` when a host with another identity holds this id's lease. */
  register(registration: MachineRegistration, ttlMs: number, options?: CallOptions): Promise<MachineSession>;
  /** Yields the machine's whole wanted set: first as it is (linearizable), then after each change. Throws KvError when its source is lost. */
  watchSchedule(machineId: MachineId): ScheduleWatch;
  unitFile(hash: string, options?: CallOptions): Promise<readonly UnitOption[] | undefined>;
}

/** For engine, agent and api, which may not reach into store/. */
export { type CallOptions, KvError, type KvErrorCode, type ReadOptions, type Revision } from "../store/kv.ts";
