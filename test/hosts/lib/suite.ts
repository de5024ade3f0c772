/**
 * Frame of a host test file: boots its cluster once, hands it to each test, prints the journals when one fails, and removes
 * everything. Where no host can be booted the tests say that they were skipped, and why.
 *
 * @module
 */
import { afterAll, beforeAll, describe, test } from "bun:test";
import { existsSync } from "node:fs";
import { Cluster, type ClusterOptions, FLT_BINARY, missingForHosts } from "./cluster.ts";

const BOOT_MS = 90_000;
const TEST_MS = 60_000;

/** Why host tests cannot run here; undefined when they can. */
function reasonToSkip(options: ClusterOptions): string | undefined {
  const missing = missingForHosts() ?? options.missing;
  if (missing !== undefined) {
    return missing;
  }
  return options.flt !== false && !existsSync(FLT_BINARY) ? "dist/flt is not built; run scripts/build" : undefined;
}

export interface Suite {
  /** Registers one test; it is given the cluster as the tests before it left it. */
  case(name: string, run: (cluster: Cluster) => Promise<void>, timeoutMs?: number): void;
}

/**
 * @param what Names the suite.
 * @param define Registers the tests, in the order in which they run.
 */
export function hostSuite(what: string, options: ClusterOptions, define: (suite: Suite) => void): void {
  const reason = reasonToSkip(options);
  describe(what, () => {
    let cluster: Cluster | undefined;
    if (reason === undefined) {
      beforeAll(async () => {
        cluster = await Cluster.boot(options);
      }, BOOT_MS);
      afterAll(() => cluster?.remove(), BOOT_MS);
    } else {
      console.error(`Skip "${what}": ${reason}`);
    }
    define({
      case(name, run, timeoutMs = TEST_MS) {
        test.skipIf(reason !== undefined)(
          name,
          async () => {
            if (cluster === undefined) {
              throw new Error(`Run "${name}": the cluster did not boot`);
            }
            try {
              await run(cluster);
            } catch (error) {
              await cluster.report();
              throw error;
            }
          },
          timeoutMs,
        );
      },
    });
  });
}
