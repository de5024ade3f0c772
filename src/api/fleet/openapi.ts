/**
 * GET /flt/v1/openapi.json: everything this API serves, as an OpenAPI 3.1 document.
 *
 * Idea. Nothing is written twice: paths, parameters and statuses come from the table that the router matches with, bodies from the
 * schemas that validate them, answers from the schemas that the tests hold real answers against.
 *
 * @module
 */
import { jsonSchemas } from "./json-schemas.ts";
import { type AnswerContent, type Operation, PREFIXES, type Prefix, type Route } from "./route.ts";

type Json = Readonly<Record<string, unknown>>;

const SCHEMA_PREFIX = "#/components/schemas/";

/** What any request may be refused with. */
const COMMON_REFUSALS: Readonly<Record<number, string>> = {
  400: "The request is malformed; the message names the culprit",
  503: "The daemon is not ready, or the cluster has no quorum: nothing was done",
};
const REFUSALS: Readonly<Record<number, string>> = {
  404: "There is no such thing",
  409: "It contradicts what the cluster has",
  413: "The body, or what it asks for, is too large",
  415: "The Content-Type is not application/json",
  501: "This daemon, or the unit's machine, cannot do that",
  502: "The unit's machine cannot be reached",
  504: "The unit's machine was lost before it had answered",
};
/** Of a write: its fate is open. */
const UNKNOWN_FATE = "No answer in time: the change may or may not have happened, look before you repeat it";

const STALE = {
  name: "stale",
  in: "query",
  description: "Answer from this machine's own view, which may be old, without asking the cluster",
  schema: { type: "boolean" },
};

export function openApiDocument(routes: readonly Route[], version: string): Json {
  return {
    openapi: "3.1.0",
    info: {
      title: "flt API",
      version,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      description:
        "systemd for a cluster. fleet's API under /fleet/v1 (and /fleet/v1-alpha, its older name), the same and flt's own routes under " +
        "/flt/v1. Reads are linearizable. Empty strings and lists are left out of answers; in requests null counts as absent and " +
        "unknown fields are ignored. A page token is URL-safe base64 of two little-endian uint16: items a page, page from 1.",
    },
    servers: [{ url: "http://localhost", description: "The unix socket /run/flt.sock, and whatever listen_api names" }],
    paths: { ...paths(routes), "/metrics": METRICS },
    components: { schemas: jsonSchemas(SCHEMA_PREFIX) },
  };
}

const METRICS = {
  get: {
    operationId: "getMetrics",
    summary: "Metrics of this daemon, in Prometheus' text format",
    responses: { 200: { description: "The metrics", content: { "text/plain": { schema: { type: "string" } } } } },
  },
};

function paths(routes: readonly Route[]): Json {
  const found: Record<string, Json> = {};
  for (const route of routes) {
    const below = route.path.map((part) => (part === "*" ? "{unitName}" : part)).join("/");
    const prefixes = PREFIXES.filter(({ isFlt }) => isFlt || route.fltOnly !== true);
    for (const prefix of prefixes) found[`${prefix.path}/${below}`] = pathItem(route, prefix);
  }
  return found;
}

function pathItem(route: Route, prefix: Prefix): Json {
  const item: Record<string, unknown> = {};
  if (route.path.includes("*")) {
    item.parameters = [{ name: "unitName", in: "path", required: true, schema: { type: "string" } }];
  }
  for (const [method, operation] of Object.entries(route.methods)) {
    const operationId = `${operation.id}${route.fltOnly === true ? "" : prefix.idSuffix}`;
    item[method.toLowerCase()] = operationOf(method, operation, operationId, prefix);
  }
  return item;
}

function operationOf(method: string, operation: Operation, operationId: string, { isFlt, isOld }: Prefix): Json {
  const query = (operation.query ?? []).map(({ name, type, description, repeated }) => ({
    name,
    in: "query",
    description,
    schema: repeated === true ? { type: "array", items: { type } } : { type },
  }));
  const parameters = isFlt && method === "GET" ? [...query, STALE] : query;
  return {
    operationId,
    summary: operation.summary,
    ...(isOld === true && { deprecated: true }),
    ...(operation.description !== undefined && { description: operation.description }),
    ...(parameters.length > 0 && { parameters }),
    ...(operation.body !== undefined && {
      requestBody: {
        required: true,
        content: { "application/json": { schema: { $ref: SCHEMA_PREFIX + operation.body } } },
      },
    }),
    responses: responses(method, operation, isFlt),
  };
}

function responses(method: string, operation: Operation, isFlt: boolean): Json {
  const all: Record<string, Json> = {};
  for (const [status, answer] of Object.entries(operation.answers)) {
    all[status] = { description: answer.description, ...contentOf(answer, isFlt) };
  }
  const refusals: Record<number, string> = { ...COMMON_REFUSALS };
  for (const status of operation.refusals ?? []) refusals[status] = REFUSALS[status] ?? "Refused";
  if (method !== "GET" && operation.readsOnly !== true) {
    refusals[504] = UNKNOWN_FATE;
    refusals[507] = "The cluster's disk is full: nothing was done";
  }
  for (const [status, description] of Object.entries(refusals)) {
    all[status] = { description, content: { "application/json": { schema: { $ref: `${SCHEMA_PREFIX}Error` } } } };
  }
  return all;
}

function contentOf({ fltEntity, mediaType, ...answer }: AnswerContent, isFlt: boolean): Json {
  const entity = isFlt && fltEntity !== undefined ? fltEntity : answer.entity;
  if (entity === undefined && mediaType === undefined) return {};
  const schema =
    entity === undefined
      ? { type: mediaType === "application/json" ? "object" : "string" }
      : { $ref: SCHEMA_PREFIX + entity };
  return { content: { [mediaType ?? "application/json"]: { schema } } };
}
