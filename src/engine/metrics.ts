/**
 * What fleet's engine counted, by its names: tasks, their failures, rounds.
 *
 * Idea. A move is two tasks, as it was there: off one machine, onto another. A decision that the store refused as stale is a
 * failed task; it is made again from what is true. flt's rounds are made when something happened, and every
 * engine_reconcile_interval besides.
 *
 * @module
 */
import type { Counter, Histogram, Metrics } from "../lib/metrics.ts";
import type { Plan } from "./plan.ts";

/** `schedule`: a unit that fits no machine; `run`: a round that could not be written; `machine_away`: a machine that died. */
export type RoundFailure = "schedule" | "run" | "machine_away";
/** fleet's names of its tasks, in lower case as it counted them. Globals, which its agents took by themselves: flt's own word. */
type TaskType = "attemptscheduleunit" | "unscheduleunit" | "scheduleglobalunit";

/** Seconds: from a plan over a few units to one over a large cluster that waits for a majority. */
const ROUND_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class EngineMetrics {
  readonly #tasks: Counter;
  readonly #taskFailures: Counter;
  readonly #rounds: Counter;
  readonly #roundFailures: Counter;
  readonly #roundDuration: Histogram;

  constructor(metrics: Metrics) {
    const labels = ["type"];
    this.#tasks = metrics.counter({
      name: "fleet_engine_task_count_total",
      help: "Counter of engine schedule tasks.",
      labels,
    });
    this.#taskFailures = metrics.counter({
      name: "fleet_engine_task_failure_count_total",
      help: "Counter of engine schedule task failures.",
      labels,
    });
    this.#rounds = metrics.counter({
      name: "fleet_engine_reconcile_count_total",
      help: "Counter of reconcile rounds.",
    });
    this.#roundFailures = metrics.counter({
      name: "fleet_engine_reconcile_failure_count_total",
      help: "Counter of scheduling failures.",
      labels,
    });
    this.#roundDuration = metrics.histogram(
      {
        name: "fleet_engine_reconcile_duration_second",
        help: "Histogram of time (in seconds) each schedule round takes.",
      },
      ROUND_BUCKETS,
    );
  }

  /** @param stale Names whose decision the store refused. */
  decided({ placements, globals }: Plan, stale: ReadonlySet<string>): void {
    for (const { job, to } of placements) {
      if (job.machine !== null) this.#task("unscheduleunit", stale.has(job.name));
      if (to !== null) this.#task("attemptscheduleunit", stale.has(job.name));
    }
    for (const { name } of globals) this.#task("scheduleglobalunit", stale.has(name));
  }

  round(durationSeconds: number): void {
    this.#rounds.add();
    this.#roundDuration.observe(durationSeconds);
  }

  failed(type: RoundFailure): void {
    this.#roundFailures.add({ type });
  }

  #task(type: TaskType, isStale: boolean): void {
    this.#tasks.add({ type });
    if (isStale) this.#taskFailures.add({ type });
  }
}
