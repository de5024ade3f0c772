/**
 * Why a log on disk cannot be opened, each with what to do about it.
 *
 * @module
 */
import type { NodeId } from "../types.ts";

/** The log belongs to another cluster, or to another member of this one. */
export class IdentityMismatchError extends Error {
  readonly code = "identity-mismatch";
  constructor(
    path: string,
    found: { readonly clusterId: string; readonly nodeId: NodeId },
    wanted: { readonly clusterId: string; readonly nodeId: NodeId },
  ) {
    super(
      `Open the raft log "${path}": it belongs to node ${found.nodeId} of cluster "${found.clusterId}", ` +
        `but this is node ${wanted.nodeId} of cluster "${wanted.clusterId}"; ` +
        "restore the settings that it was made with, or use an empty data directory",
    );
    this.name = "IdentityMismatchError";
  }
}

/** Written by a newer release, whose layout this one does not know. */
export class NewerFormatError extends Error {
  readonly code = "newer-format";
  constructor(path: string, found: number, known: number) {
    super(
      `Open the raft log "${path}": its format ${found} is newer than ${known}, the newest that this release knows; ` +
        "start the release that wrote it, or a later one",
    );
    this.name = "NewerFormatError";
  }
}

/** The disk refused, and not for want of room: what it holds is unknown until the next start reads it. */
export class DiskFailedError extends Error {
  readonly code = "disk-failed";
  /** @param action What was attempted, at the beginning of a sentence. */
  constructor(action: string, cause: Error) {
    super(`${action}: the disk failed (${cause.message}); look at the kernel's log, and whether the disk is sound`, {
      cause,
    });
    this.name = "DiskFailedError";
  }
}

/** Another process holds the log. */
export class LogInUseError extends Error {
  readonly code = "in-use";
  constructor(path: string) {
    super(`Open the raft log "${path}": another process is using it; stop that one first`);
    this.name = "LogInUseError";
  }
}
