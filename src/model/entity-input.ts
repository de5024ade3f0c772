/**
 * What came over the wire as JSON, checked and turned into the model's types.
 *
 * Idea. One schema an entity (valibot), lenient as fleet's Go decoder was: null counts as absent, unknown fields are
 * ignored. A value of the wrong type is refused with its path, so that the caller can find it.
 *
 * Not here. Whether the content makes sense: parseUnitName, checkUnitOptions, parseRequirements say that of a unit.
 *
 * @module
 */
import * as v from "valibot";
import { pairKeyProblem, pairValueProblem } from "../lib/pairs.ts";
import type {
  ErrorEntity,
  MachineEntity,
  MachinePageEntity,
  UnitBatchResultEntity,
  UnitEntity,
  UnitNamesEntity,
  UnitPageEntity,
  UnitStateEntity,
  UnitStatePageEntity,
} from "./entities.ts";
import { MACHINE_ID_PATTERN, type MachineId } from "./machine.ts";
import { isJobState, JOB_STATES, type JobState } from "./states.ts";
import type { UnitOption } from "./unit-file.ts";

/** Thrown for JSON that is not the entity it should be; the message names the field. */
export class EntityError extends Error {
  readonly code = "bad-entity";
  constructor(what: string, reason: string) {
    super(`Cannot read ${what}: ${reason}`);
    this.name = "EntityError";
  }
}

/** Absent, null or a string; "" when not there. */
const text = v.nullish(v.string(), "");
/** Absent, null or a list; [] when not there. */
function list<S extends v.GenericSchema>(item: S) {
  return v.nullish(v.array(item), []);
}

/** valibot takes a list for an object whose fields are all absent: not so here. */
const isObject = v.custom<object>((json) => typeof json === "object" && json !== null && !Array.isArray(json));
function object<Entries extends v.ObjectEntries>(entries: Entries) {
  return v.pipe(isObject, v.object(entries));
}

/** valibot's record leaves out keys that other objects have a use for, as "constructor": metadata may have any. */
const textMap = v.custom<Readonly<Record<string, string>>>(
  (json) => v.is(isObject, json) && Object.values(json).every((value) => typeof value === "string"),
);

const unitOptionSchema = object({ section: text, name: text, value: text });
const unitSchema = object({
  name: text,
  options: list(unitOptionSchema),
  desiredState: text,
  currentState: text,
  machineID: text,
});
const unitStateSchema = object({
  name: text,
  hash: text,
  machineID: text,
  systemdLoadState: text,
  systemdActiveState: text,
  systemdSubState: text,
});
const machineSchema = object({
  id: text,
  primaryIP: text,
  metadata: v.nullish(textMap, {}),
});
const unitPageSchema = object({ units: list(unitSchema), nextPageToken: text });
const unitStatePageSchema = object({ states: list(unitStateSchema), nextPageToken: text });
const machinePageSchema = object({ machines: list(machineSchema), nextPageToken: text });
const unitNamesSchema = object({ names: list(v.string()) });
const errorSchema = object({ error: object({ code: v.number(), message: text }) });
/** Only what tells the items apart; each is then read by unitBatchItemSchema, so that one that is wrong hides no other. */
const unitItemNamesSchema = object({ units: v.array(v.pipe(isObject, v.looseObject({ name: text }))) });
const unitBatchItemSchema = object({
  name: text,
  delete: v.nullish(v.boolean(), false),
  desiredState: text,
  options: list(unitOptionSchema),
});
const unitBatchResultSchema = object({
  units: list(
    object({
      name: text,
      status: v.number(),
      revision: v.nullish(v.number()),
      error: v.nullish(object({ code: v.number(), message: text })),
    }),
  ),
});
const eventsRequestSchema = object({ unitNames: v.array(v.string()) });
const patchSchema = v.array(
  object({ op: text, path: text, value: v.nullish(v.union([v.string(), object({ value: text })]), "") }),
);

/** What the API takes, by the name that its own description gives it. */
export const REQUEST_SCHEMAS = {
  UnitOptionInput: unitOptionSchema,
  UnitPut: unitSchema,
  UnitBatchItem: unitBatchItemSchema,
  UnitBatch: object({ units: v.array(unitBatchItemSchema) }),
  MachinePatch: patchSchema,
  EventsRequest: eventsRequestSchema,
} as const;

/** A `PUT /units/NAME` that can be read. Empty fields count as not given, as in fleet. */
export interface UnitPut {
  readonly name?: string;
  readonly desiredState?: JobState;
  readonly options?: readonly UnitOption[];
}

/** One item of a bulk write; `problem` instead of `put`: it cannot be read, which is its own affair. */
export interface UnitBatchItem {
  readonly name: string;
  readonly wish:
    | { readonly kind: "put"; readonly put: UnitPut }
    | { readonly kind: "destroy" }
    | { readonly kind: "problem"; readonly error: EntityError };
}

/** One operation of a `PATCH /machines`. `value` null: hide the key. */
export interface MetadataEdit {
  readonly machineId: MachineId;
  readonly key: string;
  readonly value: string | null;
}

/** @param json The parsed body of `PUT /units/NAME`. Throws EntityError. */
export function parseUnitPut(json: unknown): UnitPut {
  const what = "the unit in the request body";
  const { name, desiredState, options } = read(unitSchema, json, what);
  if (desiredState !== "" && !isJobState(desiredState)) {
    throw new EntityError(
      what,
      `desiredState ${JSON.stringify(desiredState)} is unknown, use one of ${JOB_STATES.join(", ")}`,
    );
  }
  return {
    ...(name !== "" && { name }),
    ...(isJobState(desiredState) && { desiredState }),
    ...(options.length > 0 && { options }),
  };
}

