/**
 * The API's two documents: they name every route, refer to nothing that is not there, and tell the truth about answers.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { AnswerChecker, type OpenApiDocument } from "../../../test/contract/openapi.ts";
import { FakeFleet } from "../../../test/fakes/fake-fleet.ts";
import { ManualClock } from "../../../test/fakes/manual-clock.ts";
import { SILENT_LOG } from "../../lib/log.ts";
import { encodeText } from "../../lib/text.ts";
import { parseUnitFile } from "../../model/unit-file.ts";
import { KvError } from "../../registry/types.ts";
import { createFleetApi, type FleetApi } from "./index.ts";
import { ROUTES } from "./routes.ts";

const M1 = "113f16a7000000000000000000000001";
const M2 = "2222222200000000000000000000000a";
const FILE = parseUnitFile("[Unit]\nDescription=\n[Service]\nExecStart=/bin/true\n");

let fleet: FleetWithUnits;
let api: FleetApi;
let document: OpenApiDocument;
let checker: AnswerChecker;
/** Why no machine can be asked; null: each answers. */
let refusal: Error | null;

class FleetWithUnits extends FakeFleet {
  async fill(): Promise<void> {
    this.addMachine(M1, "172.17.8.103", { region: "eu" });
    this.addMachine(M2, "");
    for (const name of ["a.service", "b.service", "c.service", "d.service"]) await this.putUnit(name, FILE, "launched");
    this.place("a.service", M1);
    this.setReport({ name: "a.service", machineId: M1 });
    this.setReport({ name: "c.service", machineId: M2, problem: "no such file", pending: "start" });
    this.setReasons("b.service", [
      { machineId: M1, reason: "it has no ssd" },
      { machineId: "", reason: "no machine is registered" },
    ]);
  }
}

beforeEach(async () => {
  fleet = new FleetWithUnits();
  await fleet.fill();
  refusal = null;
  const text = async function* (): AsyncGenerator<Uint8Array> {
    if (refusal !== null) throw refusal;
    yield encodeText("text\n");
  };
  const usage = async function* (machine: string): AsyncGenerator<Uint8Array> {
    if (machine === M2) throw new Error("it is away");
    const units = [{ name: "a.service", cpuNs: 1, memoryBytes: 2, tasks: 3 }, { name: "c.service" }];
    yield encodeText(`${JSON.stringify({ atMs: 0.5, total: { tasks: 9 }, units })}\n`);
  };
  api = createFleetApi({
    view: fleet,
    units: fleet,
    machines: fleet,
    machineCalls: { unitStatus: text, unitJournal: text },
    inspection: { unitProperties: text, unitDependencies: text, usage },
    ready: () => true,
    tokenLimit: 3,
    version: "0.1.0",
    machineId: M1,
    leader: () => M2,
    metricsText: async () => ({ text: "flt_x 1\n", contentType: "text/plain; version=0.0.4" }),
    log: SILENT_LOG,
    clock: new ManualClock(),
  });
  document = (await (await api(new Request("http://x/flt/v1/openapi.json"))).json()) as OpenApiDocument;
  checker = new AnswerChecker(document);
});

async function ask(method: string, path: string, body?: unknown): Promise<string | null> {
  const end = new AbortController();
  const headers = { "content-type": "application/json" };
  const init = body === undefined ? { method } : { method, headers, body: JSON.stringify(body) };
  const response = await api(new Request(`http://x${path}`, init), { signal: end.signal });
  const isStream = response.headers.get("content-type") === "application/x-ndjson";
  const answer = {
    status: response.status,
    contentType: response.headers.get("content-type") ?? "",
    text: isStream ? await firstLines(response) : await response.text(),
  };
  end.abort();
  return checker.problem(method, new URL(`http://x${path}`).pathname, answer);
}

async function firstLines(response: Response): Promise<string> {
  if (response.body === null) throw new Error("the stream has no body");
  const reader = response.body.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  return new TextDecoder().decode(value);
}

