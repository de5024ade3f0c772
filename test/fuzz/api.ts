/**
 * The fleet API's production handlers over the registry and a store in memory, under hostile requests.
 *
 * Checked of each request: no fault (500, or an error in the log); a refusal, and any reading, has left every record where it was;
 * and what was granted has touched nothing but the units, or the metadata, that it named.
 *
 * @module
 */
import fc from "fast-check";
import { encodeText } from "../../src/lib/text.ts";
import { parseUnitFile, serializeUnitFile, unitHash } from "../../src/model/unit-file.ts";
import { decodeUnitFile } from "../../src/registry/records.ts";
import { ClusterUnderFire, changedKeys, mustBeUnchanged, type Snapshot } from "./cluster.ts";
import { eventNames, machineWord, metadataPatch, pageToken, unitBatch, unitName, unitPut, value } from "./words.ts";

export interface HostileRequest {
  readonly method: string;
  /** Path and query, as they would stand in a request line. */
  readonly target: string;
  readonly contentType: string;
  readonly body: string | null;
}

export async function checkRequest(hostile: HostileRequest): Promise<void> {
  const request = requestOf(hostile);
  if (request !== null) await ClusterUnderFire.with((cluster) => checkOn(cluster, request));
}

/** As checkRequest; and a token is good that Go's strict URL-safe base64 makes two numbers of, this server's limit and a page. */
export async function checkToken(hostile: HostileRequest): Promise<void> {
  const token = new URL(`http://flt${hostile.target}`).searchParams.get("nextPageToken") ?? "";
  const bytes = Buffer.from(token, "base64url");
  const isWhole = bytes.length === 4 && /^[\w-]{6}==$/.test(token);
  const isGood = token === "" || (isWhole && bytes.readUInt16LE(0) === 100 && bytes.readUInt16LE(2) > 0);
  await ClusterUnderFire.with(async (cluster) => {
    const { status } = await cluster.api(new Request(`http://flt${hostile.target}`));
    if (status !== (isGood ? 200 : 400)) throw new Error(`Token "${token}" is answered with ${status}`);
  });
  await checkRequest(hostile);
}

async function checkOn(cluster: ClusterUnderFire, request: Request): Promise<void> {
  const before = await cluster.snapshot();
  const response = await cluster.api(request);
  const isStream = (response.headers.get("content-type") ?? "").includes("ndjson");
  const text = isStream ? "" : await response.text();
  if (isStream) await response.body?.cancel();
  cluster.checkFaults();
  const { status } = response;
  if (status >= 500) throw new Error(`Status ${status}: ${text}`);
  if (status >= 400) checkErrorBody(status, text);
  const after = await cluster.snapshot();
  if (status >= 400 || request.method === "GET" || request.method === "HEAD") {
    mustBeUnchanged(before, after, `${request.method} was answered with ${status} (${text})`);
  } else checkGranted(before, after, new URL(request.url).pathname, text);
}

/** Only what was named may differ, and of a bulk change only what was not refused. */
function checkGranted(before: Snapshot, after: Snapshot, path: string, text: string): void {
  const granted = path.endsWith("/units:batch")
    ? outcomesOf(text).flatMap(({ name, status }) => (status < 400 ? [name] : []))
    : [decodeURIComponent(path.replace(/\/$/, "").replace(/^.*\//, ""))];
  const isPatch = /\/machines\/?$/.test(path);
  for (const key of changedKeys(before, after)) {
    const [kind = "", ...rest] = key.split("/");
    const isNamed = isPatch ? kind === "metadata" : kind === "unit" || granted.includes(rest.at(-1) ?? "");
    if (!isNamed) throw new Error(`"${key}" has changed, which was not asked for, or was refused: ${text}`);
  }
  checkFiles(after);
}

/** A job without its file is a unit that no machine can run. */
export function checkFiles(snapshot: Snapshot): void {
  for (const [key, { value: record }] of snapshot) {
    if (!key.startsWith("job/")) continue;
    const { hash } = JSON.parse(record) as { readonly hash: string };
    const options = snapshot.get(`unit/${hash}`)?.value;
    if (options === undefined) throw new Error(`"${key}" names the file ${hash}, which is not there`);
    // What an agent writes to its disk, and reads again, is what was put.
    const again = parseUnitFile(serializeUnitFile(decodeUnitFile(encodeText(options))));
    if (unitHash(again) !== hash) throw new Error(`The file of "${key}" is another one on disk: ${options}`);
  }
}

export interface Outcome {
  readonly name: string;
  readonly status: number;
  readonly error?: { readonly code: number; readonly message: string };
}

export function outcomesOf(text: string): readonly Outcome[] {
  const { units } = JSON.parse(text) as { readonly units: readonly Outcome[] };
  for (const { status, error } of units) {
    if (status >= 500) throw new Error(`Status ${status} of a unit: ${text}`);
    if (status >= 400 && (error?.code !== status || error.message === "")) {
      throw new Error(`A unit is refused with ${status} and no such error: ${text}`);
    }
  }
  return units;
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
      ...["units", "state", "machines", "discovery", "events", "version", "units:batch", "unit-names", "usage"],
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      "status",
      "journal",
      "properties",
      "dependencies",
      "reasons",
      "openapi.json",
      "%",
      "%ff",
      "%2F",
      "%00",
      ".",
      "",
    ),
  },
  { weight: 3, arbitrary: unitName.map((name) => encodeURIComponent(name.toWellFormed())) },
  { weight: 1, arbitrary: fc.string({ maxLength: 8 }) },
);
const parameter = fc.oneof(
  pageToken.map((token) => `nextPageToken=${encodeURIComponent(token.toWellFormed())}`),
  fc
    .tuple(
      fc.constantFrom(
        "unitName",
        "machineID",
        "lines",
        "follow",
        "output",
        "stale",
        "pattern",
        "property",
        "direction",
        "intervalMs",
        "all",
        "x",
      ),
      fc.oneof(value, fc.constantFrom("true", "-1", "1e9", "99999999999", "json"), machineWord),
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
