/**
 * The fleet API as curl meets it on a real host: spec/fleet.md section 6, line by line, held to transcripts that are reviewed.
 *
 * Idea. One host with a machine id and an address that are always the same, so that a transcript is the same to the byte. Each
 * answer is held against the daemon's own OpenAPI document besides.
 *
 * Usage. GOLDEN=update bun test ./test/compat/api.host.ts writes the transcripts anew.
 *
 * @module
 */
import { expect } from "bun:test";
import { encodePageToken } from "../../src/model/page-token.ts";
import { AnswerChecker, type OpenApiDocument } from "../contract/openapi.ts";
import type { Cluster } from "../hosts/lib/cluster.ts";
import { waitActive } from "../hosts/lib/fleet.ts";
import type { Host } from "../hosts/lib/host.ts";
import { hostSuite } from "../hosts/lib/suite.ts";
import { eventually } from "../hosts/lib/wait.ts";
import { type CurlRequest, curl, transcript } from "./curl.ts";

/** What the cluster helper gives to its first host. */
const M1 = `${"1".repeat(8)}${"1f17".padStart(24, "0")}`;
const STRANGER = "9".repeat(32);
const U = "/fleet/v1/units";

const SLEEPER = [
  { section: "Unit", name: "Description", value: "Sleeps" },
  { section: "Unit", name: "Documentation" },
  { section: "Service", name: "ExecStart", value: "/bin/sleep infinity" },
];
const OTHER = [{ section: "Service", name: "ExecStart", value: "/bin/sleep 9999" }];
const fleetOptions = (...pairs: [string, string][]): object[] => [
  ...SLEEPER,
  ...pairs.map(([name, value]) => ({ section: "X-Fleet", name, value })),
];

function get(path: string): CurlRequest {
  return { method: "GET", path };
}
function put(name: string, body: unknown, type?: string | null): CurlRequest {
  const request = { method: "PUT", path: `${U}/${name}`, body: typeof body === "string" ? body : JSON.stringify(body) };
  return type === undefined ? request : { ...request, type };
}
function patch(ops: unknown, type?: string | null): CurlRequest {
  const request = { method: "PATCH", path: "/fleet/v1/machines", body: JSON.stringify(ops) };
  return type === undefined ? request : { ...request, type };
}
const key = (name: string, id = M1): string => `/${id}/metadata/${name}`;

let checker: AnswerChecker | undefined;

/** Makes the requests one after the other and holds their transcript to test/compat/golden/NAME.txt. */
async function golden(cluster: Cluster, name: string, requests: readonly CurlRequest[]): Promise<void> {
  const [host] = cluster.hosts as [Host];
  checker ??= new AnswerChecker((await (await host.api("/flt/v1/openapi.json")).json()) as OpenApiDocument);
  const parts: string[] = [];
  for (const request of requests) {
    const answer = await curl(host, request);
    parts.push(transcript(request, answer));
    // The older prefix serves what the newer one does; the document names only that.
    const path = (request.path.split("?", 1)[0] ?? "").replace("/v1-alpha", "/v1").replace(/(.)\/$/, "$1");
    const problem = checker.problem(request.method, path, answer);
    if (problem !== null) throw new Error(`${request.method} ${request.path}: ${problem}`);
  }
  const text = parts.join("\n");
  const path = `${import.meta.dir}/golden/${name}.txt`;
  if (process.env.GOLDEN === "update") await Bun.write(path, text);
  expect(text).toBe(await Bun.file(path).text());
}

