/**
 * The JSON entities of the fleet API (v1): their shapes, what makes them out of the model, and back.
 *
 * Idea. The API and its client share these types and nothing else. Go's conventions hold, since fleet's clients are
 * written in it: empty strings, lists and maps are left out, absent and null mean empty, unknown fields are ignored.
 *
 * Not here. Routes and statuses (api/fleet/), reading what came over the wire (entity-input.ts), pages (page-token.ts).
 *
 * @module
 */
import type { Machine, Metadata } from "./machine.ts";
import type { JobState, UnitReport } from "./states.ts";
import type { UnitOption } from "./unit-file.ts";

/** An option; without `value` it is an empty assignment. */
export interface UnitOptionEntity {
  readonly section: string;
  readonly name: string;
  readonly value?: string;
}

/** A unit and its file, as `GET /units` shows it. */
export interface UnitEntity {
  readonly name: string;
  readonly options?: readonly UnitOptionEntity[];
  readonly desiredState?: string;
  /** What the target's agent reported; absent for globals. */
  readonly currentState?: string;
  /** The target; absent while the unit is nowhere, and for globals. */
  readonly machineID?: string;
}

/** The same under flt's prefix: a unit that is on no machine, though it should be, says why. */
export interface UnitDetailEntity extends UnitEntity {
  readonly reasons?: readonly ReasonEntity[];
}

/** Why one machine was refused for a unit; without a machine it holds for all. */
export interface ReasonEntity {
  readonly machineID?: string;
  readonly reason: string;
}

/** `GET /flt/v1/unit-names`: sorted. */
export interface UnitNamesEntity {
  readonly names: readonly string[];
}

/** What `PUT /units/NAME` takes. */
export interface UnitPutEntity {
  readonly name?: string;
  readonly desiredState?: string;
  readonly options?: readonly UnitOptionEntity[];
}

/** What `POST /flt/v1/units:batch` takes, each unit named once: what a PUT of it would take, or `delete`. */
export interface UnitBatchEntity {
  readonly units: readonly UnitBatchItemEntity[];
}
export interface UnitBatchItemEntity extends UnitPutEntity {
  readonly name: string;
  readonly delete?: boolean;
}

/** Its answer: a status for each unit, in the order of the request, as if each had been asked for alone. */
export interface UnitBatchResultEntity {
  readonly units: readonly UnitBatchOutcomeEntity[];
}
export interface UnitBatchOutcomeEntity {
  readonly name: string;
  readonly status: number;
  /** Of the store, when the unit was as it was asked for: a picture of that revision or a later one knows of it. */
  readonly revision?: number;
  readonly error?: ErrorEntity["error"];
}

/** A unit on one machine, as systemd has it there: `GET /state`. */
export interface UnitStateEntity {
  readonly name: string;
  readonly hash?: string;
  readonly machineID?: string;
  readonly systemdLoadState?: string;
  readonly systemdActiveState?: string;
  readonly systemdSubState?: string;
}

export interface MachineEntity {
  readonly id: string;
  readonly primaryIP?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface UnitPageEntity {
  readonly units?: readonly UnitEntity[];
  readonly nextPageToken?: string;
}
export interface UnitStatePageEntity {
  readonly states?: readonly UnitStateEntity[];
  readonly nextPageToken?: string;
}
export interface MachinePageEntity {
  readonly machines?: readonly MachineEntity[];
  readonly nextPageToken?: string;
}

export interface ErrorEntity {
  readonly error: { readonly code: number; readonly message: string };
}

/** What a unit entity is made of. `currentState` and `machineId` are left out for globals. */
export interface UnitParts {
  readonly name: string;
  readonly options: readonly UnitOption[];
  readonly desiredState: JobState;
  readonly currentState?: JobState | undefined;
  readonly machineId?: string | null | undefined;
}

export function unitEntity(parts: UnitParts): UnitEntity {
  return {
    name: parts.name,
    ...(parts.options.length > 0 && { options: parts.options.map(unitOptionEntity) }),
    desiredState: parts.desiredState,
    ...(parts.currentState && { currentState: parts.currentState }),
    ...(parts.machineId && { machineID: parts.machineId }),
  };
}

/** An empty value is left out. */
export function unitOptionEntity(option: UnitOption): UnitOptionEntity {
  return {
    section: option.section,
    name: option.name,
    ...(option.value !== "" && { value: option.value }),
  };
}

export function unitOptionFromEntity(entity: UnitOptionEntity): UnitOption {
  return { section: entity.section, name: entity.name, value: entity.value ?? "" };
}

export function unitStateEntity(report: UnitReport): UnitStateEntity {
  return {
    name: report.name,
    ...(report.hash !== "" && { hash: report.hash }),
    ...(report.machineId !== "" && { machineID: report.machineId }),
    ...(report.load !== "" && { systemdLoadState: report.load }),
    ...(report.active !== "" && { systemdActiveState: report.active }),
    ...(report.sub !== "" && { systemdSubState: report.sub }),
  };
}

export function machineEntity(machine: Machine): MachineEntity {
  return {
    id: machine.id,
    ...(machine.publicIp !== "" && { primaryIP: machine.publicIp }),
    ...(Object.keys(machine.metadata).length > 0 && { metadata: sorted(machine.metadata) }),
  };
}

/** Go writes maps in the order of their keys. */
function sorted(metadata: Metadata): Metadata {
  return Object.fromEntries(Object.entries(metadata).sort(([one], [other]) => (one < other ? -1 : 1)));
}

export function unitPageEntity(units: readonly UnitEntity[], nextPageToken?: string): UnitPageEntity {
  return { ...(units.length > 0 && { units }), ...(nextPageToken && { nextPageToken }) };
}

export function unitStatePageEntity(states: readonly UnitStateEntity[], nextPageToken?: string): UnitStatePageEntity {
  return { ...(states.length > 0 && { states }), ...(nextPageToken && { nextPageToken }) };
}

export function machinePageEntity(machines: readonly MachineEntity[], nextPageToken?: string): MachinePageEntity {
  return { ...(machines.length > 0 && { machines }), ...(nextPageToken && { nextPageToken }) };
}

/** @param code The HTTP status. */
export function errorEntity(code: number, message: string): ErrorEntity {
  return { error: { code, message } };
}
