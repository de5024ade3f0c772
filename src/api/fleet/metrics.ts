/**
 * How many requests of each kind were answered how, and how long that took.
 *
 * Idea. A request's kind is the operation's id in the OpenAPI document: names and ids from paths never become labels. Of a stream,
 * the time until it begins is counted, not the time that its reader stays.
 *
 * @module
 */
import type { Counter, Histogram, Metrics } from "../../lib/metrics.ts";

/** Seconds: from a list in memory to a write that waits for a new leader. */
const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export class ApiMetrics {
  readonly #requests: Counter;
  readonly #duration: Histogram;

  constructor(metrics: Metrics) {
    this.#requests = metrics.counter({
      name: "flt_api_requests_total",
      help: "Answered requests by operation (none: no route) and status.",
      labels: ["operation", "status"],
    });
    this.#duration = metrics.histogram(
      {
        name: "flt_api_request_duration_seconds",
        help: "Time until an answer began.",
        labels: ["operation"],
      },
      DURATION_BUCKETS,
    );
  }

  answered(operation: string, status: number, durationSeconds: number): void {
    this.#requests.add({ operation, status: String(status) });
    this.#duration.observe(durationSeconds, { operation });
  }
}
