/**
 * What a caller of the driver may be told, and what each answer permits.
 *
 * Idea. The one question after a failed proposal is whether repeating it could do the work twice. The class answers it:
 * after all but {@link UnknownFateError} the command will never be applied, so that a repetition is safe.
 *
 * @module
 */
import type { NodeId } from "../types.ts";

/** Nothing was appended: the command may be sent to `leader`, or anywhere once one is known (0: nobody yet). */
export class NotLeaderError extends Error {
  readonly code = "not-leader";
  readonly leader: NodeId;
  constructor(leader: NodeId) {
    super(
      leader === 0
        ? "Propose: this node does not lead and knows no leader, try again when one is elected"
        : `Propose: this node does not lead, send it to node ${leader}`,
    );
    this.name = "NotLeaderError";
    this.leader = leader;
  }
}

export type DropReason =
  /** Too many bytes wait for a quorum; try again later. */
  | "too-much-uncommitted"
  /** Leadership is being handed over; try again in a moment. */
  | "transferring"
  /** This node's disk takes no more entries. */
  | "disk-full"
  /** The command is larger than maxEntryBytes. */
  | "too-large"
  /** No answer before the deadline; only reads end so, they change nothing. */
  | "deadline"
  /** The caller's signal was aborted before anything was appended. */
  | "aborted"
  /** A snapshot could not be taken now. */
  | "snapshot"
  /** The node is not started, or is stopping. */
  | "stopped";

/** Refused before it was appended, or only a read: nothing happened. */
export class DroppedError extends Error {
  readonly code = "dropped";
  readonly reason: DropReason;
  constructor(reason: DropReason, message: string) {
    super(message);
    this.name = "DroppedError";
    this.reason = reason;
  }
}

/** It was appended, but another leader's entry was committed at its index: it never happens. */
export class LostError extends Error {
  readonly code = "lost";
  constructor() {
    super("Propose: another leader's entry took this one's place in the log, the command will never be applied");
    this.name = "LostError";
  }
}

/** It is in the log and may or may not commit. Never repeat it unless it is harmless to do twice. */
export class UnknownFateError extends Error {
  readonly code = "unknown-fate";
  constructor(why: "deadline" | "aborted" | "stopped" | "snapshot") {
    super(`Propose: gave up waiting for the command's fate (${UNKNOWN_BECAUSE[why]}), it may or may not be applied`);
    this.name = "UnknownFateError";
  }
}

const UNKNOWN_BECAUSE = {
  deadline: "the deadline passed",
  aborted: "the caller went away",
  stopped: "this node stopped",
  snapshot: "a snapshot replaced the log that held it",
} as const;
