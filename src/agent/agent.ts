/**
 * Agent: makes this machine's systemd hold what the registry schedules here, and reports what systemd says.
 *
 *   schedule/<this machine> ──▶ Runner (plan, tasks) ──▶ UnitManager ──▶ systemd
 *   state/<this machine>    ◀── Reporter ◀───────────────── changes ◀────┘
 *   machine/<this machine>  ◀── Membership (lease, heartbeat)
 *
 * Idea. Three parts that know nothing of each other, joined here. Every one of them goes on alone: without the store
 * units are left as they are; without systemd the lease is kept and the states are the last known ones.
 *
 * Invariants.
 * - No unit is touched before this machine is registered (another host may have its id) and its schedule was read from
 *   a quorum; afterwards only by what the schedule says.
 * - No fault of the store or of this process stops a unit. Only stop({ handOver: true }) does.
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import { linkSignals, pause } from "../lib/wait.ts";
import type {
  AgentRegistry,
  MachineRegistration,
  MachineSession,
  RegistryError,
  ScheduleWatch,
} from "../registry/types.ts";
import { Backoff } from "./backoff.ts";
import { Clearance, type Neighbours } from "./clearance.ts";
import { Executor } from "./executor.ts";
import { FenceKeeper } from "./fence.ts";
import { handOver } from "./hand-over.ts";
import { JobLimit } from "./job-limit.ts";
import { Membership, type MembershipPace } from "./membership.ts";
import { Reloader } from "./reloader.ts";
import { Reporter } from "./reporter.ts";
import { Runner } from "./runner.ts";
import { type UnitManager, UnitManagerError } from "./unit-manager.ts";
import { UnitTexts } from "./unit-texts.ts";

export interface AgentConfig {
  /** Life of this machine's lease without a heartbeat. */
  readonly agentTtlMs: number;
  /** Default: a quarter of agentTtlMs, at most a second. */
  readonly heartbeatMs?: number;
  /** Longest wait for one read or write of the store. */
  readonly requestTimeoutMs?: number;
  /** How long the units may take to stop when they are handed over. Below the service's TimeoutStopSec. */
  readonly handOverMs?: number;
  /** How long to try to tell the cluster that this machine leaves. */
  readonly leaveMs?: number;
}

export interface AgentOptions {
  readonly registry: AgentRegistry;
  readonly units: UnitManager;
  /** The rest of the cluster: asked before a fenced unit starts. */
  readonly neighbours: Neighbours;
  readonly clock: Clock;
  readonly log: Log;
  /** Asked for each registration. */
  readonly registration: () => MachineRegistration;
  readonly config: AgentConfig;
  /** The agent cannot go on and touches nothing any more: another host has this machine-id. */
  readonly onFatal: (error: RegistryError) => void;
}

export interface AgentStatus {
  readonly registered: boolean;
  readonly systemdConnected: boolean;
  /** The schedule was read at least once. */
  readonly scheduleKnown: boolean;
  readonly jobsWaiting: number;
}

const HEARTBEAT_MAX_MS = 1000;
const REQUEST_TIMEOUT_MS = 5000;
const HAND_OVER_MS = 30_000;
const LEAVE_MS = 3000;
const RETRY_FIRST_MS = 50;
const RETRY_LAST_MS = 2000;

export class Agent {
  readonly #options: AgentOptions;
  readonly #clearance: Clearance;
  readonly #fence: FenceKeeper;
  readonly #jobs: JobLimit;
  readonly #runner: Runner;
  readonly #reporter: Reporter;
  readonly #membership: Membership;
  readonly #stop = new AbortController();
  readonly #firstSession = Promise.withResolvers<void>();
  #adopting: Promise<void> = Promise.resolve();
  #isAdoptionDue = false;
  /** Ends the pause between two tries to read the units. */
  #regained = new AbortController();
  #watching: Promise<void> | null = null;
  #watch: ScheduleWatch | null = null;
  #unsubscribe: () => void = () => {};
  #connected = false;
  #isAdopted = false;
  /** Of units that a former session of this machine reported it is not known yet whether they are still here. */
  #inherited: readonly string[] = [];
  #scheduleKnown = false;
  #fatal = false;
  /** The fence fired: units are read again as soon as the schedule was. */
  #wasFenced = false;

