/**
 * The fleet API's production handlers over the registry and a store in memory, under hostile requests.
 *
 * Checked of each request: no fault (500, or an error in the log), and a refusal has left the store's revision where it was.
 *
 * @module
 */
import fc from "fast-check";
import { createFleetApi, type FleetApi } from "../../src/api/fleet/index.ts";
import type { Log } from "../../src/lib/log.ts";
import { SILENT_LOG } from "../../src/lib/log.ts";
import { RegistryMachines } from "../../src/registry/index.ts";
import { machineId, RegistryWorld, registration } from "../fakes/registry-world.ts";
import { eventNames, metadataPatch, pageToken, unitBatch, unitName, unitPut, value } from "./words.ts";

export interface HostileRequest {
  readonly method: string;
  /** Path and query, as they would stand in a request line. */
  readonly target: string;
  readonly contentType: string;
  readonly body: string | null;
}

/** A cluster that lives for one round of cases. */
export class ApiUnderFire {
  readonly #world: RegistryWorld;
  readonly #api: FleetApi;
  readonly #faults: string[];

  private constructor(world: RegistryWorld, api: FleetApi, faults: string[]) {
    this.#world = world;
    this.#api = api;
    this.#faults = faults;
  }

  static async open(): Promise<ApiUnderFire> {
    const world = await new RegistryWorld().start();
    await world.agents.register(registration(1, { disk: "ssd" }), 3_600_000);
    await world.put("hello.service", "");
    const faults: string[] = [];
    const log: Log = {
      ...SILENT_LOG,
      error: (message, fields) => void faults.push(`${message} ${fields?.stack ?? ""}`),
    };
    const nothing = async function* (): AsyncGenerator<Uint8Array> {};
    const api = createFleetApi({
      view: world.view,
      units: world.units,
      machines: new RegistryMachines(world.kv, world.keys),
      machineCalls: { unitStatus: nothing, unitJournal: nothing },
      ready: () => true,
      tokenLimit: 100,
      version: "0",
      machineId: machineId(1),
      log,
      clock: world.clock,
    });
    return new ApiUnderFire(world, api, faults);
  }

  async close(): Promise<void> {
    await this.#world.stop();
  }

  async #revision(): Promise<number> {
    return (await this.#world.local.range({ ...this.#world.keys.all, limit: 1 })).revision;
  }

  async check(hostile: HostileRequest): Promise<void> {
    const request = requestOf(hostile);
    if (request === null) return;
    const before = await this.#revision();
    const response = await this.#api(request);
    const isStream = (response.headers.get("content-type") ?? "").includes("ndjson");
    const text = isStream ? "" : await response.text();
    if (isStream) await response.body?.cancel();
    if (response.status >= 500 || this.#faults.length > 0) {
      throw new Error(`Status ${response.status}: ${text}\n${this.#faults.splice(0).join("\n")}`);
    }
    if (isRefusal(response.status, text) && (await this.#revision()) !== before) {
      throw new Error(`Refused with ${response.status}, but the store has changed: ${text}`);
    }
    if (response.status >= 400) checkErrorBody(response.status, text);
  }
}

/** A bulk change is refused when each of its units is. */
function isRefusal(status: number, text: string): boolean {
  if (status >= 400) return true;
  if (!text.startsWith('{"units":[{"name":') || !text.includes('"status":')) return false;
  const { units } = JSON.parse(text) as { units: { status?: number }[] };
  return units.every((unit) => (unit.status ?? 0) >= 400);
}

function checkErrorBody(status: number, text: string): void {
  const { error } = JSON.parse(text) as { error?: { code?: unknown; message?: unknown } };
  if (error?.code !== status || typeof error.message !== "string" || error.message === "") {
    throw new Error(`Status ${status} without fleet's error body: ${text}`);
  }
}

/** null: not even an HTTP client could send it. */
function requestOf({ method, target, contentType, body }: HostileRequest): Request | null {
  try {
    return new Request(`http://flt${target}`, {
      method,
      ...(contentType !== "" && { headers: { "content-type": contentType } }),
      ...(body !== null && method !== "GET" && method !== "HEAD" && { body }),
    });
  } catch {
    return null;
  }
}

const prefix = fc.constantFrom("/fleet/v1", "/fleet/v1-alpha", "/flt/v1", "/flt/v1", "/v1", "", "/flt");
const segment = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      "units",
      "state",
      "machines",
      "discovery",
      "events",
      "version",
      "units:batch",
      "unit-names",
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom("status", "journal", "reasons", "openapi.json", "%", "%ff", "%2F", "%00", ".", ""),
  },
  { weight: 3, arbitrary: unitName.map((name) => encodeURIComponent(name.toWellFormed())) },
  { weight: 1, arbitrary: fc.string({ maxLength: 8 }) },
);
const parameter = fc.oneof(
  pageToken.map((token) => `nextPageToken=${encodeURIComponent(token.toWellFormed())}`),
  fc
    .tuple(
      fc.constantFrom("unitName", "machineID", "lines", "follow", "output", "stale", "pattern", "alt", "x"),
      fc.oneof(value, fc.constantFrom("true", "-1", "1e9", "99999999999", "json", machineId(1))),
    )
    .map(([name, text]) => `${name}=${encodeURIComponent(text.toWellFormed())}`),
  fc.string({ maxLength: 8 }),
);
const target = fc
  .tuple(prefix, fc.array(segment, { maxLength: 4 }), fc.array(parameter, { maxLength: 3 }))
  .map(([start, segments, parameters]) => {
    const query = parameters.length === 0 ? "" : `?${parameters.join("&")}`;
    return `${start}${segments.map((part) => `/${part}`).join("")}${query}`;
  });
