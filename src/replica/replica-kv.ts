/**
 * ReplicaKv: the Kv port over a raft group, the same on every member.
 *
 * Idea. Writes and lease times are the leader's: leader-route.ts finds it. Reads and watches are the local store's, reads
 * after asking raft for a linearizable point unless the caller is content with what is here. After a write this member
 * waits, for a moment, until its own store has it: who wrote through this member finds it in this member's watches.
 *
 *   txn ─▶ check, encode ─▶ route ─▶ leader: propose ─▶ log ─▶ every store
 *   range ─▶ readIndex ─▶ store
 *
 * Invariants.
 * - No write is repeated unless it is certain that it was not done (leader-route.ts).
 * - Every call ends within its time; the default leaves a margin below the five seconds that the API promises.
 *
 * @module
 */
import { DroppedError, type LogIndex, NO_NODE, type NodeId } from "#raft";
import type { Calls } from "../lib/calls.ts";
import type { Clock } from "../lib/clock.ts";
import { type ClusterLevel, FORMAT_LEVEL } from "../lib/format.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import { encodeCommand, encodeProposal } from "../store/codec.ts";
import { type Command, type CommandResult, refusalError } from "../store/command.ts";
import {
  type CallOptions,
  type Kv,
  KvError,
  type Lease,
  type LeaseId,
  type LeaseStatus,
  type RangeRequest,
  type RangeResponse,
  type ReadOptions,
  type Revision,
  type TxnRequest,
  type TxnResponse,
  txnWrites,
  type Watch,
  type WatchRequest,
} from "../store/kv.ts";
import type { Store } from "../store/store.ts";
import { leaseNotFound } from "../store/txn.ts";
import { checkTxn } from "../store/txn-check.ts";
import type { Reading, Report } from "./consistency-codec.ts";
import { HashCheck } from "./hash-check.ts";
import { type HistoryBounds, HistoryKeeper } from "./history-keeper.ts";
import type { LeaderReply, LeaderRequest } from "./leader-codec.ts";
import { LeaderRoute } from "./leader-route.ts";
import { LeaderService } from "./leader-service.ts";
import { LeaseClock, type Patience } from "./lease-clock.ts";
import type { Raft } from "./ports.ts";
import { Scrubber } from "./scrubber.ts";
import type { Applied, StoreMachine } from "./store-machine.ts";
import { Trust } from "./trust.ts";

export interface ReplicaConfig extends HistoryBounds {
  /** A call's time unless it brings its own. The API answers within 5 s; what is left is for it. */
  readonly timeoutMs: number;
  /** Shorter leases are granted this much: an election must fit in, or every change of leader would end them. */
  readonly leaseTtlMinMs: number;
  /** See LeaseClockConfig: raft's election timeout. */
  readonly stallMs: number;
  /** How long a write's answer may be held back until this member has it, too. */
  readonly catchUpMs: number;
  /** How often the leader compares the members' data. */
  readonly hashCheckMs: number;
  /** How often each member compares what it holds with what it applied. */
  readonly scrubMs: number;
}

export const REPLICA_DEFAULTS: ReplicaConfig = {
  timeoutMs: 4_300,
  leaseTtlMinMs: 2_000,
  stallMs: 1_000,
  keepRevisions: 10_000,
  keepChanges: 10_000,
  catchUpMs: 1_000,
  // Both, with a round's own time, well below the 30 s within which damage is to be found.
  hashCheckMs: 10_000,
  scrubMs: 15_000,
};

export interface ReplicaKvOptions {
  readonly raft: Raft;
  /** The machine that this raft node drives. */
  readonly machine: StoreMachine;
  readonly calls: Calls;
  readonly members: ReadonlyMap<NodeId, string>;
  readonly clock: Clock;
  readonly log: Log;
  readonly config?: Partial<ReplicaConfig>;
  /** What every member can apply (lib/format.ts). Default: all that this release can. */
  readonly clusterLevel?: () => ClusterLevel;
  /** This member's data is wrong, and no other one has it: the process must end, and read its disk anew. */
  readonly onHopeless: (error: Error) => void;
}

/** A lease's end stays pending until raft knows its fate; only this node's stop ends it earlier. */
const REVOKE_TIMEOUT_MS = 24 * 3_600_000;

const OWN_LEVEL: ClusterLevel = { level: FORMAT_LEVEL, because: "" };

export class ReplicaKv implements Kv {
  readonly #config: ReplicaConfig;
  readonly #raft: Raft;
  readonly #machine: StoreMachine;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #leaseClock: LeaseClock;
  readonly #service: LeaderService;
  readonly #route: LeaderRoute;
  readonly #trust: Trust;
  readonly #check: HashCheck;
  readonly #scrubber: Scrubber;
  readonly #closing = new AbortController();
  /** The term in which this member leads; 0: it does not. */
  #leadsInTerm = 0;
  #unsubscribe: (() => void)[] = [];

