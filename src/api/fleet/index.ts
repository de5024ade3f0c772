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
 *   /flt/v1 only
 *     POST         /units:batch {"units": […]}      many units at once, each with its own status
 *     GET          /events ?unitName= …             the picture, then every change (model/events.ts), as x-ndjson
 *     POST         /events {"unitNames": […]}       the same for more names than a URL holds
 *     GET          /units/NAME/status ?machineID=   text of systemctl status
 *     GET          /units/NAME/journal ?lines= &follow= &output= &machineID=
 *     GET          /units/NAME/reasons              why it is nowhere
 *     GET          /version
 *     every GET takes ?stale=true: this machine's own view, which may be old, without asking the cluster
 *
 * Invariants.
 * - Reads are linearizable unless `stale` was asked for: they fail with 503 when there is no quorum.
 * - Whatever comes in, a refusal has a status of the 400s and an error body; 500 is a fault of ours and is logged.
 *
 * Not here. Sockets (platform/), what the registry does (registry/).
 *
 * @module
 */
import { changeUnits } from "./batch.ts";
import type { Call, Handler } from "./call.ts";
import { ApiError, responseOf } from "./errors.ts";
import { json, pathSegments } from "./http.ts";
import { getState, listMachines, listStates } from "./lists.ts";
import { patchMachines } from "./metadata.ts";
import type { FleetApiPorts, RequestContext } from "./ports.ts";
import { unitJournal, unitStatus } from "./streams.ts";
import { deleteUnit, getReasons, getUnit, listUnits, putUnit } from "./units.ts";
import { getEvents, postEvents } from "./watch.ts";

export { ApiError } from "./errors.ts";
export { MAX_BODY_BYTES } from "./http.ts";
export type { FleetApiPorts, JournalRequest, MachineCalls, RequestContext } from "./ports.ts";

interface Route {
  /** Path below the prefix; "*" is the unit's name. */
  readonly path: readonly string[];
  readonly methods: Readonly<Record<string, Handler>>;
  readonly fltOnly?: true;
}

const ROUTES: readonly Route[] = [
  { path: ["units"], methods: { GET: listUnits } },
  { path: ["units", "*"], methods: { GET: getUnit, PUT: putUnit, DELETE: deleteUnit } },
  { path: ["state"], methods: { GET: listStates } },
  { path: ["state", "*"], methods: { GET: getState } },
  { path: ["machines"], methods: { GET: listMachines, PATCH: patchMachines } },
  { path: ["units:batch"], methods: { POST: changeUnits }, fltOnly: true },
  { path: ["discovery"], methods: { GET: later("GET /discovery") } },
  { path: ["events"], methods: { GET: getEvents, POST: postEvents }, fltOnly: true },
  { path: ["units", "*", "status"], methods: { GET: unitStatus }, fltOnly: true },
  { path: ["units", "*", "journal"], methods: { GET: unitJournal }, fltOnly: true },
  { path: ["units", "*", "reasons"], methods: { GET: getReasons }, fltOnly: true },
  { path: ["version"], methods: { GET: getVersion }, fltOnly: true },
];

const PREFIXES: readonly (readonly [string, string])[] = [
  ["fleet", "v1"],
  ["fleet", "v1-alpha"],
  ["flt", "v1"],
];

export type FleetApi = (request: Request, context?: RequestContext) => Promise<Response>;

export function createFleetApi(ports: FleetApiPorts): FleetApi {
  return async (request, context) => {
    try {
      return await answer(ports, request, context?.signal ?? request.signal);
    } catch (error) {
      return responseOf(error, `${request.method} ${new URL(request.url).pathname}`, ports.log);
    }
  };
}

async function answer(ports: FleetApiPorts, request: Request, signal: AbortSignal): Promise<Response> {
  const ready = ports.ready();
  if (ready !== true) throw new ApiError("not-ready", `Cannot answer yet: ${ready}`);
  const url = new URL(request.url);
  const [first, second, ...segments] = pathSegments(url.pathname);
  if (first === undefined) throw notAllowed(request, []);
  if (!PREFIXES.some(([one, other]) => one === first && other === second)) throw unknownPath(url);
  if (segments.length === 0) throw notAllowed(request, []);
  const isFlt = first === "flt";
  const route = ROUTES.find((candidate) => matches(candidate, segments) && (isFlt || candidate.fltOnly !== true));
  if (route === undefined) throw unknownPath(url);
  const call: Call = { ports, request, query: url.searchParams, name: segments[1] ?? "", isFlt, signal };
  const handler = Object.hasOwn(route.methods, request.method) ? route.methods[request.method] : undefined;
  if (handler !== undefined) return await handler(call);
  // fleet answers 400 here, unlike everywhere else.
  if (route.path[0] === "discovery") throw new ApiError("bad-request", "Only GET is supported for /discovery");
  throw notAllowed(request, Object.keys(route.methods));
}

function matches(route: Route, segments: readonly string[]): boolean {
  return (
    route.path.length === segments.length &&
    route.path.every((part, index) => (part === "*" ? segments[index] !== "" : part === segments[index]))
  );
}

function notAllowed(request: Request, allow: readonly string[]): ApiError {
  const only = allow.length === 0 ? "nothing is served here" : `only ${allow.join(", ")} are`;
  return new ApiError("method-not-allowed", `${request.method} is not supported: ${only}`, allow);
}

function unknownPath(url: URL): ApiError {
  return new ApiError("not-found", `Nothing is served at "${url.pathname}"`);
}

function later(what: string): Handler {
  return () => Promise.reject(new ApiError("not-implemented", `${what} is not served by this version`));
}

async function getVersion(call: Call): Promise<Response> {
  const { ports } = call;
  const leader = ports.leader?.() ?? null;
  return json(200, { version: ports.version, machineID: ports.machineId, ...(leader === null ? {} : { leader }) });
}
