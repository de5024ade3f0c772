/**
 * /units: the unit files and what is wanted of them.
 *
 * Idea. A PUT means one of three things: create, replace, or change the state. Which it is follows from what the body has
 * and what the cluster has; the registry decides the latter inside its transaction, so that two clients cannot mislead
 * each other. Only a body without desiredState needs a look beforehand.
 *
 * Invariants.
 * - Everything is checked before anything is written.
 * - 201 and 204 mean that the change is committed.
 *
 * @module
 */
import { type ReasonEntity, unitPageEntity } from "../../model/entities.ts";
import { parseUnitPut, type UnitPut } from "../../model/entity-input.ts";
import { pageOf } from "../../model/page-token.ts";
import { parseRequirements } from "../../model/requirements.ts";
import type { JobState } from "../../model/states.ts";
import { checkUnitOptions, unitHash } from "../../model/unit-file.ts";
import { isUnitName, parseUnitName, UNIT_NAME_MAX_LENGTH, type UnitName } from "../../model/unit-name.ts";
import { compileUnitPattern, matchesSome } from "../../model/unit-pattern.ts";
import type { ClusterView, UnitChange, UnitWriteResult } from "../../registry/types.ts";
import { type Call, pageToken, refreshView, writeOptions } from "./call.ts";
import { unitOf } from "./entities.ts";
import { ApiError } from "./errors.ts";
import { empty, json, readJson, requireJson } from "./http.ts";

export async function listUnits(call: Call): Promise<Response> {
  const token = pageToken(call);
  await refreshView(call);
  const { view } = call.ports;
  const { items, nextPageToken } = pageOf(view.jobs(), token);
  return json(
    200,
    unitPageEntity(
      items.map((job) => unitOf(view, job)),
      nextPageToken,
    ),
  );
}

/** As many patterns as a command line is likely to hold. */
const MAX_PATTERNS = 100;

/** Names alone: what a pattern of the command line is matched with. flt's own. */
export async function listUnitNames(call: Call): Promise<Response> {
  const texts = call.query.getAll("pattern");
  if (texts.length > MAX_PATTERNS) {
    throw new ApiError("bad-request", `Cannot match ${texts.length} patterns: at most ${MAX_PATTERNS} in one request`);
  }
  for (const text of texts) {
    if (text.length <= UNIT_NAME_MAX_LENGTH) continue;
    throw new ApiError("bad-request", `Cannot use a pattern of ${text.length} characters: a name has fewer`);
  }
  const patterns = texts.map(compileUnitPattern);
  await refreshView(call);
  const names: string[] = [];
  for (const { name } of call.ports.view.jobs()) if (matchesSome(patterns, name)) names.push(name);
  return json(200, { names });
}

export async function getUnit(call: Call): Promise<Response> {
  await refreshView(call);
  const job = call.ports.view.job(call.name);
  if (job === undefined) throw unknownUnit(call.name);
  const unit = unitOf(call.ports.view, job);
  const reasons = call.isFlt ? reasonsOf(call) : [];
  return json(200, reasons.length > 0 ? { ...unit, reasons } : unit);
}

/** Why the unit is nowhere: one sentence a machine. flt's own. */
export async function getReasons(call: Call): Promise<Response> {
  await refreshView(call);
  if (call.ports.view.job(call.name) === undefined) throw unknownUnit(call.name);
  return json(200, { reasons: reasonsOf(call) });
}

function reasonsOf(call: Call): ReasonEntity[] {
  return call.ports.view.reasons(call.name).map(({ machineId, reason }) => ({
    ...(machineId === "" ? {} : { machineID: machineId }),
    reason,
  }));
}

export async function deleteUnit(call: Call): Promise<Response> {
  // What is no name cannot be the name of a unit that there is.
  if (isUnitName(call.name) && (await call.ports.units.destroyUnit(call.name, writeOptions(call)))) return empty(204);
  throw unknownUnit(call.name);
}

export async function putUnit(call: Call): Promise<Response> {
  requireJson(call.request);
  const put = parseUnitPut(await readJson(call.request));
  checkUnitPut(call.name, put);
  // Only then does the answer depend on more than the registry's own transaction can tell.
  if (put.desiredState === undefined) await refreshView(call);
  const change = changeOf(call.ports.view, call.name, put);
  const options = writeOptions(call);
  const { units } = call.ports;
  const result =
    change.kind === "put"
      ? await units.putUnit(change.name, change.options, change.desiredState, options)
      : await units.setDesiredState(change.name, change.desiredState, options);
  return empty(writtenStatus(result, call.name));
}

/** Everything about a PUT that can be said without looking at the cluster. */
export function checkUnitPut(nameInUrl: string, put: UnitPut): void {
  const name = checkedName(nameInUrl, put);
  if (put.options !== undefined) {
    checkUnitOptions(put.options);
    parseRequirements(name.name, put.options);
  }
  if (put.desiredState !== undefined) refuseActiveTemplate(name, put.desiredState);
}

/** What a checked PUT asks of the registry. Without a desiredState the view must be fresh. */
export function changeOf(view: ClusterView, name: string, put: UnitPut): Exclude<UnitChange, { kind: "destroy" }> {
  const { options, desiredState } = put;
  if (options === undefined) {
    if (desiredState !== undefined) return { kind: "state", name, desiredState };
    throw view.job(name) === undefined ? noOptions(name) : noDesiredState(name);
  }
  if (desiredState === undefined && view.job(name)?.hash === unitHash(options)) throw noDesiredState(name);
  return { kind: "put", name, options, desiredState: desiredState ?? "inactive" };
}

function checkedName(nameInUrl: string, put: UnitPut): UnitName {
  if (put.name !== undefined && put.name !== nameInUrl) {
    throw new ApiError(
      "bad-request",
      `name in URL "${nameInUrl}" differs from unit name in request body "${put.name}"`,
    );
  }
  return parseUnitName(nameInUrl);
}

function refuseActiveTemplate(name: UnitName, desiredState: JobState): void {
  if (name.isTemplate && desiredState !== "inactive") {
    throw new ApiError("bad-request", `cannot activate template "${name.name}"`);
  }
}

/** Throws what the registry refused with. */
export function writtenStatus(result: UnitWriteResult, name: string): 201 | 204 {
  switch (result.kind) {
    case "created":
    case "replaced":
      return 201;
    case "changed":
    case "unchanged":
    case "destroyed":
      return 204;
    case "refused":
      throw result.error.code === "unit-not-found" ? noOptions(name) : result.error;
  }
}

export function unknownUnit(name: string): ApiError {
  return new ApiError("not-found", `unit "${name}" does not exist`);
}
function noOptions(name: string): ApiError {
  return new ApiError("conflict", `unit "${name}" does not exist and options field empty`);
}
function noDesiredState(name: string): ApiError {
  return new ApiError("conflict", `must provide desiredState to update existing unit "${name}"`);
}
