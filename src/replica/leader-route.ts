/**
 * The way to the leader, from any member: serve here, or send it there, and try again while nothing happened.
 *
 * Invariants.
 * - A request is sent again only after an answer, or an error, that proves that nothing was done with it. A command
 *   whose answer was lost has an unknown fate, and the caller is told so.
 * - Every wait ends by a change of leader, by its back-off or by the deadline.
 * - A forwarded request is never forwarded on: whoever gets it leads, or says who does.
 *
 * @module
 */
import { NO_NODE, type NodeId } from "#raft";
import { CodecError } from "../lib/binary.ts";
import { CallError, type Calls, wasNotBegun } from "../lib/calls.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { NewerFormatError } from "../lib/format.ts";
import { type CallOptions, KvError } from "../store/kv.ts";
import { decodeReply, encodeRequest, type LeaderReply, type LeaderRequest } from "./leader-codec.ts";
import { elsewhere, type LeaderService } from "./leader-service.ts";
import type { Patience } from "./lease-clock.ts";
import type { Raft } from "./ports.ts";

export const LEADER_METHOD = "kv.leader";

export type FinalReply = Exclude<LeaderReply, { readonly kind: "elsewhere" | "failed" }>;

export interface LeaderRouteOptions {
  readonly raft: Raft;
  readonly calls: Calls;
  readonly clock: Clock;
  readonly service: LeaderService;
  /** Peer addresses, host:port. */
  readonly members: ReadonlyMap<NodeId, string>;
  readonly timeoutMs: number;
}

/** Pauses between tries while a leader is named that does not answer: an election takes a second. */
const BACKOFF_MIN_MS = 20;
const BACKOFF_MAX_MS = 250;
/**
 * How long a deposed leader may take to say what became of a command. One that lives says so within a few milliseconds: its successor
 * commits the entry or puts another in its place. Long enough for a slow disk, short enough that whoever writes one thing after
 * the other goes on within two seconds when a host loses its power: an election takes one.
 */
const DEPOSED_GRACE_MS = 500;
/** The leader gives up this much earlier than the member that asked it, so that its word still arrives. */
const ANSWER_MARGIN_MS = 100;

export class LeaderRoute {
  readonly #options: LeaderRouteOptions;

  constructor(options: LeaderRouteOptions) {
    this.#options = options;
  }

  /** @param action For messages: "Write", "Lease keep-alive". */
  async ask(action: string, request: LeaderRequest, options: CallOptions): Promise<FinalReply> {
    const { clock, timeoutMs } = this.#options;
    const deadlineMs = clock.now() + (options.timeoutMs ?? timeoutMs);
    let hint = NO_NODE;
    for (let backoffMs = BACKOFF_MIN_MS; ; backoffMs = Math.min(2 * backoffMs, BACKOFF_MAX_MS)) {
      if (options.signal?.aborted)
        throw new KvError("cancelled", `${action} failed: it was cancelled, nothing was done`);
      const left = deadlineMs - clock.now();
      const reply = await this.#try(request, hint, { signal: options.signal, timeoutMs: left });
      if (reply.kind === "failed") throw failure(reply, options.signal);
      if (reply.kind !== "elsewhere") return reply;
      // Its word is taken once; if it leads nowhere, raft's own is next.
      const named = hint === NO_NODE ? reply.leader : NO_NODE;
      const news = named !== NO_NODE && named !== this.#options.raft.leader;
      hint = news ? named : NO_NODE;
      if (!news && !(await this.#pause(backoffMs, deadlineMs, options.signal)))
        throw this.#gaveUp(action, reply.reason);
    }
  }

  async #try(request: LeaderRequest, hint: NodeId, patience: Patience): Promise<LeaderReply> {
    const { raft, service, members } = this.#options;
    const leader = hint === NO_NODE ? raft.leader : hint;
    if (raft.role === "leader" || leader === raft.id) return service.serve(request, patience);
    if (leader === NO_NODE) return elsewhere(NO_NODE, "no leader is known");
    const address = members.get(leader);
    if (address === undefined) return elsewhere(NO_NODE, `leader ${leader} is not in initial_cluster`);
    return this.#send(leader, address, request, patience);
  }

  #gaveUp(action: string, reason: string): KvError {
    const why =
      this.#options.raft.leader === NO_NODE
        ? "no quorum: this member cannot reach a leader"
        : "the leader did not take it in time";
    return new KvError("unavailable", `${action} failed: ${why} (${reason})`);
  }