const put = { desiredState: "loaded", options: FILE };
const REQUESTS: readonly (readonly [method: string, path: string, body?: unknown])[] = [
  ["GET", "/units"],
  ["GET", "/units?nextPageToken=nonsense"],
  ["GET", "/units/a.service"],
  ["GET", "/units/b.service"],
  ["GET", "/units/nobody.service"],
  ["PUT", "/units/new.service", put],
  ["PUT", "/units/a.service", { desiredState: "loaded" }],
  ["PUT", "/units/a.service", { desiredState: "nonsense" }],
  ["PUT", "/units/a.service", {}],
  ["DELETE", "/units/a.service"],
  ["DELETE", "/units/nobody.service"],
  ["POST", "/units/a.service"],
  ["GET", "/state"],
  ["GET", "/state?unitName=nobody.service"],
  ["GET", "/state/a.service"],
  ["GET", "/state/b.service"],
  ["GET", "/machines"],
  ["PATCH", "/machines", [{ op: "add", path: `/${M1}/metadata/disk`, value: "ssd" }]],
  ["PATCH", "/machines", [{ op: "test", path: `/${M1}/metadata/disk`, value: "ssd" }]],
  ["GET", "/discovery"],
  ["GET", "/nowhere"],
];
const FLT_REQUESTS: typeof REQUESTS = [
  ["POST", "/units:batch", { units: [{ name: "a.service", delete: true }, { name: "x" }] }],
  ["POST", "/units:batch", {}],
  ["GET", "/unit-names"],
  ["GET", "/unit-names?pattern=a*&pattern=[b-c].service"],
  ["GET", "/unit-names?pattern=[a"],
  ["GET", "/units/a.service/status"],
  ["GET", "/units/b.service/status"],
  ["GET", "/units/a.service/journal?lines=3"],
  ["GET", "/units/a.service/journal?lines=x"],
  ["GET", "/units/a.service/properties?property=Id"],
  ["GET", "/units/a.service/properties?property=--all"],
  ["GET", "/units/nobody.service/properties"],
  ["GET", "/units/a.service/dependencies?direction=after&all&plain"],
  ["GET", "/units/b.service/dependencies"],
  ["GET", "/usage"],
  ["GET", "/usage?follow=true&machineID=113f&unitName=a.service"],
  ["GET", "/usage?machineID=9"],
  ["GET", "/units/b.service/reasons"],
  ["GET", "/units/nobody.service/reasons"],
  ["GET", "/events"],
  ["GET", "/events?unitName=b.service&unitName=nobody.service"],
  ["POST", "/events", { unitNames: ["a.service"] }],
  ["POST", "/events", {}],
  ["GET", "/version"],
  ["GET", "/openapi.json"],
];

describe("OpenAPI", () => {
  test("names every route and method, each with an id of its own", () => {
    const ids = Object.values(document.paths).flatMap((item) =>
      Object.values(item).flatMap(({ operationId }) => operationId ?? []),
    );
    expect(new Set(ids).size).toBe(ids.length);
    for (const { path, methods, fltOnly } of ROUTES) {
      const below = path.map((part) => (part === "*" ? "{unitName}" : part)).join("/");
      for (const prefix of fltOnly === true ? ["/flt/v1"] : ["/flt/v1", "/fleet/v1", "/fleet/v1-alpha"]) {
        const item = document.paths[`${prefix}/${below}`];
        for (const method of Object.keys(methods)) expect(item).toHaveProperty(method.toLowerCase());
      }
    }
    expect(document.openapi).toBe("3.1.0");
    expect(document.paths).toHaveProperty("/metrics");
  });

  test("fleet's older prefix has fleet's routes, marked as old, and none of flt's", () => {
    const older = Object.entries(document.paths).filter(([path]) => path.startsWith("/fleet/v1-alpha/"));
    const now = Object.keys(document.paths).filter((path) => path.startsWith("/fleet/v1/"));
    expect(older.map(([path]) => path.replace("-alpha", ""))).toEqual(now);
    const operations = older.flatMap(([, item]) => Object.values(item).filter(({ operationId }) => operationId));
    expect(operations.every((operation) => (operation as { deprecated?: boolean }).deprecated)).toBe(true);
  });

  test("only what writes speaks of a change whose fate is not known, or of a full disk", () => {
    const spoken = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item).flatMap(([method, operation]) => {
        return operation.responses?.["507"] === undefined ? [] : `${method} ${path}`;
      }),
    );
    expect(spoken.filter((name) => name.includes("/flt/v1")).sort()).toEqual([
      "delete /flt/v1/units/{unitName}",
      "patch /flt/v1/machines",
      "post /flt/v1/units:batch",
      "put /flt/v1/units/{unitName}",
    ]);
  });

  test("every reference leads somewhere", () => {
    const refs = JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g);
    const names = new Set([...refs].map(([, name]) => name ?? ""));
    for (const name of names) expect(document.components.schemas).toHaveProperty(name);
    expect(names.size).toBeGreaterThan(10);
  });

  for (const [method, path, body] of REQUESTS) {
    test(`tells the truth: ${method} ${path} ${JSON.stringify(body ?? "").slice(0, 40)}`, async () => {
      for (const prefix of ["/fleet/v1", "/fleet/v1-alpha", "/flt/v1"]) {
        expect(await ask(method, `${prefix}${path}`, body)).toBeNull();
      }
    });
  }
  for (const [method, path, body] of FLT_REQUESTS) {
    test(`tells the truth: ${method} ${path} ${JSON.stringify(body ?? "").slice(0, 40)}`, async () => {
      expect(await ask(method, `/flt/v1${path}`, body)).toBeNull();
    });
  }

  test("tells the truth of a cluster without quorum", async () => {
    fleet.failure = new KvError("unavailable", "no quorum");
    expect(await ask("GET", "/fleet/v1/units")).toBeNull();
    expect(await ask("PUT", "/fleet/v1/units/a.service", put)).toBeNull();
    fleet.failure = new KvError("unknown-fate", "lost");
    expect(await ask("PATCH", "/fleet/v1/machines", [])).toBeNull();
  });

  test("tells the truth of a machine that cannot be asked", async () => {
    for (const code of ["not-implemented", "not-sent", "lost", "refused"]) {
      refusal = Object.assign(new Error(code), { code });
      for (const what of ["status", "journal", "properties", "dependencies"]) {
        expect([code, what, await ask("GET", `/flt/v1/units/a.service/${what}`)]).toEqual([code, what, null]);
      }
    }
  });

  test("a lie would be found", () => {
    const json = "application/json";
    const unit = (text: string) =>
      checker.problem("GET", "/fleet/v1/units/a.service", { status: 200, contentType: json, text });
    expect(unit('{"name":"a.service","desiredState":"loaded"}')).toBeNull();
    expect(unit('{"name":"a.service","options":[]}')).toContain("fewer than 1");
    expect(unit('{"name":"a.service","extra":1}')).toContain("additional properties");
    expect(unit("{}")).toContain("required");
    expect(checker.problem("GET", "/fleet/v1/events", { status: 200, contentType: json, text: "{}" })).toContain(
      "not in",
    );
  });

  test("what it allows in a body is what is taken", () => {
    const path = "/fleet/v1/units/a.service";
    expect(checker.takes("PUT", path, put)).toBe(true);
    expect(checker.takes("PUT", path, { name: null, options: [{ section: "A", name: "b" }] })).toBe(true);
    expect(checker.takes("PUT", path, { options: "none" })).toBe(false);
    expect(checker.takes("PATCH", "/fleet/v1/machines", [{ op: "add", path: "/x", value: { value: "v" } }])).toBe(true);
    expect(checker.takes("PATCH", "/fleet/v1/machines", {})).toBe(false);
    expect(checker.takes("POST", "/flt/v1/units:batch", { units: [{ name: "a.service", delete: true }] })).toBe(true);
    expect(checker.takes("POST", "/flt/v1/units:batch", { units: {} })).toBe(false);
  });
});

