/**
 * What the leader does for every member, itself included: commands into the log, and what only its lease clock knows.
 *
 * Idea. serve() never throws: each outcome is a reply, so that one that came over the network and one from here are told
 * apart by nobody. The question behind every mapping is whether something can have happened.
 *
 * @module
 */
import { DroppedError, type DropReason, LostError, NO_NODE, NotLeaderError, UnknownFateError } from "#raft";
import { type ClusterLevel, FIRST_LEVEL } from "../lib/format.ts";
import { reasonOf } from "../lib/log.ts";
import { levelOf } from "../store/codec.ts";
import { KvError } from "../store/kv.ts";
import type { HashCheck } from "./hash-check.ts";
import type { LeaderReply, LeaderRequest } from "./leader-codec.ts";
import type { LeaseClock, Patience } from "./lease-clock.ts";
import type { Raft } from "./ports.ts";
import type { Applied } from "./store-machine.ts";
import type { Trust } from "./trust.ts";

export interface LeaderServiceParts {
  readonly raft: Raft;
  readonly leases: LeaseClock;
  /** What every member of the cluster can apply. */
  readonly clusterLevel: () => ClusterLevel;
  readonly trust: Trust;
  readonly check: HashCheck;
}

export class LeaderService {
  readonly #raft: Raft;
  readonly #leases: LeaseClock;
  readonly #clusterLevel: () => ClusterLevel;
  readonly #trust: Trust;
  readonly #check: HashCheck;

  constructor({ raft, leases, clusterLevel, trust, check }: LeaderServiceParts) {
    this.#raft = raft;
    this.#leases = leases;
    this.#clusterLevel = clusterLevel;
    this.#trust = trust;
    this.#check = check;
  }

  async serve(request: LeaderRequest, patience: Patience): Promise<LeaderReply> {
    // Whoever does not lead says so at once: without a leader the first comparison may be a long time coming.
    if (this.#raft.role === "leader" && !this.#check.isSettled) await this.#check.settled;
    if (this.#raft.role !== "leader") return elsewhere(this.#raft.leader, "it does not lead");
    if (this.#trust.reason !== null) return elsewhere(NO_NODE, "its data is being rebuilt");
    try {
      const reply = await this.#serve(request, patience);
      // What it says was made of a state that is wrong, as is known by now.
      return this.#trust.reason === null ? reply : distrusted(request);
    } catch (error) {
      return replyTo(error);
    }
  }

  async #serve(request: LeaderRequest, patience: Patience): Promise<LeaderReply> {
    switch (request.kind) {
      case "command": {
        const tooNew = this.#refuseTooNew(levelOf(request.command));
        if (tooNew !== null) return tooNew;
        const { index, result } = await this.#raft.propose<Applied>(request.command, patience);
        return { kind: "applied", index, result };
      }
      case "keep-alive":
        return { kind: "kept-alive", lease: await this.#leases.keepAlive(request.id, patience) };
      case "remaining":
        return { kind: "remaining", remainingMs: await this.#leases.remainingMs(request.id, patience) };
    }
  }

  /** A member that cannot apply an entry would have to end: such an entry does not reach the log. */
  #refuseTooNew(level: number): LeaderReply | null {
    if (level <= FIRST_LEVEL) return null;
    const known = this.#clusterLevel();
    if (level <= known.level) return null;
    const message =
      `Write failed: it needs format ${level}, and the cluster knows formats up to ${known.level} together ` +
      `because of ${known.because}: upgrade flt there first; nothing was done`;
    return { kind: "failed", code: "unavailable", message };
  }
}

/** Only a command can have done something. */
function distrusted({ kind }: LeaderRequest): LeaderReply {
  if (kind !== "command") return elsewhere(NO_NODE, "its data is being rebuilt");
  return { kind: "failed", code: "unknown-fate", message: "Write failed: the leader found its own data to be wrong" };
}

export function elsewhere(leader: number, reason: string): LeaderReply {
  return { kind: "elsewhere", leader, reason };
}

function replyTo(error: unknown): LeaderReply {
  if (error instanceof NotLeaderError) return elsewhere(error.leader, "it does not lead");
  // Another entry took its place for good: as if it had never been proposed.
  if (error instanceof LostError) return elsewhere(NO_NODE, "it lost the lead before the write was agreed on");
  if (error instanceof DroppedError) return replyToDropped(error);
  if (error instanceof UnknownFateError) {
    const message = `Write failed: no quorum agreed on it in time (${error.message})`;
    return { kind: "failed", code: "unknown-fate", message };
  }
  if (error instanceof KvError) {
    if (error.code === "unavailable") return elsewhere(NO_NODE, error.message);
    return { kind: "failed", code: error.code, message: error.message };
  }
  return { kind: "failed", code: "unknown-fate", message: `Write failed on the leader: ${reasonOf(error)}` };
}

/** What passes by itself: the member that asked tries again within its time, and then says this. */
const PASSING: Partial<Record<DropReason, string>> = {
  "too-much-uncommitted": "it waits for a majority to take what was written before",
  transferring: "it is handing the leadership over",
  stopped: "it is stopping",
};

function replyToDropped(error: DroppedError): LeaderReply {
  switch (error.reason) {
    case "disk-full":
      return {
        kind: "failed",
        code: "no-space",
        message: "Write failed: the leader's disk is full, make room for its data directory",
      };
    case "too-large":
      return { kind: "failed", code: "request-too-large", message: error.message };
    case "aborted":
      return { kind: "failed", code: "cancelled", message: "Write failed: it was cancelled before anything was done" };
    default:
      return elsewhere(NO_NODE, PASSING[error.reason] ?? error.message);
  }
}
