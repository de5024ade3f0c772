/**
 * The Metrics port: what rooms count and time, without knowing who collects it.
 *
 * Idea. A metric is declared where it is counted, by its full name; declaring it twice gives the same one, so that a part that is
 * built anew (the engine, with each leadership) goes on counting. Numbers that some object has anyway are not counted a second
 * time: they are read when somebody asks.
 *
 * Not here. The text that Prometheus reads (platform/metrics.ts).
 *
 * @module
 */
export type Labels = Readonly<Record<string, string>>;

export interface MetricDescription {
  /** With its prefix: fleet_ for what fleet had, flt_ for our own. Unit and `_total` last, as Prometheus wants it. */
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

export interface Counter {
  add(labels?: Labels, by?: number): void;
}
export interface Gauge {
  set(value: number, labels?: Labels): void;
}
export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

export interface Metrics {
  counter(description: MetricDescription): Counter;
  gauge(description: MetricDescription): Gauge;
  /** @param buckets Upper bounds, ascending. */
  histogram(description: MetricDescription, buckets: readonly number[]): Histogram;
  /** A value that is read at each look; `total`: one that only grows. Declared again, the new reader takes over. */
  read(description: MetricDescription, kind: "gauge" | "total", value: () => Reading | Promise<Reading>): void;
}

/** One value, or one for each set of labels. */
export type Reading = number | readonly (readonly [Labels, number])[];

/** For tests and for parts that were given none. */
export const NO_METRICS: Metrics = {
  counter: () => ({ add() {} }),
  gauge: () => ({ set() {} }),
  histogram: () => ({ observe() {} }),
  read() {},
};