  constructor(options: ReplicaKvOptions) {
    const { raft, machine, calls, members, clock, log, config, clusterLevel = () => OWN_LEVEL } = options;
    this.#config = { ...REPLICA_DEFAULTS, ...config };
    this.#raft = raft;
    this.#machine = machine;
    this.#store = machine.store;
    this.#clock = clock;
    const confirm = async (signal: AbortSignal) => void (await raft.readIndex({ signal }));
    const revoke = (ids: readonly LeaseId[]) => this.#proposeHere({ kind: "lease-revoke", ids });
    this.#leaseClock = new LeaseClock({ clock, log, store: this.#store, confirm, revoke }, this.#config);
    const trust = new Trust({ raft, machine, calls, members, clock, log, onHopeless: options.onHopeless });
    this.#trust = trust;
    this.#check = new HashCheck({ raft, machine, calls, members, clock, log, trust }, this.#config.hashCheckMs);
    const onDamage = () => trust.distrust("what it holds is not what it applied", [...members.keys()]);
    this.#scrubber = new Scrubber({ clock, store: this.#store, onDamage }, this.#config.scrubMs);
    this.#service = new LeaderService({ raft, leases: this.#leaseClock, clusterLevel, trust, check: this.#check });
    const { timeoutMs } = this.#config;
    this.#route = new LeaderRoute({ raft, calls, clock, members, service: this.#service, timeoutMs });
    const compact = (revision: Revision) => this.#proposeHere({ kind: "compact", revision });
    const keeper = new HistoryKeeper({ store: this.#store, log, compact }, this.#config);
    this.#unsubscribe = [
      raft.onChange(() => this.#roleChanged()),
      machine.onApply(() => {
        if (this.#leadsInTerm > 0) keeper.look();
      }),
    ];
    trust.onChange(() => this.#trustChanged());
    this.#scrubber.start();
    this.#roleChanged();
  }

  /** Whether this member holds what the others hold, and what it did about it. */
  get health(): { readonly check: HashCheck; readonly trust: Trust; readonly scrubber: Scrubber } {
    return { check: this.#check, trust: this.#trust, scrubber: this.#scrubber };
  }

  /** The local store, for status and diagnosis. */
  get store(): Store {
    return this.#store;
  }

  async range(request: RangeRequest, options: ReadOptions = {}): Promise<RangeResponse> {
    await this.#readable("Range", options);
    return this.#store.range(request, options);
  }

  async txn(request: TxnRequest, options: ReadOptions = {}): Promise<TxnResponse> {
    checkTxn(request);
    if (txnWrites(request)) return (await this.#write({ kind: "txn", request }, "txn", options)).response;
    await this.#readable("Transaction", options);
    return this.#store.read(request);
  }

  async leaseGrant(
    { ttlMs, id = 0 }: { readonly ttlMs: number; readonly id?: LeaseId },
    options: CallOptions = {},
  ): Promise<Lease> {
    // What is no duration at all is left as it is, for the store to refuse.
    const granted = ttlMs > 0 ? Math.max(ttlMs, this.#config.leaseTtlMinMs) : ttlMs;
    return (await this.#write({ kind: "lease-grant", id, ttlMs: granted }, "lease-grant", options)).lease;
  }

  async leaseRevoke(id: LeaseId, options: CallOptions = {}): Promise<void> {
    const { revoked } = await this.#write({ kind: "lease-revoke", ids: [id] }, "lease-revoke", options);
    if (revoked.length === 0) throw leaseNotFound("Lease revoke", id);
  }

  async leaseKeepAlive(id: LeaseId, options: CallOptions = {}): Promise<Lease> {
    const reply = await this.#ask("Lease keep-alive", { kind: "keep-alive", id }, options);
    if (reply.kind !== "kept-alive") throw unexpected("a keep-alive", reply);
    return reply.lease;
  }

  async leaseStatus(id: LeaseId, options: CallOptions = {}): Promise<LeaseStatus> {
    const reply = await this.#ask("Lease status", { kind: "remaining", id }, options);
    if (reply.kind !== "remaining") throw unexpected("a lease status", reply);
    await this.#readable("Lease status", options);
    if (reply.remainingMs < 0 || this.#store.leases.get(id) === undefined) {
      return { id, ttlMs: 0, remainingMs: -1, keys: [] };
    }
    const { lease, keys } = this.#store.lease(id);
    return { ...lease, remainingMs: reply.remainingMs, keys };
  }

  async leases(options: ReadOptions = {}): Promise<readonly LeaseId[]> {
    await this.#readable("Lease list", options);
    return this.#store.leases.all().map(({ id }) => id);
  }

  watch(request: WatchRequest): Watch {
    const watch = this.#store.watch(request);
    if (this.#closing.signal.aborted) this.#store.closeWatches(closedError());
    else if (this.#trust.reason !== null) this.#store.closeWatches(this.#distrusted("Watch"));
    return watch;
  }

  async compact(revision: Revision, options: CallOptions = {}): Promise<void> {
    await this.#write({ kind: "compact", revision }, "compact", options);
  }

  /** For the handlers that other members call (handlers.ts). */
  serve(request: LeaderRequest, patience: Patience): Promise<LeaderReply> {
    return this.#service.serve(request, patience);
  }

  /** What this member had at an index of the log, for another one. */
  reading(index: LogIndex, timeoutMs: number): Promise<Reading> {
    return this.#check.answer(index, timeoutMs);
  }

  heed(report: Report): void {
    this.#check.heed(report);
  }

  /** This member's whole state, of an index not below this one, for a member whose own is wrong. */
  async *state(index: LogIndex, timeoutMs: number): AsyncGenerator<Uint8Array> {
    await this.#check.settled;
    const isThere = await this.#machine.reached(index, this.#clock, timeoutMs);
    if (this.#trust.reason !== null) throw this.#distrusted("Telling the state");
    if (!isThere) throw new KvError("unavailable", `Telling the state failed: it is not yet at index ${index}`);
    yield* this.#machine.snapshot();
  }

  /** Ends watches and calls that wait for a leader; proposals end with raft's stop. */
  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#leaseClock.close();
    this.#scrubber.stop();
    this.#check.close();
    this.#trust.close();
    this.#store.closeWatches(closedError());
  }

  #trustChanged(): void {
    if (this.#trust.reason !== null) this.#store.closeWatches(this.#distrusted("Watch"));
    this.#roleChanged();
  }

  #roleChanged(): void {
    this.#check.look();
    const term = this.#raft.role === "leader" && this.#trust.reason === null ? this.#raft.term : 0;
    if (term === this.#leadsInTerm) return;
    this.#leadsInTerm = term;
    if (term > 0) this.#leaseClock.lead();
    else this.#leaseClock.depose();
  }

  async #proposeHere(command: Command): Promise<void> {
    const { result } = await this.#raft.propose<Applied>(encodeCommand(command), { timeoutMs: REVOKE_TIMEOUT_MS });
    if (result.kind === "refused") throw refusalError(result);
  }

  async #write<K extends CommandResult["kind"]>(
    command: Command,
    kind: K,
    options: CallOptions,
  ): Promise<Extract<CommandResult, { readonly kind: K }>> {
    const startedAtMs = this.#clock.now();
    const reply = await this.#ask("Write", { kind: "command", command: encodeProposal(command) }, options);
    if (reply.kind !== "applied") throw unexpected("a command", reply);
    const leftMs = startedAtMs + (options.timeoutMs ?? this.#config.timeoutMs) - this.#clock.now();
    // It is done: whether this member is up to date in time changes nothing about the answer.
    await this.#machine.reached(reply.index, this.#clock, Math.max(0, Math.min(leftMs, this.#config.catchUpMs)));
    const { result } = reply;
    if (result.kind === "refused") throw refusalError(result);
    if (result.kind !== kind) throw new Error(`Assertion failed: a ${command.kind} was answered by ${result.kind}`);
    return result as Extract<CommandResult, { readonly kind: K }>;
  }

  async #ask(action: string, request: LeaderRequest, options: CallOptions): Promise<LeaderReply> {
    if (this.#closing.signal.aborted) throw closedError();
    try {
      return await this.#route.ask(action, request, { ...options, signal: this.#signal(options) });
    } catch (error) {
      if (error instanceof KvError && error.code === "cancelled" && !options.signal?.aborted) throw closedError();
      throw error;
    }
  }

  /** Waits until the local store may be read. */
  async #readable(action: string, { serializable, signal, timeoutMs }: ReadOptions): Promise<void> {
    if (this.#closing.signal.aborted) throw closedError();
    if (signal?.aborted) throw new KvError("cancelled", `${action} failed: it was cancelled`);
    if (!serializable) {
      try {
        await this.#raft.readIndex({
          signal: this.#signal(signal === undefined ? {} : { signal }),
          timeoutMs: timeoutMs ?? this.#config.timeoutMs,
        });
      } catch (error) {
        throw this.#readError(action, error, signal);
      }
    }
    // Short, and only after a start; without a leader there is nobody to compare with, and only what is here is asked for.
    if (!this.#check.isSettled && this.#raft.leader !== NO_NODE) await this.#check.settled;
    if (this.#trust.reason !== null) throw this.#distrusted(action);
  }

  #distrusted(action: string): KvError {
    return new KvError("unavailable", `${action} failed: this member's data is wrong and is being rebuilt`);
  }

  #readError(action: string, error: unknown, signal: AbortSignal | undefined): Error {
    if (signal?.aborted) return new KvError("cancelled", `${action} failed: it was cancelled`);
    if (this.#closing.signal.aborted) return closedError();
    if (error instanceof DroppedError && error.reason !== "stopped") {
      return new KvError("unavailable", `${action} failed: no quorum: this member cannot reach a leader`);
    }
    return new KvError("unavailable", `${action} failed: ${reasonOf(error)}`);
  }

  /** A caller with a signal of its own ends its call itself, or the deadline does. */
  #signal({ signal }: CallOptions): AbortSignal {
    return signal ?? this.#closing.signal;
  }
}

function closedError(): KvError {
  return new KvError("closed", "Call failed: the store is closed");
}

function unexpected(asked: string, reply: LeaderReply): Error {
  return new Error(`Assertion failed: ${asked} was answered by "${reply.kind}"`);
}
