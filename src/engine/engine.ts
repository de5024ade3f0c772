/**
 * The engine: keeps every wanted unit on a machine that fits. Runs on the leader only.
 *
 * Idea. Facts from the view go into a model (cluster.ts), which marks what they concern; the planner (plan.ts) turns marks
 * into decisions; those are written in one go behind the leadership key. Then the engine waits until the view shows them, and
 * plans what was marked meanwhile.
 * Invariants.
 * - Nothing is planned while the model lacks units, and no machine counts as away. It is filled in slices: reading the files of 20,000 units
 *   takes this process longer than its heartbeats may wait.
 * - At most one plan is being written, and none is made before the view has caught up with the last: so there are never two
 *   writes for one unit, and no decision rests on a state that the engine itself has changed.
 * - A refused decision changes nothing: the unit is taken from the view again and planned anew.
 * - Whatever fails is marked again; a former leader stops and writes nothing more.
 *
 * Not here. Who leads (daemon/), the rules (filters/).
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import { NO_METRICS } from "../lib/metrics.ts";
import { pause } from "../lib/wait.ts";
import type { MachineId } from "../model/machine.ts";
import {
  type EngineSession,
  type EngineView,
  KvError,
  RegistryError,
  type Revision,
  type ViewChange,
} from "../registry/types.ts";
import { Cluster } from "./cluster.ts";
import { DeathWatch, type DeathWatchConfig } from "./deaths.ts";
import { EngineLog } from "./engine-log.ts";
import { FenceWatch } from "./fences.ts";
import { EngineMetrics } from "./metrics.ts";
import { readNeeds } from "./needs.ts";
import { type Plan, plan } from "./plan.ts";
import type { MachineProbe } from "./ports.ts";
import { isSameReasons } from "./reasons.ts";

export interface EngineConfig extends DeathWatchConfig {
  /** Between two safety nets. Events are acted on at once; this only finds what an event failed to mark. */
  readonly reconcileIntervalMs: number;
}

export const DEFAULT_ENGINE_CONFIG: EngineConfig = {
  reconcileIntervalMs: 2_000,
  daemonGraceMs: 60_000,
  probeIntervalMs: 1_000,
  probeTimeoutMs: 500,
};

export interface EngineOptions {
  readonly view: EngineView;
  readonly session: EngineSession;
  readonly clock: Clock;
  readonly log: Log;
  readonly probe: MachineProbe;
  /** The machine that this engine runs on. */
  readonly selfId: MachineId;
  readonly config: EngineConfig;
  /** Called once when the store refuses this engine because another one leads; it has stopped by then. */
  readonly onDeposed?: () => void;
  /** Outlives this engine: a daemon may lead more than once. */
  readonly metrics?: EngineMetrics;
}

/** Machines that are asked, too, whether a silent one lives: two, of which one may share the broken link. */
const WITNESSES_MAX = 2;
/** Units that one safety net looks at; 20,000 are gone through in some 80 s, at a cost of a millisecond each time. */
const SWEEP_UNITS = 500;
/** Other writers overtake a decision once or twice; who is refused so often plans from what he cannot see. */
const STALE_TRIES_MAX = 16;
/** What reading units into a new model may take of one turn of the event loop. */
const FILL_SLICE_MS = 10;
/** Pauses after a failed write. */
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 2_000;

