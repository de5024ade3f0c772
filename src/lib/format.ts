/**
 * Formats that outlive one program: what a release can read, and when it may write something newer.
 *
 * Problem. In a rolling upgrade releases N and N+1 share a log, a registry and connections. What the new one writes the old one must
 * apply, for every replica has to do the same with it.
 * Idea. One number, the level, stands for everything that machines exchange: registry records, log commands and their results,
 * snapshots, raft's messages, calls. Each machine announces the level that its release reads (its record, and its address, which
 * outlives its lease). The cluster's level is the lowest of them, and nothing above it is written.
 *
 *   level   commands   results   snapshot   leader calls   peer calls   raft   records
 *   1       1          1         1          1              1            1      1
 *   2       1          1         1          1              1            2      1
 *
 * Level 2 knows raft's `config` entries, and a snapshot's outgoing half of a joint membership. Level 1 passes over such entries, so
 * membership must not change before the cluster's level is 2.
 *
 * What members say of their digests (replica/consistency-codec.ts) has no column: a release that does not know those calls refuses
 * them and is left out, and so are digests of another DIGEST_FORMAT.
 *
 * Rules for whoever changes a format.
 * - A new kind of command, or field that must survive a rewrite, is a new level: add a row, keep reading the rows before.
 * - Write it only where `clusterLevel` allows; until then write as the row before does.
 * - test/contract/formats.test.ts holds the bytes of each level: they never change.
 * Invariants.
 * - What is newer than this release is refused with advice ({@link NewerFormatError}), never guessed at or passed over: a daemon that
 *   meets it ends, and its units stay as they are.
 *
 * @module
 */
import { VERSION } from "./version.ts";

/** The newest level that this release reads. */
export const FORMAT_LEVEL = 2;

/** The level of a release that announces none: every release reads it. */
export const FIRST_LEVEL = 1;

/** Bytes of a format that only a later release knows. */
export class NewerFormatError extends Error {
  readonly code = "newer-format";
  constructor(what: string, found: number, known: number) {
    super(
      `Cannot read ${what}: it has format ${found}, flt ${VERSION} on this machine knows formats up to ${known}. ` +
        "A newer flt wrote it: upgrade flt on this machine",
    );
    this.name = "NewerFormatError";
  }
}

/** Refuses what is newer with advice; anything else that is not `known` is for the caller to refuse. */
export function refuseNewer(what: string, found: unknown, known: number): void {
  if (typeof found === "number" && found > known) throw new NewerFormatError(what, found, known);
}

/** What the machines of a cluster understand together. */
export interface ClusterLevel {
  readonly level: number;
  /** What keeps it so low: "machine 1a2b3c4d"; "" when nothing does. */
  readonly because: string;
}
