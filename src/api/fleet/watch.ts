/**
 * GET and POST /events: which units to watch, and the stream as an answer.
 *
 * @module
 */
import { parseEventsRequest } from "../../model/entity-input.ts";
import { type Call, refreshView } from "./call.ts";
import { ApiError } from "./errors.ts";
import { eventBody } from "./events.ts";
import { readJson, requireJson } from "./http.ts";

/** As many units as the largest cluster is meant to have. */
const MAX_NAMES = 20_000;

export async function getEvents(call: Call): Promise<Response> {
  return await streamOf(call, call.query.getAll("unitName"));
}

export async function postEvents(call: Call): Promise<Response> {
  requireJson(call.request);
  return await streamOf(call, parseEventsRequest(await readJson(call.request)));
}

async function streamOf(call: Call, names: readonly string[]): Promise<Response> {
  if (names.length > MAX_NAMES) {
    throw new ApiError("bad-request", `Cannot watch ${names.length} units by name: at most ${MAX_NAMES}, or all`);
  }
  await refreshView(call);
  const wanted = names.length === 0 ? null : new Set(names);
  return new Response(eventBody(call.ports, wanted, call.signal), {
    headers: { "content-type": "application/x-ndjson", "cache-control": "no-store" },
  });
}
