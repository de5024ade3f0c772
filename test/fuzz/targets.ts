/**
 * What is fuzzed, and with how large a share of the cases.
 *
 * @module
 */
import fc from "fast-check";
import { checkRequest, checkToken, hostileBody, hostileToken, hostileUrl } from "./api.ts";
import { brokenBatch, checkBatches, checkBrokenBatch, mixedBatches } from "./batches.ts";
import { checkCommand, hostileCommand } from "./command-line.ts";
import { checkConfig, checkReload, hostileConfig, hostileReload } from "./configuration.ts";
import { checkForeign, foreignRecords } from "./foreign-records.ts";
import { checkPatches, metadataPatches } from "./metadata.ts";
import { acts, DiskUnderFire } from "./names-on-disk.ts";
import { answerBytes } from "./peer-words.ts";
import { HostileListener, PeersUnderFire, stranger } from "./peers.ts";
import { checkCore, coreSteps } from "./raft-core.ts";
import { conversation, HttpUnderFire } from "./raw-http.ts";
import { checkUnitFile } from "./unit-files.ts";
import { unitText } from "./words.ts";

export interface FuzzOptions {
  readonly count: number;
  readonly seed: number;
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
  return { numRuns: count, seed, ...(path !== undefined && { path, endOnFailure: true }) };
}

function target<T>(
  name: string,
  share: number,
  cases: fc.Arbitrary<T>,
  check: (one: T) => Promise<void> | void,
): Target {
  const property = fc.asyncProperty(cases, async (one) => await check(one));
  return { name, share, run: (options) => fc.assert(property, parameters(options)) };
}

/** Cases that share something slow to make, such as a listener, and nothing that one of them could change. */
function targetOn<T, Room extends { check(one: T): Promise<void>; close(): Promise<void> }>(
  name: string,
  share: number,
  cases: fc.Arbitrary<T>,
  open: () => Promise<Room>,
): Target {
  return {
    name,
    share,
    async run(options) {
      const room = await open();
      try {
        await fc.assert(
          fc.asyncProperty(cases, (one) => room.check(one)),
          parameters(options),
        );
      } finally {
        await room.close();
      }
    },
  };
}

const fileBytes = fc.oneof(
  { weight: 5, arbitrary: unitText },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }) },
);

export const TARGETS: readonly Target[] = [
  target("unit files", 0.12, fileBytes, checkUnitFile),
  target("metadata", 0.04, metadataPatches, checkPatches),
  targetOn("names on disk", 0.01, acts, DiskUnderFire.open),
  target("API bodies", 0.08, hostileBody, checkRequest),
  target("mixed batches", 0.07, mixedBatches, checkBatches),
  target("broken batches", 0.03, brokenBatch, checkBrokenBatch),
  target("URLs", 0.05, hostileUrl, checkRequest),
  target("page tokens", 0.05, hostileToken, checkToken),
  targetOn("raw HTTP", 0.1, conversation, HttpUnderFire.open),
  targetOn("peers", 0.08, stranger, PeersUnderFire.open),
  targetOn("dialed peers", 0.04, answerBytes, HostileListener.open),
  target("foreign records", 0.03, foreignRecords, checkForeign),
  target("raft core", 0.05, coreSteps, checkCore),
  target("flags", 0.1, hostileCommand, checkCommand),
  target("configurations", 0.1, hostileConfig, checkConfig),
  target("reloads", 0.05, hostileReload, checkReload),
];
