/**
 * One request on its way through the API: what every handler is given, and the gate that every read passes.
 *
 * @module
 */
import type { MachineRef } from "../../model/events.ts";
import { decodePageToken, type PageToken } from "../../model/page-token.ts";
import type { CallOptions } from "../../registry/types.ts";
import { queryFlag } from "./http.ts";
import type { FleetApiPorts } from "./ports.ts";

export interface Call {
  readonly ports: FleetApiPorts;
  readonly request: Request;
  readonly query: URLSearchParams;
  /** Under which the request came, as in "/fleet/v1". */
  readonly prefix: string;
  /** The path's variable part, decoded; "" on a collection. */
  readonly name: string;
  /** True under /flt/v1, where flt's own parameters are known. */
  readonly isFlt: boolean;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

export type Handler = (call: Call) => Promise<Response>;

/** Half a second below the client's 3 s: whoever waits hears the reason, not just that time ran out. */
const DEFAULT_TIMEOUT_MS = 2_500;

export function readOptions(call: Call): CallOptions {
  return { signal: call.signal, timeoutMs: call.ports.readTimeoutMs ?? DEFAULT_TIMEOUT_MS };
}

export function writeOptions(call: Call): CallOptions {
  // No signal: a client that hangs up does not take back a change that is on its way.
  return { timeoutMs: call.ports.writeTimeoutMs ?? DEFAULT_TIMEOUT_MS };
}

/**
 * Waits until the view holds every change that was acknowledged before this request (linearizable), so that a client
 * reads its own writes whichever machine it asks. flt's `?stale=true` takes the view as it is, quorum or not.
 */
export async function refreshView(call: Call): Promise<void> {
  if (call.isFlt && queryFlag(call.query, "stale")) return;
  await call.ports.view.sync(readOptions(call));
}

export function machineRef(ports: FleetApiPorts, id: string): MachineRef {
  return { id, primaryIP: ports.view.machine(id)?.publicIp ?? "" };
}

/** The page that was asked for; the first one when none was. */
export function pageToken(call: Call): PageToken {
  const text = call.query.get("nextPageToken") ?? "";
  const limit = call.ports.tokenLimit;
  return text === "" ? { limit, page: 1 } : decodePageToken(text, limit);
}
