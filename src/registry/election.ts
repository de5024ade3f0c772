/**
 * Election: who runs the engine where the store names no leader of its own, as an etcd does not.
 *
 * Problem. One engine at a time, another one soon after the first is gone, and nobody to decide it but the store.
 * Idea. The leadership key hangs on a lease. Whoever creates it while it is absent leads; the others watch it, and try when it
 * goes. The holder keeps the lease alive, and stops when it can no longer be sure of it.
 *
 *   watch until absent ─▶ grant a lease ─▶ create the key with it ─▶ keep alive … ─▶ resign: revoke
 *                 ▲                              │ another was faster
 *                 └──────────────────────────────┘
 *
 * Invariants.
 * - A term is given up, by this process's clock, before its lease can be over at the store: the lease's time counts from
 *   before the renewal was sent. Should that fail, as after a stall, the store refuses each write (engine-session.ts).
 * - A key that hangs on no lease is never taken: an engine on flt's own store has it.
 * - A term that this daemon holds already is its former process's, or one that could not be resigned: its lease is ended. The
 *   identity of its data directory says so, not the machine-id: a second host may have that, and is refused only later, when
 *   it registers (agent-registry.ts).
 *
 * Not here. flt's own store, where raft's leader simply takes the key (becomeEngine).
 *
 * @module
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { NewerFormatError } from "../lib/format.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import { pause } from "../lib/wait.ts";
import { type MachineId, shortMachineId } from "../model/machine.ts";
import { type KeyValue, type Kv, KvError, type Lease, type Revision } from "../store/kv.ts";
import { engineSession } from "./engine-session.ts";
import type { Keys } from "./keys.ts";
import { absent, put } from "./operations.ts";
import { decodeLeader, encodeLeader, type LeaderRecord, RecordError } from "./records.ts";
import type { EngineSession, EngineTerm } from "./types.ts";
import type { RegistryView } from "./view.ts";

export interface ElectionConfig {
  /** Life of a term that is not kept alive: how long the cluster may be without an engine when its host dies. */
  readonly ttlMs: number;
  /** Between two renewals; several fit into ttlMs, so that the loss of one costs nothing. */
  readonly beatMs: number;
  /** The engine stops so long before its lease can be over: enough to end what it is writing. */
  readonly marginMs: number;
}

export const ELECTION_DEFAULTS: ElectionConfig = { ttlMs: 4_000, beatMs: 1_000, marginMs: 750 };

export interface ElectionOptions {
  readonly kv: Kv;
  readonly keys: Keys;
  readonly view: RegistryView;
  readonly machineId: MachineId;
  /** Of this daemon's data directory, as in its registration. */
  readonly identity: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly config?: Partial<ElectionConfig>;
}

export interface Campaign {
  /** The candidate gives up. */
  readonly signal: AbortSignal;
  /** Called once when the term is over, or must be taken to be; not after resign(). */
  readonly onLost: (why: string) => void;
}

/** Pauses while the store does not answer. */
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 1_000;

/** Resolves when this candidate leads. Rejects with KvError `cancelled` when it gives up; a store that is away is waited for. */
export async function winElection(options: ElectionOptions, campaign: Campaign): Promise<EngineTerm> {
  const { clock, log } = options;
  const { signal } = campaign;
  const polls = new Polls(options);
  let pauseMs = RETRY_MIN_MS;
  while (!signal.aborted) {
    try {
      await polls.vacancy(signal);
      if (signal.aborted) break;
      const claim = await polls.claim(signal);
      if (claim !== null) return new Term(options, claim, campaign.onLost);
      pauseMs = RETRY_MIN_MS;
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      if (signal.aborted) break;
      log.debug("Seeking the engine's office failed, trying on", { code: error.code, reason: reasonOf(error) });
      await pause(clock, pauseMs, signal);
      pauseMs = Math.min(pauseMs * 2, RETRY_MAX_MS);
    }
  }
  throw new KvError("cancelled", "Gave up seeking the engine's office");
}

interface Claim {
  readonly lease: Lease;
  /** On the clock: the store cannot end the lease before. */
  readonly validUntilMs: number;
  readonly revision: Revision;
}

/** The leadership key, seen from those who have it not. */
class Polls {
  readonly #options: ElectionOptions;
  /** The holder that was last spoken of in the log. */
  #announced: Revision = 0;

  constructor(options: ElectionOptions) {
    this.#options = options;
  }

  /** Resolves when nobody holds the key. */
  async vacancy(signal: AbortSignal): Promise<void> {
    const { kv, keys, identity } = this.#options;
    const answer = await kv.range({ key: keys.leader }, { signal });
    const [holder] = answer.kvs;
    if (holder === undefined) return;
    if (holder.lease !== 0 && holderOf(holder)?.identity === identity) {
      await kv.leaseRevoke(holder.lease, { signal });
      return;
    }
    this.#announce(holder);
    const watch = kv.watch({ key: keys.leader, startRevision: answer.revision + 1 });
    const close = () => watch.close();
    signal.addEventListener("abort", close);
    if (signal.aborted) close();
    try {
      for await (const { events } of watch) {
        if (events.at(-1)?.type === "delete") return;
      }
    } finally {
      signal.removeEventListener("abort", close);
      watch.close();
    }
  }

