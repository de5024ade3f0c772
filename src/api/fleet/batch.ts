/**
 * POST /flt/v1/units:batch: many units in one request.
 *
 * Idea. Each item is what a PUT or DELETE of that unit would be, and gets the status and the words that it would have got. The
 * registry writes all that can be written together; what is wrong with one item is that item's own status.
 *
 * Invariants.
 * - The answer lists every unit, in the order of the request.
 * - Nothing is written when the body itself cannot be read.
 *
 * @module
 */
import type { UnitBatchOutcomeEntity } from "../../model/entities.ts";
import { parseUnitBatch, type UnitBatchItem } from "../../model/entity-input.ts";
import { isUnitName } from "../../model/unit-name.ts";
import type { UnitChange, UnitChangeResult } from "../../registry/types.ts";
import { type Call, refreshView, writeOptions } from "./call.ts";
import { ApiError, refusalOf } from "./errors.ts";
import { json, readJson, requireJson } from "./http.ts";
import { changeOf, checkUnitPut, unknownUnit, writtenStatus } from "./units.ts";

/** Some 25 transactions: well within the time that a client waits for an answer. */
export const MAX_BATCH_UNITS = 1_000;

export async function changeUnits(call: Call): Promise<Response> {
  requireJson(call.request);
  const items = parseUnitBatch(await readJson(call.request));
  if (items.length > MAX_BATCH_UNITS) {
    throw new ApiError("body-too-large", `Cannot change ${items.length} units at once: at most ${MAX_BATCH_UNITS}`);
  }
  if (items.some(({ wish }) => wish.kind === "put" && wish.put.desiredState === undefined)) await refreshView(call);
  const planned = items.map((item) => planOf(call, item));
  const changes = planned.flatMap((plan) => (plan instanceof ItemError ? [] : [plan]));
  const results = await call.ports.units.changeUnits(changes, writeOptions(call));
  let next = 0;
  const units = planned.map((plan, index): UnitBatchOutcomeEntity => {
    const name = items[index]?.name ?? "";
    return outcome(call, name, () => {
      if (plan instanceof ItemError) throw plan.cause;
      return successOf(results[next++], name, plan);
    });
  });
  return json(200, { units });
}

/** What is wrong with one item; its cause is what the item's own request would have been refused with. */
class ItemError extends Error {}

function planOf(call: Call, { name, wish }: UnitBatchItem): UnitChange | ItemError {
  if (wish.kind === "destroy") {
    return isUnitName(name) ? { kind: "destroy", name } : new ItemError(name, { cause: unknownUnit(name) });
  }
  try {
    if (wish.kind === "problem") throw wish.error;
    checkUnitPut(name, wish.put);
    return changeOf(call.ports.view, name, wish.put);
  } catch (cause) {
    return new ItemError(name, { cause });
  }
}

type Success = Pick<UnitBatchOutcomeEntity, "status" | "revision">;

function successOf(result: UnitChangeResult | undefined, name: string, change: UnitChange): Success {
  if (result === undefined) throw new Error(`The registry gave no result for unit "${name}"`);
  if (result.kind === "failed") throw result.error;
  if (result.kind === "refused" && change.kind === "destroy") throw unknownUnit(name);
  const status = writtenStatus(result, name);
  return result.kind === "refused" ? { status } : { status, revision: result.revision };
}

function outcome(call: Call, name: string, work: () => Success): UnitBatchOutcomeEntity {
  try {
    return { name, ...work() };
  } catch (error) {
    const { status, message } = refusalOf(error, `units:batch, unit "${name}"`, call.ports.log);
    return { name, status, error: { code: status, message } };
  }
}
