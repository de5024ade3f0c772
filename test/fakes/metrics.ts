/**
 * A Metrics port that remembers what it was told: `name{label=value,…}` to the sum, the last value, or the number of observations.
 *
 * @module
 */
import type { Labels, Metrics } from "../../src/lib/metrics.ts";

export class CountingMetrics implements Metrics {
  readonly values = new Map<string, number>();

  counter({ name }: { readonly name: string }) {
    return { add: (labels?: Labels, by = 1) => this.#note(name, labels, (before) => before + by) };
  }
  gauge({ name }: { readonly name: string }) {
    return { set: (value: number, labels?: Labels) => this.#note(name, labels, () => value) };
  }
  histogram({ name }: { readonly name: string }) {
    return { observe: (_value: number, labels?: Labels) => this.#note(name, labels, (before) => before + 1) };
  }
  read(): void {}

  /** 0 for what was never told. */
  value(name: string): number {
    return this.values.get(name) ?? 0;
  }

  #note(name: string, labels: Labels | undefined, next: (before: number) => number): void {
    const list = Object.entries(labels ?? {}).map(([label, text]) => `${label}=${text}`);
    const key = list.length === 0 ? name : `${name}{${list.join(",")}}`;
    this.values.set(key, next(this.value(key)));
  }
}