const config = { metadata: "region=eu,disk=ssd", token_limit: "3", public_ip: "10.77.0.11" };
hostSuite("fleet's API, by curl", { hosts: 1, config }, (suite) => {
  suite.case("lists of nothing, and what is served where", (cluster) =>
    golden(cluster, "empty", [
      get(U),
      get("/fleet/v1/state"),
      get("/fleet/v1/machines"),
      get("/fleet/v1/machines?alt=json"),
      get("/fleet/v1-alpha/machines"),
      get("/flt/v1/machines/"),
      get("/"),
      get("/fleet/v1"),
      get("/fleet/v1/"),
      get("/fleet/v1-alpha"),
      { method: "POST", path: "/flt/v1", body: "{}" },
      get("/fleet"),
      get("/fleet/v2/units"),
      get("/fleet/v1/nonsense"),
      get("/fleet/v1/version"),
      get("/flt/v1/units:nonsense"),
      get("//fleet/v1/units"),
    ]),
  );

  suite.case("PUT: created, changed, replaced, and every refusal", (cluster) =>
    golden(cluster, "put", [
      put("hello.service", { name: "hello.service", desiredState: "inactive", options: SLEEPER }),
      put("state.service", { options: SLEEPER }),
      get(`${U}/hello.service`),
      put("hello.service", { desiredState: "inactive" }),
      put("hello.service", { desiredState: "inactive", options: SLEEPER }),
      put("hello.service", { desiredState: "inactive", options: OTHER }),
      get(`${U}/hello.service`),
      put("hello.service", { options: SLEEPER }),
      put("hello.service", { options: SLEEPER }),
      put("hello.service", {}),
      put("new.service", { desiredState: "loaded" }),
      put("new.service", {}),
      put("new.service", { desiredState: "running", options: SLEEPER }),
      put("new.service", { name: "old.service", options: SLEEPER }),
      put("new.service", "{"),
      put("new.service", ""),
      put("new.service", "[]"),
      put("new.service", "null"),
      put("new.service", { options: {} }),
      put("new.service", { options: [{ section: 7 }] }),
      put("new.service", { options: SLEEPER }, "text/plain"),
      put("new.service", { options: SLEEPER }, null),
      put("charset.service", { options: SLEEPER }, "application/json; charset=utf-8"),
      put("hello", { options: SLEEPER }),
      put("hello.", { options: SLEEPER }),
      put("hello.txt", { options: SLEEPER }),
      put("@x.service", { options: SLEEPER }),
      put("a@b.mount", { options: SLEEPER }),
      put("a%20b.service", { options: SLEEPER }),
      put("a%2Fb.service", { options: SLEEPER }),
      put("a%zz.service", { options: SLEEPER }),
      put("%ff.service", { options: SLEEPER }),
      put(`${"a".repeat(260)}.service`, { options: SLEEPER }),
      put("web@.service", { desiredState: "launched", options: SLEEPER }),
      put("web@.service", { desiredState: "loaded", options: SLEEPER }),
      put("web@.service", { options: SLEEPER }),
      put("odd.service", { options: [{ section: "a]b", name: "x", value: "y" }] }),
      put("odd.service", { options: fleetOptions(["MachineID", M1], ["MachineOf", "hello.service"]) }),
      put("odd.service", { options: fleetOptions(["MachineID", M1], ["Conflicts", "x.service"]) }),
      put("odd.service", { options: fleetOptions(["MachineID", M1], ["Global", "true"]) }),
      put("odd.service", { options: fleetOptions(["MachineID", M1], ["Replaces", "x.service"]) }),
      put("odd.service", { options: fleetOptions(["Global", "true"], ["MachineOf", "x.service"]) }),
      put("odd.service", { options: fleetOptions(["Global", "true"], ["Replaces", "x.service"]) }),
      put("odd.service", { options: fleetOptions(["Conflicts", "a.service"], ["Replaces", "x.service"]) }),
      put("odd.service", { options: fleetOptions(["MachineOf", "a.service"], ["Conflicts", "a*"]) }),
      put("odd.service", { options: fleetOptions(["MachineOf", "a.service"], ["Replaces", "a*"]) }),
      put("odd.service", { options: fleetOptions(["MachineMetadata", "a=b c=d"]) }),
      { method: "POST", path: `${U}/hello.service`, body: "{}" },
      { method: "PATCH", path: `${U}/hello.service`, body: "{}" },
      { method: "DELETE", path: U },
      { method: "PUT", path: U, body: "{}" },
      get(`${U}/nobody.service`),
      { method: "DELETE", path: `${U}/nobody.service` },
      { method: "DELETE", path: `${U}/state.service` },
      { method: "DELETE", path: `${U}/state.service` },
    ]),
  );

  suite.case("pages and their tokens", (cluster) =>
    golden(cluster, "pages", [
      put("p%5Cx2dq.service", { options: SLEEPER }),
      get(U),
      get(`${U}?nextPageToken=`),
      get(`${U}?nextPageToken=${encodePageToken({ limit: 3, page: 2 })}`),
      get(`${U}?nextPageToken=${encodeURIComponent(encodePageToken({ limit: 3, page: 2 }))}&alt=json`),
      get(`${U}?nextPageToken=${encodePageToken({ limit: 3, page: 9 })}`),
      get(`${U}?nextPageToken=${encodePageToken({ limit: 3, page: 65535 })}`),
      get(`${U}?nextPageToken=${encodePageToken({ limit: 3, page: 0 })}`),
      get(`${U}?nextPageToken=${encodePageToken({ limit: 100, page: 1 })}`),
      get(`${U}?nextPageToken=%21%21`),
      get(`${U}?nextPageToken=AAAA`),
      get(`/fleet/v1/state?nextPageToken=x`),
      get(`/fleet/v1/machines?nextPageToken=x`),
      get(`${U}/p%5Cx2dq.service`),
    ]),
  );

  suite.case("states of a unit that runs, of a global one, of one that fits nowhere", async (cluster) => {
    const [host] = cluster.hosts as [Host];
    await host.api(`${U}/hello.service`, { method: "PUT", body: { desiredState: "launched" } });
    const everywhere = { desiredState: "launched", options: fleetOptions(["Global", "true"]) };
    await host.api(`${U}/every.service`, { method: "PUT", body: everywhere });
    const nowhere = { desiredState: "launched", options: fleetOptions(["MachineMetadata", "disk=tape"]) };
    await host.api(`${U}/nowhere.service`, { method: "PUT", body: nowhere });
    await waitActive(host, ["hello.service", "every.service"]);
    await eventually("the reasons", 5_000, async () => {
      const { reasons } = (await (await host.api("/flt/v1/units/nowhere.service/reasons")).json()) as { reasons: [] };
      return reasons.length > 0 || undefined;
    });
    await golden(cluster, "states", [
      get(`${U}/hello.service`),
      get(`${U}/every.service`),
      get(`${U}/nowhere.service`),
      get("/fleet/v1/state"),
      get("/fleet/v1/state?unitName=hello.service"),
      get(`/fleet/v1/state?machineID=${M1}&unitName=every.service`),
      get(`/fleet/v1/state?machineID=${STRANGER}`),
      get("/fleet/v1/state/hello.service"),
      get("/fleet/v1/state/nowhere.service"),
      get("/fleet/v1/state/nobody.service"),
      { method: "PUT", path: "/fleet/v1/state", body: "{}" },
      get("/flt/v1/units/nowhere.service"),
      get("/flt/v1/units/nowhere.service/reasons"),
      get("/flt/v1/units/hello.service/reasons"),
      get("/flt/v1/units/nowhere.service/status"),
      get("/flt/v1/units/nobody.service/status"),
      get("/flt/v1/units/nowhere.service/journal"),
      get("/flt/v1/units/hello.service/journal?lines=x"),
      get("/flt/v1/units/hello.service/journal?output=../etc"),
    ]);
  });

  suite.case("PATCH /machines: edits win, a removed key hides, all are checked before any is done", (cluster) =>
    golden(cluster, "metadata", [
      patch([{ op: "add", path: key("rack"), value: "7" }]),
      get("/fleet/v1/machines"),
      patch([
        { op: "replace", path: key("region"), value: { value: "us" } },
        { op: "remove", path: key("disk") },
        { op: "add", path: key("k", STRANGER), value: "v" },
      ]),
      get("/fleet/v1/machines"),
      patch([{ op: "remove", path: key("rack") }], null),
      get("/fleet/v1/machines"),
      patch([
        { op: "add", path: key("a~1b"), value: "x" },
        { op: "test", path: key("rack"), value: "7" },
      ]),
      patch([
        { op: "add", path: key("rack"), value: "7" },
        { op: "add", path: key("rack"), value: "" },
      ]),
      patch([
        { op: "add", path: key("rack"), value: "7" },
        { op: "replace", path: key("rack") },
      ]),
      patch([{ op: "add", path: `/${M1}/rack`, value: "7" }]),
      patch([{ op: "add", path: "/web1/metadata/rack", value: "7" }]),
      patch([{ op: "add", path: key(""), value: "7" }]),
      patch({ op: "add", path: key("rack"), value: "7" }),
      patch([]),
      { method: "PATCH", path: "/fleet/v1/machines", body: "[" },
      { method: "DELETE", path: "/fleet/v1/machines" },
      get("/fleet/v1/machines"),
    ]),
  );

  suite.case("edited metadata outlives the daemon", async (cluster) => {
    const [host] = cluster.hosts as [Host];
    const before = await curl(host, get("/fleet/v1/machines"));
    await host.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 30_000 });
    await eventually("the machine to be back, as it was", 15_000, async () => {
      const after = await curl(host, get("/fleet/v1/machines"));
      if (after.text === before.text) return true;
      throw new Error(after.text);
    });
    await waitActive(host, ["hello.service", "every.service"]);
  });

  suite.case("many units in one request", (cluster) =>
    golden(cluster, "batch", [
      {
        method: "POST",
        path: "/flt/v1/units:batch",
        body: JSON.stringify({
          units: [
            { name: "b1.service", options: SLEEPER, desiredState: "inactive" },
            { name: "b2.service", options: SLEEPER },
            { name: "charset.service", delete: true },
            { name: "nobody.service", delete: true },
            { name: "nobody2.service", desiredState: "loaded" },
            { name: "t@.service", desiredState: "loaded", options: SLEEPER },
            { name: "bad" },
            { name: "odd.service", options: 7 },
          ],
        }),
      },
      get(`${U}/b2.service`),
      { method: "POST", path: "/flt/v1/units:batch", body: '{"units":[{"name":"c.service","options":[]},{}]}' },
      { method: "POST", path: "/flt/v1/units:batch", body: "{}" },
      { method: "GET", path: "/flt/v1/units:batch" },
      { method: "POST", path: "/fleet/v1/units:batch", body: "{}" },
    ]),
  );

  suite.case("the discovery document, and nothing else there", (cluster) =>
    golden(cluster, "discovery", [
      get("/fleet/v1/discovery"),
      { method: "POST", path: "/fleet/v1/discovery", body: "{}" },
      { method: "DELETE", path: "/fleet/v1/discovery" },
    ]),
  );

  suite.case("a body beyond its limit is refused, and nothing is left of it", async ({ hosts: [host] }) => {
    const file = `${(host as Host).path("/tmp")}/large.json`;
    await Bun.write(file, `{"options":[{"section":"A","name":"b","value":"${"x".repeat(1_100_000)}"}]}`);
    const answer = await curl(host as Host, { method: "PUT", path: `${U}/large.service`, body: `@${file}` });
    expect(answer.status).toBe(413);
    expect((await curl(host as Host, get(`${U}/large.service`))).status).toBe(404);
  });

  suite.case(
    "the event stream: the picture, synced, then changes; it ends with its reader",
    async ({ hosts: [host] }) => {
      const stream = await (host as Host).api("/flt/v1/events?unitName=stream.service&unitName=nowhere.service");
      const reader = stream.body?.getReader();
      if (reader === undefined) throw new Error("the stream has no body");
      let text = "";
      const until = async (pattern: RegExp): Promise<void> => {
        while (!pattern.test(text)) {
          const { value, done } = await reader.read();
          if (done) throw new Error(`the stream ended: ${text}`);
          text += new TextDecoder().decode(value);
        }
      };
      await until(/"synced"/);
      expect(text).toContain('{"type":"unit-gone","name":"stream.service"}');
      expect(text).toContain('"type":"reasons","name":"nowhere.service"');
      await (host as Host).api(`${U}/stream.service`, {
        method: "PUT",
        body: { desiredState: "launched", options: SLEEPER },
      });
      await until(/"state".*"stream\.service".*"active":"active"/);
      await (host as Host).api(`${U}/stream.service`, { method: "DELETE" });
      await until(/"state-gone","name":"stream.service"/);
      const problem = checker?.problem("GET", "/flt/v1/events", {
        status: 200,
        contentType: "application/x-ndjson",
        text,
      });
      expect(problem).toBeNull();
      await reader.cancel();
    },
  );

  suite.case(
    "metrics: section 9's names with fleet's prefix and labels, flt's own beside them",
    async ({ hosts: [host] }) => {
      const { status, contentType, text } = await curl(host as Host, get("/metrics"));
      expect(status).toBe(200);
      expect(contentType).toStartWith("text/plain; version=0.0.4");
      for (const [name, type] of [
        ["fleet_engine_leader_start_time", "gauge"],
        ["fleet_engine_task_count_total", "counter"],
        ["fleet_engine_task_failure_count_total", "counter"],
        ["fleet_engine_reconcile_count_total", "counter"],
        ["fleet_engine_reconcile_duration_second", "histogram"],
        ["fleet_engine_reconcile_failure_count_total", "counter"],
        ["fleet_registry_operation_count_total", "counter"],
        ["fleet_registry_operation_failed_count_total", "counter"],
        ["fleet_registry_operation_duration_second", "histogram"],
        ["flt_process_resident_memory_bytes", "gauge"],
        ["flt_raft_is_leader", "gauge"],
        ["flt_raft_tick_age_seconds", "gauge"],
        ["flt_api_requests_total", "counter"],
        ["flt_store_revision", "gauge"],
        ["flt_event_loop_delay_seconds", "gauge"],
      ]) {
        expect(text).toContain(`# TYPE ${name} ${type}\n`);
      }
      const value = (series: string): number => {
        const line = text.split("\n").find((each) => each.startsWith(`${series} `)) ?? `${series} NaN`;
        return Number(line.slice(series.length + 1));
      };
      expect(Math.abs(value("fleet_engine_leader_start_time") - Date.now() / 1000)).toBeLessThan(600);
      expect(value('fleet_engine_task_count_total{type="attemptscheduleunit"}')).toBeGreaterThan(0);
      expect(value("fleet_engine_reconcile_count_total")).toBeGreaterThan(0);
      expect(value('fleet_registry_operation_count_total{type="set",ops="set"}')).toBeGreaterThan(0);
      expect(value('fleet_registry_operation_duration_second_count{ops="get_all"}')).toBeGreaterThan(0);
      expect(value('flt_process_cpu_seconds_total{mode="user"}')).toBeGreaterThan(0);
      expect(value('flt_api_requests_total{operation="setUnit",status="201"}')).toBeGreaterThan(0);
      expect(value("flt_raft_tick_age_seconds")).toBeLessThan(1);
      expect(value("flt_raft_is_leader")).toBe(1);
      expect(value("flt_raft_applied_index")).toBeGreaterThan(10);
      expect(value("flt_registry_machines")).toBe(1);
      expect((await curl(host as Host, { method: "POST", path: "/metrics", body: "" })).status).toBe(405);
    },
  );
});

const lonely = {
  initial_cluster: "10.77.0.11:2380,10.77.0.12:2380,10.77.0.13:2380",
  advertise_peer: "10.77.0.11:2380",
};
hostSuite("fleet's API before the daemon is ready", { hosts: 1, flt: "installed", config: lonely }, (suite) => {
  suite.case("503 for any request, with the reason; metrics are served", async ({ hosts: [host] }) => {
    await host?.mustRun(["systemctl", "start", "flt.service"], { timeoutMs: 30_000 });
    const requests = [
      get("/"),
      get(U),
      put("a.service", { options: SLEEPER }),
      patch([]),
      get("/fleet/v1/discovery"),
      get("/x"),
    ];
    for (const request of requests) {
      const answer = await curl(host as Host, request);
      expect(answer.status).toBe(503);
      expect(JSON.parse(answer.text)).toMatchObject({
        error: { code: 503, message: expect.stringContaining("no leader") },
      });
    }
    const metrics = await curl(host as Host, get("/metrics"));
    expect(metrics.status).toBe(200);
    expect(metrics.text).toContain("flt_raft_has_leader 0\n");
  });
});
