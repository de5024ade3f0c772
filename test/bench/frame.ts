/**
 * What the benchmarks share: a cluster that is removed whatever happens, the clock that systemd stamps with, quantiles.
 *
 * @module
 */
import { monotonicMicroseconds } from "../../src/platform/libc.ts";
import { Cluster, type ClusterOptions, FLT_BINARY, missingForHosts } from "../hosts/lib/cluster.ts";

/** CLOCK_MONOTONIC in milliseconds: all hosts and this process share it with their kernel. */
export function nowMs(): number {
  return Number(monotonicMicroseconds()) / 1_000;
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** Boots three hosts, measures, and ends the process with the status that `measure` returns; 1 when it fails. */
export async function bench(
  measure: (cluster: Cluster) => Promise<number>,
  options: Omit<ClusterOptions, "hosts"> = {},
): Promise<never> {
  const missing =
    missingForHosts() ??
    options.missing ??
    ((await Bun.file(FLT_BINARY).exists()) ? undefined : "dist/flt is not built");
  if (missing !== undefined) {
    console.error(`Run the benchmark: ${missing}`);
    process.exit(1);
  }
  const cluster = await Cluster.boot({ hosts: 3, ...options });
  let status = 1;
  try {
    status = await measure(cluster);
  } catch (error) {
    await cluster.report();
    console.error(error);
  } finally {
    await cluster.remove();
  }
  process.exit(status);
}