const method = fc.constantFrom("GET", "PUT", "DELETE", "PATCH", "POST", "HEAD", "OPTIONS", "X");
const contentType = fc.oneof(
  { weight: 8, arbitrary: fc.constant("application/json") },
  fc.constantFrom("", "text/plain", "application/json; charset=utf-8", "APPLICATION/JSON"),
);
const json = (body: fc.Arbitrary<unknown>): fc.Arbitrary<string | null> =>
  fc.oneof({ weight: 12, arbitrary: body.map((given) => JSON.stringify(given) ?? "") }, rawBody);
const rawBody = fc.oneof(fc.constantFrom(null, "", "{", "[1", '"', "nul", "{}", "[]"), fc.string({ maxLength: 20 }));

/** Any method on any path. */
export const hostileUrl: fc.Arbitrary<HostileRequest> = fc.record({ method, target, contentType, body: json(unitPut) });

function bodyFor(at: fc.Arbitrary<string>, verb: string, body: fc.Arbitrary<unknown>): fc.Arbitrary<HostileRequest> {
  return fc.record({ method: fc.constant(verb), target: at, contentType, body: json(body) });
}

const unitPath = unitName.map((name) => `/fleet/v1/units/${encodeURIComponent(name.toWellFormed())}`);
/** Bodies where bodies belong. */
export const hostileBody: fc.Arbitrary<HostileRequest> = fc.oneof(
  { weight: 4, arbitrary: bodyFor(unitPath, "PUT", unitPut) },
  { weight: 3, arbitrary: bodyFor(fc.constant("/flt/v1/units:batch"), "POST", unitBatch) },
  { weight: 2, arbitrary: bodyFor(fc.constant("/fleet/v1/machines"), "PATCH", metadataPatch) },
  { weight: 1, arbitrary: bodyFor(fc.constant("/flt/v1/events"), "POST", eventNames) },
  { weight: 1, arbitrary: bodyFor(unitPath, "DELETE", unitPut) },
);

/** Page tokens on each list. */
export const hostileToken: fc.Arbitrary<HostileRequest> = fc
  .tuple(fc.constantFrom("units", "state", "machines"), pageToken)
  .map(([list, token]) => ({
    method: "GET",
    target: `/fleet/v1/${list}?nextPageToken=${encodeURIComponent(token.toWellFormed())}`,
    contentType: "",
    body: null,
  }));