describe("discovery", () => {
  async function discovery(prefix: string): Promise<Record<string, never>> {
    return (await (await api(new Request(`http://x${prefix}/discovery`))).json()) as Record<string, never>;
  }

  test("describes fleet's API where it was asked for", async () => {
    for (const prefix of ["/fleet/v1", "/fleet/v1-alpha", "/flt/v1"]) {
      const found = await discovery(prefix);
      expect(found).toMatchObject({
        kind: "discovery#restDescription",
        protocol: "rest",
        basePath: `${prefix}/`,
        baseUrl: `$ENDPOINT${prefix}/`,
      });
    }
  });

  test("has fleet's methods, with their parameters, requests and answers", async () => {
    const { resources } = await discovery("/fleet/v1");
    expect(resources).toMatchObject({
      Machines: {
        methods: { List: { id: "fleet.Machine.List", httpMethod: "GET", response: { $ref: "MachinePage" } } },
      },
      Units: {
        methods: {
          List: { path: "units", parameters: { nextPageToken: { type: "string", location: "query" } } },
          Get: { path: "units/{unitName}", parameterOrder: ["unitName"], response: { $ref: "Unit" } },
          Set: { httpMethod: "PUT", request: { $ref: "Unit" } },
          Delete: { httpMethod: "DELETE", parameters: { unitName: { required: true, location: "path" } } },
        },
      },
      UnitState: { methods: { List: { path: "state", response: { $ref: "UnitStatePage" } } } },
    });
  });

  test("its schemas are fleet's entities, in that dialect's words alone", async () => {
    const { schemas } = await discovery("/fleet/v1");
    expect(schemas).toMatchObject({
      Machine: { id: "Machine", properties: { metadata: { additionalProperties: { type: "string" } } } },
      Unit: {
        properties: {
          options: { type: "array", items: { $ref: "UnitOption" } },
          desiredState: { type: "string", enum: ["inactive", "loaded", "launched"] },
        },
      },
      UnitPage: { properties: { units: { items: { $ref: "Unit" } }, nextPageToken: { type: "string" } } },
      UnitState: { properties: { systemdSubState: { type: "string" } } },
    });
    const words = new Set([...JSON.stringify(schemas).matchAll(/"(\w+)":/g)].map(([, word]) => word ?? ""));
    for (const word of ["required", "minLength", "anyOf", "default"]) expect(words).not.toContain(word);
    const refs = [...JSON.stringify(schemas).matchAll(/"\$ref":"(\w+)"/g)].map(([, name]) => name ?? "");
    for (const name of refs) expect(schemas).toHaveProperty(name);
  });
});
