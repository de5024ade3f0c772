/**
 * What is fuzzed, and with how large a share of the cases.
 *
 * @module
 */
import fc from "fast-check";
import { ApiUnderFire, hostileBody, hostileToken, hostileUrl } from "./api.ts";
import { checkCommand, hostileCommand } from "./command-line.ts";
import { checkUnitFile } from "./unit-files.ts";
import { unitText } from "./words.ts";

export interface FuzzOptions {
  readonly count: number;
  readonly seed?: number;
  /** Of a failing case, as it was printed: goes straight there. */
  readonly path?: string;
}

export interface Target {
  readonly name: string;
  /** Of all cases; the shares sum up to 1. */
  readonly share: number;
  /** Rejects with the smallest failing case, its seed and its path. */
  run(options: FuzzOptions): Promise<void>;
}

function parameters<T>({ count, seed, path }: FuzzOptions): fc.Parameters<T> {
  return {
    numRuns: count,
    ...(seed !== undefined && { seed }),
    ...(path !== undefined && { path, endOnFailure: true }),
  };
}

function apiTarget(name: string, share: number, arbitrary: typeof hostileUrl): Target {
  return {
    name,
    share,
    async run(options) {
      const api = await ApiUnderFire.open();
      try {
        const property = fc.asyncProperty(arbitrary, (request) => api.check(request));
        await fc.assert(property, parameters(options));
      } finally {
        await api.close();
      }
    },
  };
}

const fileBytes = fc.oneof(
  { weight: 5, arbitrary: unitText },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }) },
);

export const TARGETS: readonly Target[] = [
  {
    name: "unit files",
    share: 0.25,
    async run(options) {
      fc.assert(fc.property(fileBytes, checkUnitFile), parameters(options));
      await Promise.resolve();
    },
  },
  apiTarget("API bodies", 0.25, hostileBody),
  apiTarget("URLs", 0.2, hostileUrl),
  apiTarget("page tokens", 0.1, hostileToken),
  {
    name: "flags",
    share: 0.2,
    async run(options) {
      const property = fc.asyncProperty(hostileCommand, checkCommand);
      await fc.assert(property, parameters(options));
    },
  },
];