export class Engine {
  readonly #options: EngineOptions;
  readonly #deaths: DeathWatch;
  readonly #fences: FenceWatch;
  readonly #metrics: EngineMetrics;
  readonly #log: EngineLog;
  readonly #stop = new AbortController();
  #cluster = new Cluster();
  #sweep: Iterator<{ readonly name: string }> | null = null;
  /** Units that the model lacks since it was made anew, by name. */
  #unread: string[] = [];
  #wake = new AbortController();
  #unsubscribe: (() => void) | null = null;
  #running: Promise<void> | null = null;
  #retryMs = RETRY_MIN_MS;
  /** Decisions that the store refused, by unit: how often since something about the unit changed. */
  readonly #stale = new Map<string, number>();

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#log = new EngineLog(options.log);
    this.#metrics = options.metrics ?? new EngineMetrics(NO_METRICS);
    this.#deaths = new DeathWatch({
      ...options,
      registered: () => this.#cluster.registeredCount,
      addressOf: (id) => options.view.address(id),
      witnessesFor: (id) => this.#witnessesFor(id),
      onDead: (id) => {
        this.#metrics.failed("machine_away");
        this.#cluster.markDead(id);
        this.#wake.abort();
      },
    });
    this.#fences = new FenceWatch(options.clock, (id) => {
      this.#cluster.markFenced(id);
      this.#wake.abort();
    });
  }

  /** The view must be filled. */
  start(): void {
    if (this.#running !== null) throw new Error("Cannot start the engine: it was started before");
    this.#unsubscribe = this.#options.view.subscribe((changes) => {
      for (const change of changes) this.#take(change);
      if (changes.some(({ kind }) => kind !== "report" && kind !== "reason")) this.#wake.abort();
    });
    this.#rebuild();
    this.#running = this.#run();
  }

  /** Resolves when a write that is on its way has been answered. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    try {
      // A new leader's view may be older than what the last one wrote.
      await this.#recover(null);
      while (!signal.aborted) {
        this.#wake = new AbortController();
        await this.#fill();
        if (signal.aborted) break;
        this.#deaths.update(this.#cluster.missing());
        this.#fences.update(this.#cluster.unfenced());
        if (this.#cluster.isClean) await this.#idle();
        else await this.#round();
      }
    } finally {
      this.#unsubscribe?.();
      this.#deaths.stop();
      this.#fences.stop();
    }
  }

  /** Registered machines that follow this one by id: so many that die together have not all the same witnesses. */
  #witnessesFor(id: MachineId): string[] {
    const others = [...this.#options.view.machines()].filter(
      (machine) => machine.id !== this.#options.selfId && machine.id !== id && machine.peerAddress !== "",
    );
    const after = others.findIndex((machine) => machine.id > id);
    const from = Math.max(after, 0);
    return [...others.slice(from), ...others.slice(0, from)]
      .slice(0, WITNESSES_MAX)
      .map(({ peerAddress }) => peerAddress);
  }

  async #idle(): Promise<void> {
    const { clock, config } = this.#options;
    const { signal } = this.#wake;
    await pause(clock, config.reconcileIntervalMs, signal);
    if (!signal.aborted) await this.#safetyNet();
  }

  async #round(): Promise<void> {
    const { clock } = this.#options;
    await this.#fill();
    if (this.#stop.signal.aborted) return;
    const beginMs = clock.now();
    const decisions = plan(this.#cluster);
    await this.#attempt(decisions, () => this.#write(decisions));
    this.#metrics.round((clock.now() - beginMs) / 1000);
    // More is marked than one plan may hold: let the process breathe.
    if (!this.#cluster.isClean) await pause(clock, 0, this.#stop.signal);
  }

  async #safetyNet(): Promise<void> {
    const { view, session } = this.#options;
    this.#sweep ??= this.#cluster.units()[Symbol.iterator]();
    for (let count = 0; count < SWEEP_UNITS; count += 1) {
      const next = this.#sweep.next();
      if (next.done === true) {
        this.#sweep = null;
        break;
      }
      this.#reload(next.value.name);
    }
    const orphans = [...view.orphanFiles()];
    if (orphans.length > 0) await this.#attempt(null, () => session.collect(orphans));
    // Also without a mark: reasons that were put off are due now.
    await this.#round();
  }

  async #write(decisions: Plan): Promise<void> {
    const { view, session, log } = this.#options;
    const { placements, globals } = decisions;
    if (placements.length + globals.length > 0) {
      const { refused, revision } = await session.place(placements, globals);
      const stale = new Set(refused);
      this.#metrics.decided(decisions, stale);
      for (const placement of placements) if (!stale.has(placement.job.name)) this.#log.placed(placement);
      for (const placement of globals) if (!stale.has(placement.name)) this.#log.ordered(placement);
      await this.#catchUp(revision);
      const again = this.#worthAnotherTry(decisions, stale);
      if (again.size > 0) {
        log.info(`Planned anew what had changed meanwhile`, { units: [...again].join(" ") });
        this.#reloadPlan(decisions, again);
      }
    }
    const reasons = new Map([...decisions.reasons].filter(([name, list]) => !isSameReasons(view.reasons(name), list)));
    for (const refusals of reasons.values()) if (refusals.length > 0) this.#metrics.failed("schedule");
    if (reasons.size > 0) await session.explain(reasons);
    for (const [name, refusals] of reasons) if (refusals.length > 0) this.#log.refused(name, refusals);
  }

  /** Without those that are refused for ever: one broken record must not keep the engine busy, nor its log. */
  #worthAnotherTry({ placements, globals }: Plan, stale: ReadonlySet<string>): ReadonlySet<string> {
    for (const name of [...placements.map(({ job }) => job.name), ...globals.map((global) => global.name)]) {
      if (!stale.has(name)) this.#stale.delete(name);
    }
    const again = new Set<string>();
    for (const name of stale) {
      const tries = (this.#stale.get(name) ?? 0) + 1;
      this.#stale.set(name, tries);
      if (tries < STALE_TRIES_MAX) again.add(name);
      else if (tries === STALE_TRIES_MAX) {
        this.#options.log.warning(
          `Gave up on "${name}" until it changes: the store refuses what is decided for it. Can all of its records be read?`,
          { unit: name },
        );
      }
    }
    return again;
  }

  /** Runs a write and settles what its failure leaves behind. */
  async #attempt(decisions: Plan | null, write: () => Promise<void>): Promise<void> {
    const { log, clock, onDeposed } = this.#options;
    try {
      await write();
      this.#retryMs = RETRY_MIN_MS;
    } catch (error) {
      if (error instanceof RegistryError && error.code === "not-leader") {
        log.debug("Stopped the engine: another one leads", { reason: error.message });
        this.#stop.abort();
        onDeposed?.();
        return;
      }
      if (!(error instanceof KvError)) throw error;
      this.#metrics.failed("run");
      log.warning("Could not write the engine's decisions: looking again", {
        code: error.code,
        reason: reasonOf(error),
      });
      await pause(clock, this.#retryMs, this.#stop.signal);
      this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
      await this.#recover(decisions);
    }
  }

  /** What was written, and what may have been, is in the view after a sync; until then nothing is planned. */
  async #recover(decisions: Plan | null): Promise<void> {
    const { view, clock, log } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await view.sync({ signal });
        break;
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        log.debug("Waiting for the store", { code: error.code, reason: reasonOf(error) });
        await pause(clock, this.#retryMs, signal);
        this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
      }
    }
    if (decisions !== null) this.#reloadPlan(decisions, null);
  }

  #catchUp(revision: Revision): Promise<void> {
    return this.#options.view.reached(revision, { signal: this.#stop.signal });
  }

  #take(change: ViewChange): void {
    switch (change.kind) {
      case "job":
        this.#stale.delete(change.name);
        return this.#reload(change.name);
      case "schedule":
        return this.#reloadSchedule(change.machineId, change.name);
      case "machine":
      case "metadata":
        return this.#setMachine(change.id);
      case "reset":
        return this.#rebuild();
      case "left":
      case "report":
      case "reason":
        return;
    }
  }

  #setMachine(id: MachineId): void {
    const machine = this.#options.view.machine(id) ?? null;
    const wasThere = (this.#cluster.host(id)?.machine ?? null) !== null;
    if (machine !== null && !wasThere) this.#log.found(machine);
    else if (machine === null && wasThere) this.#log.away(id);
    this.#cluster.setMachine(id, machine);
  }

  #rebuild(): void {
    const { view } = this.#options;
    this.#cluster = new Cluster();
    this.#sweep = null;
    for (const machine of view.machines()) this.#cluster.setMachine(machine.id, machine);
    for (const id of view.scheduledMachines()) {
      for (const { name } of view.scheduled(id)) this.#reloadSchedule(id, name);
    }
    this.#unread = Array.from(view.jobs(), ({ name }) => name).reverse();
  }

  /** Reads the units that the model lacks, each as it is by then. */
  async #fill(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stop;
    while (this.#unread.length > 0 && !signal.aborted) {
      const endMs = clock.now() + FILL_SLICE_MS;
      do this.#reload(this.#unread.pop() ?? "");
      while (this.#unread.length > 0 && clock.now() < endMs);
      if (this.#unread.length > 0) await pause(clock, 0, signal);
    }
  }

  #reload(name: string): void {
    const { view } = this.#options;
    const job = view.job(name) ?? null;
    const known = this.#cluster.unit(name);
    const isRead = known !== undefined && known.job.hash === job?.hash && known.needs.problem === null;
    const needs = isRead ? known.needs : readNeeds(name, job === null ? [] : view.options(job.hash));
    this.#cluster.setJob(name, job, needs);
  }

  #reloadSchedule(machineId: MachineId, name: string): void {
    this.#cluster.setSchedule(machineId, name, this.#options.view.scheduledOn(machineId, name) ?? null);
  }

  /** Takes the plan's units from the view again; `only`: these of them. */
  #reloadPlan(decisions: Plan, only: ReadonlySet<string> | null): void {
    for (const { machineId, name } of decisions.globals) {
      if (only === null || only.has(name)) this.#reloadSchedule(machineId, name);
    }
    const names = [...decisions.placements.map(({ job }) => job.name), ...decisions.globals.map(({ name }) => name)];
    for (const name of names) if (only === null || only.has(name)) this.#reload(name);
  }
}