/**
 * @param json The parsed body of `POST /units:batch`. Throws EntityError when it is no such list at all: items without a name, or
 * one name twice, could not be answered item by item.
 */
export function parseUnitBatch(json: unknown): readonly UnitBatchItem[] {
  const what = "the units in the request body";
  const names = new Set<string>();
  return read(unitItemNamesSchema, json, what).units.map((item, index) => {
    const { name } = item;
    if (name === "") throw new EntityError(what, `unit ${index} has no name`);
    if (names.has(name)) throw new EntityError(what, `${JSON.stringify(name)} is there twice`);
    names.add(name);
    try {
      return { name, wish: batchWish(read(unitBatchItemSchema, item, `unit ${JSON.stringify(name)}`)) };
    } catch (error) {
      if (!(error instanceof EntityError)) throw error;
      return { name, wish: { kind: "problem", error } };
    }
  });
}

function batchWish(item: v.InferOutput<typeof unitBatchItemSchema>): UnitBatchItem["wish"] {
  const { delete: destroys, ...unit } = item;
  if (!destroys) return { kind: "put", put: parseUnitPut(unit) };
  if (unit.desiredState === "" && unit.options.length === 0) return { kind: "destroy" };
  throw new EntityError(
    `unit ${JSON.stringify(unit.name)}`,
    "a unit to be deleted has neither desiredState nor options",
  );
}

/** @param json The parsed body of `PATCH /machines`. All is checked before anything is returned. Throws EntityError. */
export function parseMachinePatch(json: unknown): readonly MetadataEdit[] {
  const what = "the patch in the request body";
  return read(patchSchema, json, what).map(({ op, path, value }, index) => {
    const [before, machineId, word, pointer, ...rest] = path.split("/");
    const key = (pointer ?? "").replaceAll("~1", "/").replaceAll("~0", "~");
    if (before !== "" || !machineId || word !== "metadata" || key === "" || rest.length > 0) {
      throw new EntityError(what, `operation ${index}: path ${JSON.stringify(path)} is not "/MACHINE/metadata/KEY"`);
    }
    const machineProblem = MACHINE_ID_PATTERN.test(machineId)
      ? undefined
      : `${JSON.stringify(machineId)} is no machine id, which has 32 hex digits`;
    const problem = machineProblem ?? pairKeyProblem(key);
    if (problem !== undefined) {
      throw new EntityError(what, `operation ${index}: path ${JSON.stringify(path)}: ${problem}`);
    }
    return { machineId, key, value: editedValue(op, typeof value === "string" ? value : value.value, what, index) };
  });
}

function editedValue(op: string, value: string, what: string, index: number): string | null {
  if (op === "remove") {
    return null;
  }
  if (op !== "add" && op !== "replace") {
    throw new EntityError(what, `operation ${index}: op ${JSON.stringify(op)} is unknown, use add, remove or replace`);
  }
  const problem = value === "" ? "the value is empty" : pairValueProblem(value);
  if (problem !== undefined) {
    throw new EntityError(what, `operation ${index}: ${problem}`);
  }
  return value;
}

/** @param json The parsed body of `POST /events`: names of the units to watch. Throws EntityError. */
export function parseEventsRequest(json: unknown): readonly string[] {
  return read(eventsRequestSchema, json, "the request body").unitNames;
}

/** The client's side: answers of a server that may be another version, or no flt at all. All throw EntityError. */
export function parseUnitEntity(json: unknown): UnitEntity {
  return read(unitSchema, json, "the unit in the answer");
}
export function parseUnitPage(json: unknown): UnitPageEntity {
  return read(unitPageSchema, json, "the units in the answer");
}
export function parseUnitNames(json: unknown): UnitNamesEntity {
  return read(unitNamesSchema, json, "the unit names in the answer");
}
export function parseUnitState(json: unknown): UnitStateEntity {
  return read(unitStateSchema, json, "the unit state in the answer");
}
export function parseUnitStatePage(json: unknown): UnitStatePageEntity {
  return read(unitStatePageSchema, json, "the unit states in the answer");
}
export function parseMachine(json: unknown): MachineEntity {
  return read(machineSchema, json, "the machine in the answer");
}
export function parseMachinePage(json: unknown): MachinePageEntity {
  return read(machinePageSchema, json, "the machines in the answer");
}
export function parseUnitBatchResult(json: unknown): UnitBatchResultEntity {
  const { units } = read(unitBatchResultSchema, json, "the outcome of the units in the answer");
  return {
    units: units.map(({ name, status, revision, error }) => ({
      name,
      status,
      ...(typeof revision === "number" && { revision }),
      ...(error && { error }),
    })),
  };
}
/** undefined for a body that is no error of this API. */
export function parseErrorEntity(json: unknown): ErrorEntity | undefined {
  const result = v.safeParse(errorSchema, json);
  return result.success ? result.output : undefined;
}

function read<S extends v.GenericSchema>(schema: S, json: unknown, what: string): v.InferOutput<S> {
  const result = v.safeParse(schema, json, { abortEarly: true });
  if (result.success) {
    return result.output;
  }
  const issue = result.issues[0];
  const path = v.getDotPath(issue) ?? "";
  if (issue.expected === `"${path.slice(path.lastIndexOf(".") + 1)}"`)
    throw new EntityError(what, `${path} is missing`);
  const expected = issue.type === "custom" ? "Object" : issue.expected;
  throw new EntityError(what, `${path === "" ? "" : `${path}: `}${expected} expected`);
}
