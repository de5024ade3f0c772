/**
 * Many units in few requests: the client's side of POST /units:batch.
 *
 * Idea. A list of any length goes out as parts that the API takes, one after the other, and every change gets an outcome: what
 * the cluster said of it, why its request failed, or that it was never sent. So a caller can always tell what was done.
 *
 * Invariants.
 * - One outcome a change, in their order; nothing is thrown for what happened on the way.
 * - After a request without an answer, or the caller's signal, no further one is sent.
 * - A request that is on its way is heard out when the signal comes: its fate is worth more than the moment it takes.
 *
 * @module
 */
import type { UnitBatchItemEntity, UnitBatchOutcomeEntity } from "../model/entities.ts";
import { EntityError, parseUnitBatchResult } from "../model/entity-input.ts";
import { ClientError } from "./errors.ts";
import { type HttpOptions, requestJson } from "./http.ts";

/** Below the API's own limits of 1,000 units and a megabyte; small enough that the first units run while the last are sent. */
const PART_UNITS = 500;
const PART_BYTES = 512 * 1024;
/** Units that were changed by others meanwhile are tried again, each time within the API's own 2.5 s. */
const PART_TIMEOUT_MS = 10_000;

export type UnitOutcome =
  /** 201: created or replaced; 204: changed, as it was, or deleted. */
  | { readonly name: string; readonly kind: "done"; readonly status: number; readonly revision?: number }
  /** `error.status` says why, as if the unit had been asked for alone; without one its fate is the message's to tell. */
  | { readonly name: string; readonly kind: "failed"; readonly error: ClientError }
  /** Nothing was asked of this unit. */
  | { readonly name: string; readonly kind: "not-sent" };

export async function changeUnits(
  options: HttpOptions,
  path: string,
  changes: readonly UnitBatchItemEntity[],
  signal?: AbortSignal,
): Promise<UnitOutcome[]> {
  const outcomes: UnitOutcome[] = [];
  let isOver = false;
  for (const part of partsOf(changes)) {
    isOver ||= signal?.aborted === true;
    if (isOver) {
      outcomes.push(...part.map(({ name }): UnitOutcome => ({ name, kind: "not-sent" })));
      continue;
    }
    try {
      outcomes.push(...(await sendPart(options, path, part)));
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      outcomes.push(...part.map(({ name }): UnitOutcome => ({ name, kind: "failed", error })));
      isOver = error.code !== "refused";
    }
  }
  return outcomes;
}

async function sendPart(
  options: HttpOptions,
  path: string,
  part: readonly UnitBatchItemEntity[],
): Promise<UnitOutcome[]> {
  const timeoutMs = Math.max(options.requestTimeoutMs, PART_TIMEOUT_MS);
  const { body } = await requestJson(options, { method: "POST", path, body: { units: part }, timeoutMs });
  const answered = readOutcomes(body, options);
  return part.map(({ name }, index) => {
    const outcome = answered[index];
    if (outcome?.name !== name) throw badAnswer(options, `it does not tell of unit "${name}"`);
    const { status, revision } = outcome;
    if (status < 400) return { name, kind: "done", status, ...(revision !== undefined && { revision }) };
    const message = outcome.error?.message ?? `the status is ${outcome.status}`;
    return { name, kind: "failed", error: new ClientError("refused", message, outcome.status) };
  });
}

function readOutcomes(body: unknown, options: HttpOptions): readonly UnitBatchOutcomeEntity[] {
  try {
    return parseUnitBatchResult(body).units;
  } catch (error) {
    if (error instanceof EntityError) throw badAnswer(options, error.message);
    throw error;
  }
}

function badAnswer(options: HttpOptions, reason: string): ClientError {
  return new ClientError(
    "bad-answer",
    `Cannot read the outcome of a bulk change from ${options.endpoint.text}: ${reason}`,
  );
}

/** In order, each within the limits; a unit that is too large on its own is a part of its own, for the API to refuse. */
function* partsOf(changes: readonly UnitBatchItemEntity[]): Generator<UnitBatchItemEntity[]> {
  let part: UnitBatchItemEntity[] = [];
  let bytes = 0;
  for (const change of changes) {
    const size = Buffer.byteLength(JSON.stringify(change));
    if (part.length > 0 && (part.length === PART_UNITS || bytes + size > PART_BYTES)) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(change);
    bytes += size;
  }
  if (part.length > 0) yield part;
}