  constructor(options: AgentOptions) {
    this.#options = options;
    const { registry, units, clock, log, config } = options;
    const requestTimeoutMs = config.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
    const texts = new UnitTexts(registry, requestTimeoutMs);
    const onChange = (name: string) => this.#reporter.mark(name);
    this.#jobs = new JobLimit(clock);
    const selfId = options.registration().id;
    const reports = {
      confirm: (name: string, signal: AbortSignal) => this.#reporter.confirm(name, signal),
      isAttached: (session: MachineSession) => this.#reporter.isAttached(session),
    };
    this.#clearance = new Clearance({ neighbours: options.neighbours, reports, clock, log, selfId });
    this.#fence = new FenceKeeper({
      units,
      clock,
      log,
      clearance: this.#clearance,
      isNeeded: () => this.#runner.fencedNames().length > 0,
      onFired: () => this.#fenced(),
    });
    const executor = new Executor({
      units,
      text: (hash, signal) => texts.get(hash, signal),
      clock,
      log,
      jobs: this.#jobs,
      reloader: new Reloader(() => units.reload()),
      fence: this.#fence,
      onChange,
    });
    const onUncertain = () => this.#adopt();
    this.#runner = new Runner({ machineId: options.registration().id, executor, clock, log, onChange, onUncertain });
    this.#membership = new Membership({
      registry,
      clock,
      log,
      registration: options.registration,
      pace: this.#pace(config.agentTtlMs),
      onSession: (session) => this.#registered(session),
      onRenewed: (sentMs, ttlMs) => this.#fence.renewed(sentMs, ttlMs),
      onLost: () => this.#reporter.detach(),
      onTaken: (error) => this.#taken(error),
    });
    this.#reporter = new Reporter({
      clock,
      log,
      timeoutMs: requestTimeoutMs,
      report: (name) => this.#runner.report(name),
      names: () => this.#runner.names(),
      underWay: () => Math.max(this.#runner.busy, this.#jobs.running),
      onLeaseLost: (session) => this.#membership.leaseLost(session),
    });
  }

  /** Resolves once this machine is one of the cluster; never, where it does not come to that. */
  get registered(): Promise<void> {
    return this.#firstSession.promise;
  }

  get status(): AgentStatus {
    return {
      registered: this.#membership.session !== null,
      systemdConnected: this.#connected,
      scheduleKnown: this.#scheduleKnown,
      jobsWaiting: this.#jobs.waiting,
    };
  }

  start(): void {
    this.#unsubscribe = this.#options.units.subscribe({
      changed: (name, condition) => this.#runner.observe(name, condition),
      lost: (name) => this.#runner.lose(name),
      freed: (name) => this.#runner.free(name),
      connection: (event) => {
        if (event === "regained") {
          this.#regained.abort();
          this.#adopt();
        } else this.#connected = false;
      },
    });
    this.#clearance.start();
    this.#adopt();
    this.#membership.start();
  }

  /** Publishes what `registration()` says now, as after a change of the configured metadata, under a lease of this life. */
  refresh(agentTtlMs = this.#options.config.agentTtlMs): void {
    this.#membership.refresh(this.#pace(agentTtlMs));
  }

  #pace(ttlMs: number): MembershipPace {
    return { ttlMs, heartbeatMs: this.#options.config.heartbeatMs ?? Math.min(HEARTBEAT_MAX_MS, ttlMs / 4) };
  }

  /**
   * Ends the agent. Without handOver units and lease stay as they are. With it the units are stopped here first (for as
   * long as handOverMs), then given back, and the machine leaves; a cluster without quorum is not waited for, and a fenced unit that
   * may still run keeps the machine from leaving.
   */
  async stop(how: { readonly handOver: boolean }): Promise<void> {
    const { clock, log, config } = this.#options;
    this.#stop.abort();
    this.#watch?.close();
    await this.#watching;
    let left: readonly string[] = [];
    if (how.handOver && !this.#fatal) {
      const ports = { clock, log, runner: this.#runner, fence: this.#fence };
      left = await handOver(ports, config.handOverMs ?? HAND_OVER_MS);
    }
    this.#unsubscribe();
    this.#clearance.stop();
    this.#runner.close();
    await this.#reporter.close();
    const session = this.#membership.session;
    // Before it leaves: a heartbeat without a lease would register this machine again.
    await this.#membership.close();
    if (left.length > 0) {
      log.warning(
        "Not leaving in order: units with Fence=strict may still run here. This machine's lease runs out by itself",
        {
          units: left.join(" "),
        },
      );
    } else if (how.handOver && session !== null) {
      try {
        await session.leave({ timeoutMs: config.leaveMs ?? LEAVE_MS });
        log.info("Left the cluster in order");
      } catch (error) {
        log.warning("Cannot tell the cluster that this machine leaves: its lease runs out by itself", {
          reason: reasonOf(error),
        });
      }
    }
  }

  #registered(session: MachineSession): void {
    this.#firstSession.resolve();
    this.#reporter.attach(session);
    this.#inherited = session.inherited;
    this.#correctInherited();
    this.#watching ??= this.#followSchedule();
  }

  /** Says of what is not here any more that it is gone; once the units were read. */
  #correctInherited(): void {
    if (!this.#isAdopted) return;
    for (const name of this.#inherited) this.#reporter.mark(name);
    this.#inherited = [];
  }

  /**
   * systemd has stopped units. What this agent believes to be scheduled here may be older than that: another machine may have
   * them by now. So the schedule is read anew first, and only then what is left of them here.
   */
  #fenced(): void {
    this.#wasFenced = true;
    this.#watch?.close();
  }

  #taken(error: RegistryError): void {
    this.#fatal = true;
    this.#stop.abort();
    this.#watch?.close();
    this.#reporter.detach();
    this.#runner.close();
    this.#options.onFatal(error);
  }

  /** Reads what is held, as often as it takes; one reading at a time. Whoever asks before the next one begins shares it. */
  #adopt(): void {
    if (this.#isAdoptionDue) return;
    this.#isAdoptionDue = true;
    this.#adopting = this.#adopting.then(() => {
      this.#isAdoptionDue = false;
      return this.#readUnits();
    });
  }

  async #readUnits(): Promise<void> {
    const { units, clock, log } = this.#options;
    const { signal } = this.#stop;
    const backoff = new Backoff(RETRY_FIRST_MS, RETRY_LAST_MS);
    let failures = 0;
    while (!signal.aborted) {
      this.#regained = new AbortController();
      try {
        const held = await units.held();
        const conditions = await units.states(held.map((unit) => unit.name));
        this.#connected = true;
        log.info("Took over the units on this machine", { units: held.length });
        this.#runner.adopt(held, conditions);
        this.#isAdopted = true;
        this.#correctInherited();
        return;
      } catch (error) {
        if (!(error instanceof UnitManagerError)) throw error;
        if (failures++ === 0) log.warning("Cannot read this machine's units, trying on", { reason: reasonOf(error) });
        using over = linkSignals([signal, this.#regained.signal]);
        await pause(clock, backoff.next(), over.signal);
      }
    }
  }

  async #followSchedule(): Promise<void> {
    const { registry, clock, log, registration } = this.#options;
    const { signal } = this.#stop;
    const backoff = new Backoff(RETRY_FIRST_MS, RETRY_LAST_MS);
    let failures = 0;
    while (!signal.aborted) {
      const watch = registry.watchSchedule(registration().id);
      this.#watch = watch;
      let isFirst = true;
      try {
        for await (const scheduled of watch) {
          if (signal.aborted) break;
          if (failures > 0) log.notice("Reading this machine's schedule again", { failures });
          failures = 0;
          backoff.reset();
          this.#scheduleKnown = true;
          this.#runner.want(scheduled);
          if (isFirst && this.#wasFenced) {
            this.#wasFenced = false;
            this.#adopt();
          }
          isFirst = false;
        }
      } catch (error) {
        if (failures++ === 0 && !signal.aborted) {
          log.warning("Cannot read this machine's schedule, units go on as they are", { reason: reasonOf(error) });
        }
      } finally {
        watch.close();
      }
      await pause(clock, backoff.next(), signal);
    }
  }
}