  /** null: another candidate was faster. */
  async claim(signal: AbortSignal): Promise<Claim | null> {
    const { kv, keys, machineId, identity, clock, config } = this.#options;
    const sentMs = clock.now();
    const lease = await kv.leaseGrant({ ttlMs: config?.ttlMs ?? ELECTION_DEFAULTS.ttlMs }, { signal });
    let isOurs = false;
    try {
      const answer = await kv.txn(
        {
          compare: [absent(keys.leader)],
          success: [put(keys.leader, encodeLeader(machineId, identity), lease.id)],
          failure: [],
        },
        { signal },
      );
      isOurs = answer.succeeded;
      return isOurs ? { lease, validUntilMs: sentMs + lease.ttlMs, revision: answer.revision } : null;
    } finally {
      // Also after an answer that never came: should the key have been made, or be made yet, it goes with the lease.
      if (!isOurs) await dropLease(this.#options, lease);
    }
  }

  #announce(holder: KeyValue): void {
    const { log } = this.#options;
    if (this.#announced === holder.modRevision) return;
    this.#announced = holder.modRevision;
    const record = holderOf(holder);
    const who = record === null ? "somebody whose name cannot be read" : `machine ${shortMachineId(record.machineId)}`;
    if (holder.lease === 0) log.notice(`The engine's office is held by ${who} without a lease: it is not taken over`);
    else log.info(`The engine runs on ${who}: waiting for its office`);
  }
}

/** null: a record that cannot be read. One of a later release ends the daemon elsewhere (view.ts); here its holder is just another. */
function holderOf(holder: KeyValue): LeaderRecord | null {
  try {
    return decodeLeader(holder.value);
  } catch (error) {
    if (error instanceof RecordError || error instanceof NewerFormatError) return null;
    throw error;
  }
}

/** Best effort: a lease that stays behind ends by itself. */
async function dropLease({ kv, log }: ElectionOptions, { id, ttlMs }: Lease): Promise<void> {
  try {
    await kv.leaseRevoke(id, { timeoutMs: ttlMs / 2 });
  } catch (error) {
    log.debug("Left a lease to run out", { lease: id, reason: reasonOf(error) });
  }
}

class Term implements EngineTerm {
  readonly session: EngineSession;
  readonly #options: ElectionOptions;
  readonly #config: ElectionConfig;
  readonly #lease: Lease;
  readonly #onLost: (why: string) => void;
  readonly #end = new AbortController();
  readonly #beating: Promise<void>;
  #deadline: Timer;

  constructor(options: ElectionOptions, { lease, validUntilMs, revision }: Claim, onLost: (why: string) => void) {
    const { kv, keys, view } = options;
    this.#options = options;
    this.#config = { ...ELECTION_DEFAULTS, ...options.config };
    this.#lease = lease;
    this.#onLost = onLost;
    this.session = engineSession(kv, keys, view, revision);
    this.#deadline = this.#deadlineAt(validUntilMs);
    this.#beating = this.#keepAlive();
  }

  async resign(): Promise<void> {
    this.#stop();
    await this.#beating;
    await dropLease(this.#options, this.#lease);
  }

  #stop(): void {
    this.#end.abort();
    this.#deadline.cancel();
  }

  #lose(why: string): void {
    if (this.#end.signal.aborted) return;
    this.#stop();
    this.#onLost(why);
  }

  #deadlineAt(validUntilMs: number): Timer {
    const { clock } = this.#options;
    const delayMs = Math.max(0, validUntilMs - this.#config.marginMs - clock.now());
    return clock.after(delayMs, () => this.#lose("its lease could not be renewed in time"));
  }

  async #keepAlive(): Promise<void> {
    const { kv, clock, log } = this.#options;
    const { beatMs, marginMs } = this.#config;
    const { signal } = this.#end;
    // Two tries fit in before the deadline, also when the first hears nothing.
    const timeoutMs = Math.max(beatMs, (this.#lease.ttlMs - marginMs) / 2);
    let sentMs = clock.now();
    let isWell = true;
    for (;;) {
      const pauseMs = isWell ? beatMs : beatMs / 4;
      await pause(clock, Math.max(0, sentMs + pauseMs - clock.now()), signal);
      if (signal.aborted) return;
      sentMs = clock.now();
      try {
        const { ttlMs } = await kv.leaseKeepAlive(this.#lease.id, { signal, timeoutMs });
        if (signal.aborted) return;
        this.#deadline.cancel();
        this.#deadline = this.#deadlineAt(sentMs + ttlMs);
        isWell = true;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof KvError)) throw error;
        if (error.code === "lease-not-found") return this.#lose("its lease is over");
        isWell = false;
        log.debug("Renewing the engine's office failed, trying on", { code: error.code, reason: reasonOf(error) });
      }
    }
  }
}
