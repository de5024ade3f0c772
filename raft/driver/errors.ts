/**
 * What a caller of the driver may be told, and what each answer permits.
 *
 * Idea. The one question after a failed proposal is whether repeating it could do the work twice. The class answers it:
 * after all but {@link UnknownFateError} the command will never be applied, so that a repetition is safe.
 *
 * @module
 */
import type { ChangeResult, ProposeResult } from "../core/raft-core.ts";
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
  /** A change of membership is not committed yet; try again when it is. */
  | "change-in-flight"
  /** Nothing of this leader's term is committed yet, so membership must not change; try again in a moment. */
  | "not-ready"
  /** A voter to be is no learner that has nearly all of the log: make it a learner first, and try again. */
  | "learner-lags"
  /** No voter, or a node named twice. */
  | "invalid-membership"
  /** This node's disk takes no more entries. */
  | "disk-full"
  /** The command is larger than maxEntryBytes. */
  | "too-large"
  /** No answer before the deadline; only reads end so, they change nothing. */
  | "deadline"
  /** The caller's signal was aborted before anything was appended. */
  | "aborted"
  /** A snapshot from the leader is being received, which makes one taken here useless; try again later. */
  | "receiving"
  /** A newcomer was not told yet who takes part, and a snapshot has to say so; try again later. */
  | "unknown-membership"
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

/** What the core's refusal of a proposal means to the caller. */
export function proposeRefusal(reason: Extract<ProposeResult, { kind: "refused" }>["reason"], leader: NodeId): Error {
  switch (reason) {
    case "not-leader":
      return new NotLeaderError(leader);
    case "too-much-uncommitted":
      return new DroppedError(reason, "Propose: too many bytes wait for a quorum, try again later");
    case "transferring":
      return new DroppedError(reason, "Propose: leadership is being handed over, try again in a moment");
  }
}

/** Why no snapshot was taken. */
export function snapshotRefusal(reason: "disk-full" | "receiving" | "stopped" | "unknown-membership"): DroppedError {
  return new DroppedError(reason, `Take a snapshot: ${NO_SNAPSHOT_BECAUSE[reason]}`);
}

const NO_SNAPSHOT_BECAUSE = {
  "disk-full": "the disk is full, make room for the data directory",
  receiving: "one from the leader is being received, try again when it is there",
  stopped: "this node is stopping",
  "unknown-membership": "this node was not told yet who takes part, try again when it was",
} as const;

type Refused = Extract<ChangeResult, { kind: "refused" }>;

/** The same for a change of membership; asking for what is in force already is none. */
export function changeRefusal(
  refused: Refused & { reason: Exclude<Refused["reason"], "no-change"> },
  leader: NodeId,
): Error {
  const { reason, node } = refused;
  const attempt = "Change the membership";
  switch (reason) {
    case "not-leader":
      return new NotLeaderError(leader);
    case "transferring":
      return new DroppedError(reason, `${attempt}: leadership is being handed over, try again in a moment`);
    case "change-in-flight":
      return new DroppedError(reason, `${attempt}: another change is under way, try again when it is committed`);
    case "not-ready":
      return new DroppedError(reason, `${attempt}: this leader has just been elected, try again in a moment`);
    case "learner-lags":
      return new DroppedError(
        reason,
        `${attempt}: node ${node} does not have the log, make it a learner first and try again when it has caught up`,
      );
    case "invalid-membership":
      return new DroppedError(reason, `${attempt}: it needs a voter, and each node once`);
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

/** What was on this node's disk is damaged, and no majority without it can say what was there. It must not go on. */
export class DamagedLogError extends Error {
  readonly code = "damaged-log";

  /** @param isSole Nobody else is a voter. */
  static alone(damage: Error, isSole: boolean): DamagedLogError {
    const what = isSole
      ? "and there is no other member that has what was written: check the disk, and restore the data directory from a copy"
      : "and without this member the other is no majority, so nobody can say what was written: check the disk, " +
        "and restore the data directories of both from copies of one moment";
    return new DamagedLogError(`${damage.message}, ${what}`, { cause: damage });
  }

  /** @param others Members that said that they recover, too. */
  static majority(others: readonly NodeId[]): DamagedLogError {
    return new DamagedLogError(
      `Recover from damage to the disk: ${others.length + 1} members recover at once (this one and ${others.join(", ")}), ` +
        "and those that are whole are no majority, so nobody can say what was written: check the disks, " +
        "and restore the data directories of all members from copies of one moment",
    );
  }

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "DamagedLogError";
  }
}

const UNKNOWN_BECAUSE = {
  deadline: "the deadline passed",
  aborted: "the caller went away",
  stopped: "this node stopped",
  snapshot: "a snapshot replaced the log that held it",
} as const;