  async #send(leader: NodeId, address: string, request: LeaderRequest, patience: Patience): Promise<LeaderReply> {
    const { timeoutMs } = patience;
    if (timeoutMs <= ANSWER_MARGIN_MS) return elsewhere(NO_NODE, `no time is left to ask leader ${address}`);
    const body = encodeRequest(request, timeoutMs - ANSWER_MARGIN_MS);
    const repeatable = request.kind !== "command";
    const deposed = this.#deposed(leader, address, repeatable ? 0 : DEPOSED_GRACE_MS);
    try {
      const { calls } = this.#options;
      const answer = calls.call(address, LEADER_METHOD, body, {
        timeoutMs,
        ...(patience.signal === undefined ? {} : { signal: patience.signal }),
      });
      return decodeReply(await Promise.race([answer, deposed.news]));
    } catch (error) {
      const isUnreadable = error instanceof CodecError || error instanceof NewerFormatError;
      if (!(error instanceof CallError || isUnreadable)) throw error;
      const reason = `asking leader ${address} failed: ${error.message}`;
      // An answer that nobody can read was given all the same.
      const isUndone = error instanceof CallError && wasNotBegun(error);
      if (isUndone || repeatable) return elsewhere(NO_NODE, reason);
      return {
        kind: "failed",
        code: "unknown-fate",
        message: `Write failed: ${reason}`,
      };
    } finally {
      deposed.release();
    }
  }

  /**
   * Rejects `graceMs` after another one leads: a host that was powered off answers nobody, and a keep-alive must reach the successor
   * long before its own deadline. What may be repeated need not hear the old leader out. The call itself goes on to its deadline, so
   * that silence until then condemns the connection, too.
   */
  #deposed(leader: NodeId, address: string, graceMs: number): { news: Promise<never>; release: () => void } {
    const { raft, clock } = this.#options;
    const { promise, reject } = Promise.withResolvers<never>();
    let timer: Timer | null = null;
    const tell = () => reject(new CallError("lost", `${address} leads no longer and says nothing`));
    const unsubscribe = raft.onChange(() => {
      if (raft.leader === leader) return;
      if (graceMs === 0) tell();
      else if (raft.leader !== NO_NODE) timer ??= clock.after(graceMs, tell);
    });
    const release = () => {
      timer?.cancel();
      unsubscribe();
    };
    return { news: promise, release };
  }

  /** False when the deadline came first. */
  #pause(backoffMs: number, deadlineMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    const { raft, clock } = this.#options;
    const leftMs = deadlineMs - clock.now();
    if (leftMs <= 0) return Promise.resolve(false);
    if (signal?.aborted) return Promise.resolve(true);
    // Nobody to ask: only news, or the end, is worth waking up for.
    const waitMs = raft.leader === NO_NODE ? leftMs : Math.min(leftMs, backoffMs);
    return new Promise((resolve) => {
      const end = () => {
        timer.cancel();
        unsubscribe();
        signal?.removeEventListener("abort", end);
        resolve(clock.now() < deadlineMs);
      };
      const timer = clock.after(waitMs, end);
      const unsubscribe = raft.onChange(end);
      signal?.addEventListener("abort", end);
    });
  }
}

/** A caller that cancelled is told so; the doubt about a write is the same. */
function failure(reply: Extract<LeaderReply, { readonly kind: "failed" }>, signal: AbortSignal | undefined): KvError {
  return new KvError(reply.code === "unknown-fate" && signal?.aborted ? "cancelled" : reply.code, reply.message);
}
