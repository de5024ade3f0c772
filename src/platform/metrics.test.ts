import { describe, expect, test } from "bun:test";
import { type Log, SILENT_LOG } from "../lib/log.ts";
import { measureProcess, PrometheusMetrics } from "./metrics.ts";

async function lines(metrics: PrometheusMetrics): Promise<string[]> {
  return (await metrics.text()).text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

describe("PrometheusMetrics", () => {
  test("counts, sets, observes; declared twice is the same metric", async () => {
    const metrics = new PrometheusMetrics(SILENT_LOG);
    const description = { name: "a_total", help: "A.", labels: ["ops"] };
    metrics.counter(description).add({ ops: "get" });
    metrics.counter(description).add({ ops: "get" }, 2);
    metrics.gauge({ name: "b", help: "B." }).set(7);
    metrics.histogram({ name: "c", help: "C." }, [1, 2]).observe(1.5);
    expect(await lines(metrics)).toEqual([
      'a_total{ops="get"} 3',
      "b 7",
      'c_bucket{le="1"} 0',
      'c_bucket{le="2"} 1',
      'c_bucket{le="+Inf"} 1',
      "c_sum 1.5",
      "c_count 1",
    ]);
    expect((await metrics.text()).contentType).toContain("text/plain; version=0.0.4");
  });

  test("readers are asked at each look, the last one declared; totals do not add up", async () => {
    const metrics = new PrometheusMetrics(SILENT_LOG);
    let value = 1;
    metrics.read({ name: "g", help: "G." }, "gauge", () => 99);
    metrics.read({ name: "g", help: "G." }, "gauge", async () => value);
    metrics.read({ name: "t_total", help: "T.", labels: ["mode"] }, "total", () => [[{ mode: "user" }, value]]);
    expect(await lines(metrics)).toEqual(["g 1", 't_total{mode="user"} 1']);
    value = 5;
    expect(await lines(metrics)).toEqual(["g 5", 't_total{mode="user"} 5']);
  });

  test("a reader that fails costs its own metric only", async () => {
    const warnings: string[] = [];
    const log: Log = { ...SILENT_LOG, warning: (message) => warnings.push(message) };
    const metrics = new PrometheusMetrics(log);
    metrics.read({ name: "broken", help: "B.", labels: ["x"] }, "gauge", () => {
      throw new Error("no such file");
    });
    metrics.gauge({ name: "fine", help: "F." }).set(1);
    expect(await lines(metrics)).toEqual(["fine 1"]);
    expect(warnings).toEqual(['Reading metric "broken" failed']);
  });

  test("the process tells of itself, in numbers that can be true", async () => {
    const metrics = new PrometheusMetrics(SILENT_LOG);
    measureProcess(metrics, "0.1.0");
    const rows = (await lines(metrics)).map((line) => /^(.*) (\S+)$/.exec(line) ?? []);
    const found = new Map(rows.map(([, name = "", value]) => [name, Number(value)]));
    expect([...found.keys()].map((name) => name.replace(/\{.*/, ""))).toEqual([
      "flt_build_info",
      "flt_process_start_time_seconds",
      "flt_process_cpu_seconds_total",
      "flt_process_cpu_seconds_total",
      "flt_process_resident_memory_bytes",
      "flt_process_open_fds",
      "flt_event_loop_delay_seconds",
    ]);
    expect(found.get("flt_process_resident_memory_bytes")).toBeGreaterThan(1e6);
    expect(found.get("flt_process_open_fds")).toBeGreaterThan(2);
    expect(found.get('flt_process_cpu_seconds_total{mode="user"}')).toBeGreaterThan(0);
    expect(Math.abs((found.get("flt_process_start_time_seconds") ?? 0) - Date.now() / 1000)).toBeLessThan(3_600);
  });
});
