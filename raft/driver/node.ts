/**
 * One member of a raft group: the door of this library.
 *
 * Idea. The node puts the parts together: the loop that does the core's work (ready-loop.ts), calls that wait for their
 * end (proposals.ts, reads.ts), the clock (ticker.ts) and what follows when the leader's connection closes (succession.ts).
 *
 * Invariants.
 * - Every pending call settles: by its fate, its deadline, its signal or stop().
 * - After a failure that the node cannot survive, it does nothing more and says so through onFatal, once.
 *
 * Not here. Elections (core/), file and frame formats (adapters/, codec.ts).
 *
 * @module
 */
import { assert } from "../assert.ts";
import { RaftCore } from "../core/raft-core.ts";
import type { Configuration, HardState, SnapshotMeta, SoftState } from "../types.ts";
import { type LogIndex, type Membership, type Message, NO_NODE, type NodeId, type Role, type Term } from "../types.ts";
import { Changes } from "./changes.ts";
import { coreConfigOf, type RaftNodeConfig, type ResolvedConfig, resolveConfig } from "./config.ts";
import { DiskCheck } from "./disk-check.ts";
import { changeRefusal, DamagedLogError, DroppedError, proposeRefusal, snapshotRefusal } from "./errors.ts";
import type { Clock, LogStorage, RaftLog, StateMachine, Transport } from "./ports.ts";
import { Proposals } from "./proposals.ts";
import { Reads } from "./reads.ts";
import { ReadyLoop } from "./ready-loop.ts";
import { reasonOf } from "./snapshots.ts";
import { startUp } from "./start-up.ts";
import { Succession } from "./succession.ts";
import { Ticker } from "./ticker.ts";
import { Transfers } from "./transfers.ts";
import type { WaitOptions } from "./waiter.ts";

export interface RaftNodePorts {
  readonly clock: Clock;
  /** Opened by the caller, who closes it after stop(). */
  readonly storage: LogStorage;
  /** Started and stopped by the node. */
  readonly transport: Transport;
  readonly machine: StateMachine;
  readonly random: () => number;
  readonly log: RaftLog;
  /** The node cannot go on and has ended its work; the process should end, too. */
  readonly onFatal: (error: Error) => void;
}

/** What a watchdog asks: do clock and loop really turn? */
export interface Turning {
  /** Clock time of the last tick. */
  readonly lastTickAt: number;
  /** Clock time at which the batch in work began, null when idle: a disk that hangs shows here. */
  readonly turnStartedAt: number | null;
}

export interface RaftStatus {
  readonly id: NodeId;
  readonly role: Role;
  readonly term: Term;
  readonly leader: NodeId;
  readonly commit: LogIndex;
  readonly applied: LogIndex;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly snapshotIndex: LogIndex;
  /** Applied here; the core's may be newer. */
  readonly membership: Membership;
  readonly diskFull: boolean;
  /** Its disk was damaged, and it does not have everything again yet. */
  readonly recovering: boolean;
  readonly pendingProposals: number;
  /** The core's own view, with the progress of each peer on the leader; for printing. */
  readonly core: unknown;
}

export class RaftNode {
  readonly #config: ResolvedConfig;
  readonly #ports: RaftNodePorts;
  readonly #proposals: Proposals;
  readonly #reads: Reads;
  readonly #ticker: Ticker;
  readonly #succession: Succession;
  readonly #changes: Changes;
  readonly #transfers: Transfers;
  readonly #listeners = new Set<(state: SoftState) => void>();
  #state: { readonly core: RaftCore; readonly loop: ReadyLoop } | null = null;
  #diskCheck: DiskCheck | null = null;
  #startCalled = false;
  #ended = false;
  #stopping: Promise<void> | null = null;

