/**
 * The API of a host at work, as curl and a reader of streams meet it: what no transcript holds. Events, metrics, a body that is
 * too large, and a daemon that is not ready.
 *
 * @module
 */
import { expect } from "bun:test";
import type { Host } from "../hosts/lib/host.ts";
import { hostSuite } from "../hosts/lib/suite.ts";
import { eventually } from "../hosts/lib/wait.ts";
import { curl } from "./curl.ts";
import { answerChecker, fleetOptions, get, patch, put, SLEEPER, U } from "./requests.ts";

hostSuite("fleet's API at work", { hosts: 1 }, (suite) => {
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
      const nowhere = { desiredState: "launched", options: fleetOptions(["MachineMetadata", "disk=tape"]) };
      await (host as Host).api(`${U}/nowhere.service`, { method: "PUT", body: nowhere });
      await eventually("the reasons", 5_000, async () => {
        return (await (await (host as Host).api("/flt/v1/units/nowhere.service/reasons")).text()).includes("disk");
      });
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
      const problem = (await answerChecker(host as Host)).problem("GET", "/flt/v1/events", {
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
        ["flt_store_divergent", "gauge"],
        ["flt_event_loop_delay_seconds", "gauge"],
        ["flt_event_loop_lag_seconds", "histogram"],
        ["flt_event_loop_lag_max_seconds", "gauge"],
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
