/**
 * The fleet API: a function from Request to Response, over ports.
 *
 *   /fleet/v1, /fleet/v1-alpha, /flt/v1
 *     GET          /units ?nextPageToken=           the unit files, by name
 *     GET PUT DEL  /units/NAME
 *     GET          /state ?machineID= &unitName=    what systemd says, by name and machine
 *     GET          /state/NAME
 *     GET          /machines
 *     PATCH        /machines                        metadata, as JSON Patch
 *     GET          /discovery                       the same as a Google discovery document
 *   /flt/v1 only
 *     GET          /unit-names ?pattern= …          names alone
 *     POST         /units:batch {"units": […]}      many units at once, each with its own status
 *     GET          /events ?unitName= …             the picture, then every change (model/events.ts), as x-ndjson
 *     POST         /events {"unitNames": […]}       the same for more names than a URL holds
 *     GET          /units/NAME/status ?machineID=   text of systemctl status
 *     GET          /units/NAME/journal ?lines= &follow= &output= &machineID=
 *     GET          /units/NAME/properties ?property= … &machineID=
 *     GET          /units/NAME/dependencies ?direction= &all= &plain= &machineID=
 *     GET          /units/NAME/reasons              why it is nowhere
 *     GET          /usage ?machineID= … &unitName= … &follow= &intervalMs=   CPU, memory, tasks, as x-ndjson
 *     GET          /version
 *     GET          /openapi.json                    all of this as OpenAPI 3.1 (routes.ts is the table behind it)
 *     every GET here takes ?stale=true: this machine's own view, which may be old, without asking the cluster
 *   GET /metrics                                    Prometheus' text
 *
 * Invariants.
 * - Reads are linearizable unless `stale` was asked for: they fail with 503 when there is no quorum.
 * - Whatever comes in, a refusal has a status of the 400s and an error body; 500 is a fault of ours and is logged.
 *
 * Not here. Sockets (platform/), what the registry does (registry/).
 *
 * @module
 */
import { NO_METRICS } from "../../lib/metrics.ts";
import { ApiError, responseOf } from "./errors.ts";
import { pathSegments } from "./http.ts";
import { ApiMetrics } from "./metrics.ts";
import type { FleetApiPorts, RequestContext } from "./ports.ts";
import { PREFIXES, type Route } from "./route.ts";
import { ROUTES } from "./routes.ts";

export { ApiError } from "./errors.ts";
export { MAX_BODY_BYTES } from "./http.ts";
export type {
  DependenciesRequest,
  FleetApiPorts,
  JournalRequest,
  MachineCalls,
  MachineInspection,
  RequestContext,
} from "./ports.ts";

const METRICS_PATH = "/metrics";

export type FleetApi = (request: Request, context?: RequestContext) => Promise<Response>;

export function createFleetApi(ports: FleetApiPorts): FleetApi {
  const counted = new ApiMetrics(ports.metrics ?? NO_METRICS);
  return async (request, context) => {
    const beginMs = ports.clock.now();
    const trail: Trail = { operation: "none" };
    const response = await answer(ports, request, context?.signal ?? request.signal, trail).catch((error: unknown) =>
      responseOf(error, `${request.method} ${new URL(request.url).pathname}`, ports.log),
    );
    counted.answered(trail.operation, response.status, (ports.clock.now() - beginMs) / 1000);
    return response;
  };
}

/** What is found out about a request on its way: the id of the operation that took it. */
interface Trail {
  operation: string;
}

async function answer(ports: FleetApiPorts, request: Request, signal: AbortSignal, trail: Trail): Promise<Response> {
  const url = new URL(request.url);
  if (url.pathname === METRICS_PATH) return await metrics(ports, request);
  const ready = ports.ready();
  if (ready !== true) throw new ApiError("not-ready", `Cannot answer yet: ${ready}`);
  const [first, second, ...segments] = pathSegments(url.pathname);
  if (first === undefined) throw notAllowed(request, []);
  const prefix = PREFIXES.find(({ path }) => path === `/${first}/${second}`);
  if (prefix === undefined) throw unknownPath(url);
  if (segments.length === 0) throw notAllowed(request, []);
  const { isFlt } = prefix;
  const route = ROUTES.find((candidate) => matches(candidate, segments) && (isFlt || candidate.fltOnly !== true));
  if (route === undefined) throw unknownPath(url);
  const operation = Object.hasOwn(route.methods, request.method) ? route.methods[request.method] : undefined;
  if (operation !== undefined) {
    const query = url.searchParams;
    trail.operation = operation.id;
    return await operation.handler({
      ports,
      request,
      query,
      prefix: prefix.path,
      name: segments[1] ?? "",
      isFlt,
      signal,
    });
  }
  // fleet answers 400 here, unlike everywhere else.
  if (route.path[0] === "discovery") throw new ApiError("bad-request", "Only GET is supported for /discovery");
  throw notAllowed(request, Object.keys(route.methods));
}

/** Beside the API rather than in it: it is about this daemon, ready or not. */
async function metrics({ metricsText }: FleetApiPorts, request: Request): Promise<Response> {
  if (metricsText === undefined) throw new ApiError("not-found", "Nothing is served at /metrics: this daemon has none");
  if (request.method !== "GET") throw notAllowed(request, ["GET"]);
  const { text, contentType } = await metricsText();
  return new Response(text, { headers: { "content-type": contentType } });
}

function matches(route: Route, segments: readonly string[]): boolean {
  return (
    route.path.length === segments.length &&
    route.path.every((part, index) => (part === "*" ? segments[index] !== "" : part === segments[index]))
  );
}

function notAllowed(request: Request, allow: readonly string[]): ApiError {
  const verb = allow.length === 1 ? "is" : "are";
  const only = allow.length === 0 ? "nothing is served here" : `only ${allow.join(", ")} ${verb}`;
  return new ApiError("method-not-allowed", `${request.method} is not supported: ${only}`, allow);
}

function unknownPath(url: URL): ApiError {
  return new ApiError("not-found", `Nothing is served at "${url.pathname}"`);
}
