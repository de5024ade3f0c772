/**
 * What the API answers, as schemas: the strict side of the contract.
 *
 * Idea. One table. The discovery document and the OpenAPI document are generated from it, and the tests hold real answers against
 * it; the types say that it describes just the entities of model/. Here nothing is lenient: a field that is not listed, an empty
 * string or list where it should have been left out, is a fault of ours.
 *
 * Not here. What comes in: model/entity-input.ts validates that, with schemas that are as lenient as fleet was.
 *
 * @module
 */
import * as v from "valibot";
import type {
  ErrorEntity,
  MachineEntity,
  MachinePageEntity,
  ReasonEntity,
  UnitBatchResultEntity,
  UnitDetailEntity,
  UnitEntity,
  UnitNamesEntity,
  UnitOptionEntity,
  UnitPageEntity,
  UnitStateEntity,
  UnitStatePageEntity,
} from "../../model/entities.ts";
import type { FleetEvent } from "../../model/events.ts";
import { MACHINE_ID_PATTERN } from "../../model/machine.ts";
import { JOB_STATES } from "../../model/states.ts";
import type { UsageEvent } from "../../model/usage.ts";

/** Present fields are never empty. */
const text = v.pipe(v.string(), v.nonEmpty());
const machineId = v.pipe(v.string(), v.regex(MACHINE_ID_PATTERN), v.description("32 hex digits of /etc/machine-id"));
const jobState = v.picklist(JOB_STATES);
const hash = v.pipe(v.string(), v.regex(/^[0-9a-f]{40}$/), v.description("SHA-1 of the serialized unit file"));
const status = v.pipe(v.number(), v.integer(), v.description("An HTTP status"));
const revision = v.pipe(v.number(), v.integer(), v.description("The store's; grows with every change"));
const optional = v.exactOptional;
const metadata = v.record(v.string(), v.string());
function list<S extends v.GenericSchema>(item: S) {
  return v.pipe(v.array(item), v.nonEmpty());
}

const unitOption = v.strictObject({ section: v.string(), name: v.string(), value: optional(text) });
const unit = v.strictObject({
  name: text,
  options: optional(list(unitOption)),
  desiredState: optional(jobState),
  currentState: optional(jobState),
  machineID: optional(machineId),
});
const unitState = v.strictObject({
  name: text,
  hash: optional(hash),
  machineID: optional(machineId),
  systemdLoadState: optional(text),
  systemdActiveState: optional(text),
  systemdSubState: optional(text),
});
const machine = v.strictObject({ id: machineId, primaryIP: optional(text), metadata: optional(metadata) });
const nextPageToken = optional(text);
const unitPage = v.strictObject({ units: optional(list(unit)), nextPageToken });
const unitStatePage = v.strictObject({ states: optional(list(unitState)), nextPageToken });
const machinePage = v.strictObject({ machines: optional(list(machine)), nextPageToken });
const errorDetail = v.strictObject({ code: status, message: text });
const error = v.strictObject({ error: errorDetail });
const unitBatchResult = v.strictObject({
  units: v.array(v.strictObject({ name: text, status, revision: optional(revision), error: optional(errorDetail) })),
});
const unitNames = v.strictObject({ names: v.array(text) });
const version = v.strictObject({
  version: text,
  machineID: machineId,
  leader: optional(machineId),
  alarms: optional(list(text)),
});
const reason = v.strictObject({ machineID: optional(machineId), reason: text });
const reasons = v.strictObject({ reasons: v.array(reason) });
const unitDetail = v.strictObject({ ...unit.entries, reasons: optional(list(reason)) });

const machineRef = v.strictObject({ id: machineId, primaryIP: v.string() });
const report = v.strictObject({
  name: text,
  machineId,
  load: v.string(),
  active: v.string(),
  sub: v.string(),
  hash: v.string(),
  jobState,
  problem: optional(v.string()),
  orderRevision: optional(revision),
  result: optional(v.string()),
  pending: optional(v.picklist(["start", "stop"])),
});
const event = v.variant("type", [
  v.strictObject({
    type: v.literal("unit"),
    name: text,
    hash,
    desiredState: jobState,
    global: v.boolean(),
    revision: optional(revision),
    machine: optional(machineRef),
  }),
  v.strictObject({ type: v.literal("unit-gone"), name: text }),
  v.strictObject({ type: v.literal("state"), machine: machineRef, report }),
  v.strictObject({ type: v.literal("state-gone"), name: text, machineID: machineId }),
  v.strictObject({
    type: v.literal("reasons"),
    name: text,
    reasons: v.array(v.strictObject({ machine: optional(machineRef), reason: text })),
  }),
  v.strictObject({ type: v.literal("machine"), id: machineId, primaryIP: v.string(), metadata }),
  v.strictObject({ type: v.literal("machine-gone"), id: machineId }),
  v.strictObject({ type: v.literal("synced"), revision }),
  v.strictObject({ type: v.literal("reset") }),
  v.strictObject({ type: v.literal("keep-alive") }),
]);

const used = {
  cpuNs: optional(v.pipe(v.number(), v.description("CPU time in nanoseconds"))),
  memoryBytes: optional(v.number()),
  tasks: optional(v.number()),
};
const usageEvent = v.union([
  v.strictObject({
    machine: machineRef,
    atMs: v.number(),
    total: v.strictObject(used),
    units: v.array(v.strictObject({ name: text, ...used })),
  }),
  v.strictObject({ machine: machineRef, problem: text }),
]);

/** By name in both documents; the first seven are fleet's. Those that are parts of others come before them. */
export const ANSWER_SCHEMAS = {
  Machine: machine,
  MachinePage: machinePage,
  UnitOption: unitOption,
  Unit: unit,
  UnitPage: unitPage,
  UnitState: unitState,
  UnitStatePage: unitStatePage,
  Error: error,
  UnitBatchResult: unitBatchResult,
  UnitNames: unitNames,
  Version: version,
  Reason: reason,
  Reasons: reasons,
  UnitDetail: unitDetail,
  MachineRef: machineRef,
  UnitReport: report,
  Event: event,
  UsageEvent: usageEvent,
} as const satisfies Record<string, v.GenericSchema>;

export type AnswerName = keyof typeof ANSWER_SCHEMAS;

type Entities = {
  readonly Machine: MachineEntity;
  readonly MachinePage: MachinePageEntity;
  readonly UnitOption: UnitOptionEntity;
  readonly Unit: UnitEntity;
  readonly UnitPage: UnitPageEntity;
  readonly UnitState: UnitStateEntity;
  readonly UnitStatePage: UnitStatePageEntity;
  readonly Error: ErrorEntity;
  readonly UnitBatchResult: UnitBatchResultEntity;
  readonly UnitNames: UnitNamesEntity;
  readonly Reason: ReasonEntity;
  readonly UnitDetail: UnitDetailEntity;
  readonly Event: FleetEvent;
  readonly UsageEvent: UsageEvent;
};
/** Compiles only while each schema's answers are what the model's types call that entity. */
ANSWER_SCHEMAS satisfies { readonly [Name in keyof Entities]: v.GenericSchema<unknown, Entities[Name]> };