  constructor(config: RaftNodeConfig, ports: RaftNodePorts) {
    this.#config = resolveConfig(config);
    this.#ports = ports;
    const { clock, random } = ports;
    this.#proposals = new Proposals(clock);
    this.#changes = new Changes(clock);
    this.#reads = new Reads({
      clock,
      random,
      // Longer than a heartbeat round trip, which is what a round waits for at worst.
      retryMs: 2.5 * this.#config.heartbeatMs,
      ask: (context) => this.#state?.core.readIndex(context) ?? "no-leader",
      wake: () => this.#state?.loop.wake(),
    });
    this.#ticker = new Ticker({
      clock,
      tickMs: this.#config.tickMs,
      stallMs: this.#config.electionTimeoutMs,
      onTick: () => this.#tick(),
      onStall: (gapMs) => this.#stalled(gapMs),
    });
    this.#transfers = new Transfers({
      clock,
      electionTimeoutMs: this.#config.electionTimeoutMs,
      wake: () => this.#state?.loop.wake(),
    });
    this.#succession = new Succession({ clock, random, campaign: () => this.#campaign() });
  }

  /**
   * Loads the disk, restores the machine, applies what is known to be committed, then takes part; a single voter
   * elects itself at once. Rejects when the disk cannot be read: the node is of no use then.
   */
  async start(): Promise<void> {
    if (this.#startCalled || this.#ended) throw new Error("Start raft node: it was started or stopped before");
    this.#startCalled = true;
    const { transport, log } = this.#ports;
    const loaded = await startUp({ ...this.#config, ...this.#ports });
    this.#stillWanted();
    const membership = loaded.snapshot?.membership ?? this.#config.membership;
    const core = new RaftCore(coreConfigOf(this.#config, membership, this.#ports.random), loaded);
    const loop = this.#loopOver(core, loaded.hardState, loaded.snapshot, membership);
    this.#state = { core, loop };
    this.#diskCheck = new DiskCheck({
      ...this.#ports,
      everyMs: this.#config.diskCheckMs,
      renew: async () => void (await loop.snapshots.renew()),
      fatal: (error) => loop.fatal(error),
    });
    loop.wake();
    await loop.idle();
    this.#stillWanted();
    log.info("Raft node is ready", { node: this.id, term: core.term, applied: loop.applied, last: core.lastIndex });
    await transport.start({
      message: (message) => this.#received(message),
      snapshotPrefix: () => loop.snapshots.receiver.prefix(),
      snapshot: (from, incoming) => loop.snapshots.receiver.receive(from, incoming),
      unreachable: (peer) => this.#unreachable(peer),
    });
    this.#stillWanted();
    this.#ticker.start();
    this.#diskCheck.start();
    if (isOnlyVoter(this.id, core.membership)) loop.input(() => core.campaign());
  }

  /** Appends a command and resolves with what apply() returned for it on this node. Refusals: errors.ts. */
  async propose<T>(data: Uint8Array, options: WaitOptions = {}): Promise<T> {
    const { core, loop } = this.#running("Propose");
    if (options.signal?.aborted) throw new DroppedError("aborted", "Propose: the caller went away");
    const { maxEntryBytes } = this.#config;
    if (data.length > maxEntryBytes) {
      throw new DroppedError("too-large", `Propose: ${data.length} bytes are more than the ${maxEntryBytes} allowed`);
    }
    refuseWhenFull("Propose", core, loop);
    const outcome = core.propose(data);
    if (outcome.kind === "refused") throw proposeRefusal(outcome.reason, core.leader);
    loop.wake();
    const timeoutMs = options.timeoutMs ?? this.#config.requestTimeoutMs;
    // The machine's own result: only the caller, who wrote the command and the machine, knows its type.
    return (await this.#proposals.wait(outcome.index, outcome.term, timeoutMs, options.signal)) as T;
  }

  /**
   * Makes these nodes the voters and learners of the cluster; resolves when that is applied here. What takes a joint membership
   * goes through one by itself. A new voter must be a learner that has caught up. The caller sees to it that the transport knows
   * the new members' addresses, and that every member runs a release that reads `config` entries.
   */
  async changeMembership(target: Membership, options: WaitOptions = {}): Promise<void> {
    const { core, loop } = this.#running("Change the membership");
    if (options.signal?.aborted) throw new DroppedError("aborted", "Change the membership: the caller went away");
    refuseWhenFull("Change the membership", core, loop);
    const outcome = core.changeMembership(target);
    if (outcome.kind === "refused") {
      const { reason } = outcome;
      if (reason === "no-change") return;
      throw changeRefusal({ ...outcome, reason }, core.leader);
    }
    loop.wake();
    const endsAt = this.#ports.clock.now() + (options.timeoutMs ?? this.#config.requestTimeoutMs);
    const timeoutMs = () => Math.max(0, endsAt - this.#ports.clock.now());
    await this.#proposals.wait(outcome.index, outcome.term, timeoutMs(), options.signal);
    if (loop.membership.outgoing !== undefined) await this.#changes.left(timeoutMs(), options.signal);
  }

  /** Called when another membership is applied here, also half of a joint change; must not throw. Returns how to end it. */
  onMembership(listener: (configuration: Configuration) => void): () => void {
    return this.#changes.onChange(listener);
  }

  /** A point at which a read is linearizable; resolves once this node's machine has reached it. */
  async readIndex(options: WaitOptions = {}): Promise<LogIndex> {
    this.#running("Read");
    return this.#reads.read(options.timeoutMs ?? this.#config.requestTimeoutMs, options.signal);
  }

  get id(): NodeId {
    return this.#config.id;
  }
  /** Index of the last entry that the machine has seen. */
  get applied(): LogIndex {
    return this.#state?.loop.applied ?? 0;
  }
  /** Who leads as far as this node knows, or NO_NODE. */
  get leader(): NodeId {
    return this.#ended ? NO_NODE : (this.#state?.core.leader ?? NO_NODE);
  }
  get role(): Role {
    return this.#ended ? "follower" : (this.#state?.core.role ?? "follower");
  }
  get term(): Term {
    return this.#state?.core.term ?? 0;
  }
  get turning(): Turning {
    return { lastTickAt: this.#ticker.lastTickAt, turnStartedAt: this.#state?.loop.turnStartedAt ?? null };
  }

  status(): RaftStatus {
    const { core, loop } = this.#running("Tell the status");
    return {
      id: this.id,
      role: core.role,
      term: core.term,
      leader: core.leader,
      commit: core.commit,
      applied: loop.applied,
      firstIndex: core.firstIndex,
      lastIndex: core.lastIndex,
      snapshotIndex: loop.snapshots.index,
      membership: loop.membership,
      diskFull: loop.diskFull,
      recovering: core.isRecovering,
      pendingProposals: this.#proposals.size,
      core: core.status(),
    };
  }

  /** Called when role, leader or term changed, after that is on disk; must not throw. Returns how to end it. */
  onChange(listener: (state: SoftState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** True once `to` leads; false when this node cannot hand over, or nothing came of it within an election timeout. */
  async transferLeader(to: NodeId): Promise<boolean> {
    return this.#transfers.begin(this.#running("Transfer leadership").core, to);
  }

  /** Hands the leadership to whoever can take it best; NO_NODE when this node does not lead, or nobody took it. */
  async handOver(): Promise<NodeId> {
    const { core } = this.#running("Hand the leadership over");
    for (const heir of core.heirs) if (await this.#transfers.begin(core, heir)) return heir;
    return NO_NODE;
  }

  /** Takes a snapshot of the present state; resolves when it is on disk and the log behind it is dropped. */
  async snapshotNow(): Promise<void> {
    const { loop } = this.#running("Take a snapshot");
    const present = loop.applied;
    // One that was under way already may stand for less; whichever follows it was begun after this call.
    for (let round = 0; round < 2 && loop.snapshots.index < present; round++) {
      const outcome = await loop.snapshots.take();
      if (outcome !== "taken") throw snapshotRefusal(outcome);
    }
    assert(loop.snapshots.index >= present, `the second snapshot stands for ${present}, which was applied before it`);
  }

  /** The machine's state was replaced by another hand than the log's: whatever snapshot there is, or is being written, may be of the one of
   *  before. Resolves when one that was begun after this call has its place. */
  async renewSnapshot(): Promise<void> {
    const outcome = await this.#running("Renew the snapshot").loop.snapshots.renew();
    if (outcome !== "taken") throw snapshotRefusal(outcome);
  }

  /** Ends everything and settles every pending call. The storage stays open: who opened it closes it. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#end();
    await this.#ports.transport.stop();
    await this.#state?.loop.stop();
    await this.#diskCheck?.stop();
    await this.#state?.loop.saveCommit();
  }

  /** Whatever must not happen any more from this moment on; the rest of stop() waits for what is under way. */
  #end(): void {
    this.#ended = true;
    this.#ticker.stop();
    this.#succession.end();
    this.#proposals.close();
    this.#changes.close();
    this.#reads.close();
    this.#transfers.close();
    this.#listeners.clear();
  }

  #fatal(error: Error): void {
    this.#ports.log.error("Raft node stops: it cannot go on safely", { node: this.id, reason: error.message });
    this.stop().catch((late) =>
      this.#ports.log.error("Stopping the failed raft node failed", { reason: reasonOf(late) }),
    );
    this.#ports.onFatal(error);
  }

  #running(attempt: string): { readonly core: RaftCore; readonly loop: ReadyLoop } {
    if (this.#state === null || this.#ended) throw new DroppedError("stopped", `${attempt}: this node is not running`);
    return this.#state;
  }

  #stillWanted(): void {
    if (this.#ended)
      throw new DroppedError("stopped", "Start raft node: it was stopped, or failed, before it was ready");
  }

  #loopOver(core: RaftCore, hardState: HardState, snapshot: SnapshotMeta | null, membership: Membership): ReadyLoop {
    return new ReadyLoop({
      config: this.#config,
      core,
      ...this.#ports,
      proposals: this.#proposals,
      reads: this.#reads,
      hardState,
      snapshot,
      membership,
      onSoftState: (state) => this.#softStateChanged(state),
      onMembership: (applied) => this.#membershipChanged(applied),
      onFatal: (error) => this.#fatal(error),
    });
  }

  #tick(): void {
    this.#state?.loop.input((core) => core.tick());
    const others = this.#state?.core.hopeless ?? null;
    if (others !== null) this.#state?.loop.fatal(DamagedLogError.majority(others));
  }

  #received(message: Message): void {
    // A snapshot message is the driver's own to step, once the bytes are here (snapshots.ts).
    if (message.kind === "snapshot" || message.to !== this.id) return;
    if (message.from === this.leader) this.#succession.end();
    this.#state?.loop.input((core) => core.step(message));
  }

  #unreachable(peer: NodeId): void {
    this.#state?.loop.input((core) => core.unreachable(peer));
    if (peer === this.leader && this.role === "follower") this.#succession.begin();
  }

  #campaign(): void {
    // Whoever has room on its disk should win; this node still campaigns when the election timeout finds no other.
    if (this.role !== "leader" && this.#state?.loop.diskFull === false)
      this.#state?.loop.input((core) => core.campaign());
  }

  #stalled(gapMs: number): void {
    this.#ports.log.warning("This process was stopped or starved: distrusting its clock until messages were read", {
      stalledMs: Math.round(gapMs),
    });
    this.#state?.loop.input((core) => core.suspect());
  }

  #membershipChanged(configuration: Configuration): void {
    const { voters, learners, outgoing } = configuration.membership;
    this.#ports.log.notice("The cluster's membership changed", {
      voters: voters.join(" "),
      learners: learners.join(" "),
      ...(outgoing === undefined ? {} : { outgoing: outgoing.join(" ") }),
    });
    this.#changes.applied(configuration);
  }

  #softStateChanged(state: SoftState): void {
    if (state.leader !== NO_NODE) this.#succession.end();
    this.#reads.leaderChanged();
    this.#transfers.leaderIs(state.leader);
    for (const listener of [...this.#listeners]) listener(state);
  }
}

function isOnlyVoter(id: NodeId, { voters, outgoing }: Membership): boolean {
  return voters.length === 1 && voters[0] === id && outgoing === undefined;
}

function refuseWhenFull(attempt: string, core: RaftCore, loop: ReadyLoop): void {
  if (!loop.diskFull || core.role !== "leader") return;
  throw new DroppedError("disk-full", `${attempt}: the leader's disk is full, make room for its data directory`);
}
