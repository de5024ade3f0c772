/**
 * GET /discovery: this API as a Google API discovery document (discovery#restDescription), as fleet's clients were generated from.
 *
 * Idea. Made from the table of routes and the schemas of their answers, in the document's own older dialect of JSON Schema: no
 * `required` lists, references by bare name, "any" for what has several forms. flt's own routes are in the OpenAPI document.
 *
 * @module
 */
import { type JsonSchema, jsonSchemas } from "./json-schemas.ts";
import type { Operation, Route } from "./route.ts";

type Json = Readonly<Record<string, unknown>>;

/** @param prefix Where the document was asked for, as in "/fleet/v1". */
export function discoveryDocument(routes: readonly Route[], prefix: string): Json {
  const [, name = "", version = ""] = prefix.split("/");
  const servicePath = `${name}/${version}/`;
  return {
    kind: "discovery#restDescription",
    discoveryVersion: "v1",
    id: `${name}:${version}`,
    name: "schema",
    version,
    title: `${name} API`,
    description: "",
    documentationLink: "",
    protocol: "rest",
    icons: { x16: "", x32: "" },
    labels: [],
    baseUrl: `$ENDPOINT/${servicePath}`,
    basePath: `/${servicePath}`,
    rootUrl: "$ENDPOINT/",
    servicePath,
    batchPath: "batch",
    parameters: {},
    auth: {},
    schemas: schemas(),
    resources: resources(routes),
  };
}

/** fleet's entities, and the body of its one patch. */
const SCHEMAS = [
  "Machine",
  "MachinePage",
  "MachinePatch",
  "UnitOption",
  "Unit",
  "UnitPage",
  "UnitState",
  "UnitStatePage",
];
/** A PUT takes what a GET gives: for a generated client that is one type. */
const REQUEST_REFS: Readonly<Record<string, string>> = { UnitPut: "Unit" };

function schemas(): Json {
  const all = jsonSchemas("");
  return Object.fromEntries(SCHEMAS.map((id) => [id, { id, ...convert(all[id] ?? {}) }]));
}

function convert(schema: JsonSchema): Json {
  if (schema.$ref !== undefined) return { $ref: schema.$ref };
  if (schema.anyOf !== undefined) {
    const forms = schema.anyOf.filter((form) => typeof form === "object" && form.type !== "null") as JsonSchema[];
    const [only] = forms;
    return forms.length === 1 && only !== undefined ? convert(only) : { type: "any" };
  }
  const { type, description, items, properties, additionalProperties } = schema;
  return {
    type,
    ...(description === undefined ? {} : { description }),
    ...(schema.enum === undefined ? {} : { enum: schema.enum }),
    ...(isSchema(items) ? { items: convert(items) } : {}),
    ...(properties === undefined ? {} : { properties: convertAll(properties) }),
    ...(isSchema(additionalProperties) ? { additionalProperties: convert(additionalProperties) } : {}),
  };
}

function convertAll(properties: NonNullable<JsonSchema["properties"]>): Json {
  return Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => [name, isSchema(schema) ? convert(schema) : { type: "any" }]),
  );
}

function isSchema(schema: unknown): schema is JsonSchema {
  return typeof schema === "object" && schema !== null && !Array.isArray(schema);
}

function resources(routes: readonly Route[]): Json {
  const found: Record<string, { methods: Record<string, Json> }> = {};
  for (const route of routes) {
    for (const [httpMethod, operation] of Object.entries(route.methods)) {
      if (operation.discovery === undefined) continue;
      const { resource, method } = operation.discovery;
      found[resource] ??= { methods: {} };
      found[resource].methods[method] = methodOf(route, httpMethod, operation);
    }
  }
  return found;
}

function methodOf(route: Route, httpMethod: string, operation: Operation): Json {
  const hasName = route.path.includes("*");
  const query = (operation.query ?? []).map(({ name, type, description }) => {
    return [name, { type, description, location: "query" }] as const;
  });
  const parameters = {
    ...(hasName && { unitName: { type: "string", location: "path", required: true } }),
    ...Object.fromEntries(query),
  };
  const entity = operation.answers[200]?.entity;
  return {
    id: operation.discovery?.id,
    description: `${operation.summary}.`,
    httpMethod,
    path: route.path.map((part) => (part === "*" ? "{unitName}" : part)).join("/"),
    ...(Object.keys(parameters).length > 0 && { parameters }),
    ...(hasName && { parameterOrder: ["unitName"] }),
    ...(operation.body !== undefined && { request: { $ref: REQUEST_REFS[operation.body] ?? operation.body } }),
    ...(entity !== undefined && { response: { $ref: entity } }),
  };
}
