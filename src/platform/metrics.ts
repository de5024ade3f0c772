/**
 * The Metrics port over Prometheus' client.
 *
 * Idea. The library keeps the numbers and writes the text; its default metrics are left out, since they ask for Node's insides that
 * Bun answers with zeros. What is true of any process is read here instead, from /proc and the runtime. Only the library's parts that
 * are used are imported: its front door also loads cluster support, a push gateway and quantile trees, 6 MB that every agent would
 * carry (measured in the compiled binary).
 *
 * Invariants.
 * - A scrape reads; it changes nothing, and a reader that fails costs its own metric only.
 *
 * @module
 */
import { readdirSync } from "node:fs";
import Counter from "prom-client/lib/counter.js";
import Gauge from "prom-client/lib/gauge.js";
import Histogram from "prom-client/lib/histogram.js";
import Registry from "prom-client/lib/registry.js";
import { type Log, reasonOf } from "../lib/log.ts";
import type * as port from "../lib/metrics.ts";

export class PrometheusMetrics implements port.Metrics {
  readonly #registry = new Registry();
  readonly #made = new Map<string, unknown>();
  readonly #readers = new Map<string, () => port.Reading | Promise<port.Reading>>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  counter(description: port.MetricDescription): port.Counter {
    return this.#once(description.name, () => {
      const counter = new Counter(this.#options(description));
      return { add: (labels: port.Labels = {}, by = 1) => counter.inc(labels, by) };
    });
  }

  gauge(description: port.MetricDescription): port.Gauge {
    return this.#once(description.name, () => {
      const gauge = new Gauge(this.#options(description));
      return { set: (value: number, labels: port.Labels = {}) => gauge.set(labels, value) };
    });
  }

  histogram(description: port.MetricDescription, buckets: readonly number[]): port.Histogram {
    return this.#once(description.name, () => {
      const histogram = new Histogram({ ...this.#options(description), buckets: [...buckets] });
      return { observe: (value: number, labels: port.Labels = {}) => histogram.observe(labels, value) };
    });
  }

  read(
    description: port.MetricDescription,
    kind: "gauge" | "total",
    value: () => port.Reading | Promise<port.Reading>,
  ): void {
    const { name } = description;
    this.#readers.set(name, value);
    const collect = (): Promise<void> => this.#collect(name, metric);
    const metric = this.#once<Counter | Gauge>(name, () => {
      const options = { ...this.#options(description), collect };
      return kind === "total" ? new Counter(options) : new Gauge(options);
    });
  }

  async text(): Promise<{ readonly text: string; readonly contentType: string }> {
    return { text: await this.#registry.metrics(), contentType: this.#registry.contentType };
  }

  /** Also a total is taken anew each time: somebody else counts it, and Counter itself only adds. */
  async #collect(name: string, metric: Counter | Gauge): Promise<void> {
    metric.reset();
    try {
      const reading = (await this.#readers.get(name)?.()) ?? [];
      const rows = typeof reading === "number" ? ([[{}, reading]] as const) : reading;
      for (const [labels, value] of rows) metric.inc(labels, value);
    } catch (error) {
      this.#log.warning(`Reading metric "${name}" failed`, { reason: reasonOf(error) });
    }
  }

  #options({ name, help, labels = [] }: port.MetricDescription) {
    return { name, help, labelNames: [...labels], registers: [this.#registry] };
  }

  #once<T>(name: string, make: () => T): T {
    const made = this.#made.get(name) ?? make();
    this.#made.set(name, made);
    return made as T;
  }
}

/** What is true of any process, as flt_process_… and flt_event_loop_…. */
export function measureProcess(metrics: port.Metrics, version: string): void {
  const startedAtSeconds = Date.now() / 1000 - process.uptime();
  metrics.read(
    { name: "flt_build_info", help: "The running version; always 1.", labels: ["version", "runtime"] },
    "gauge",
    () => [[{ version, runtime: `bun ${Bun.version}` }, 1]],
  );
  metrics.read(
    { name: "flt_process_start_time_seconds", help: "When the daemon started, in seconds since the epoch." },
    "gauge",
    () => startedAtSeconds,
  );
  metrics.read(
    { name: "flt_process_cpu_seconds_total", help: "CPU time that the daemon has used.", labels: ["mode"] },
    "total",
    () => {
      const { user, system } = process.cpuUsage();
      return [
        [{ mode: "user" }, user / 1e6],
        [{ mode: "system" }, system / 1e6],
      ];
    },
  );
  metrics.read({ name: "flt_process_resident_memory_bytes", help: "Resident memory of the daemon." }, "gauge", () =>
    process.memoryUsage.rss(),
  );
  metrics.read(
    { name: "flt_process_open_fds", help: "Open file descriptors of the daemon." },
    "gauge",
    () => readdirSync("/proc/self/fd").length,
  );
  metrics.read(
    {
      name: "flt_event_loop_delay_seconds",
      help: "How long the event loop took to get to a task that was due at once, measured by this very request.",
    },
    "gauge",
    eventLoopDelaySeconds,
  );
}

function eventLoopDelaySeconds(): Promise<number> {
  const begin = performance.now();
  return new Promise((resolve) => {
    setImmediate(() => resolve((performance.now() - begin) / 1000));
  });
}
