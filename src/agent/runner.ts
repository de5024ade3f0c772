/**
 * Runner: does what the plan says, unit by unit.
 *
 * Idea. A pass plans the units that something happened to, and gives each its chain of tasks. Chains of different units
 * run side by side, tasks of one unit one after the other. An order counts as done for the plan once systemd accepted
 * its job, so a unit that takes minutes to start can be stopped at once: the new job replaces the old one.
 *
 * Invariants.
 * - Nothing is planned before both sides are known: what is wanted (read from the store) and what is held (from systemd).
 * - One chain a unit at a time; what changes meanwhile is planned when it ends.
 * - In one pass no unit is started before every new one was loaded (a hanging stop holds up its own unit only), and
 *   systemd reloads at most once for all of them.
 * - A failed task is tried again after a growing pause, except an order that systemd refused: that waits for a change.
 * - A task that was under way when systemd went away may have been done or not: its unit is adopted anew before anything else.
 *
 * Not here. The tasks themselves (executor.ts).
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import type { Decision } from "../model/decisions.ts";
import type { MachineId } from "../model/machine.ts";
import type { UnitReport } from "../model/states.ts";
import type { GivenOrder } from "../registry/types.ts";
import { type Executor, TaskDropped } from "./executor.ts";
import { Latch } from "./latch.ts";
import { type Actual, planTasks, sameScheduled, type Task, UNKNOWN_HASH } from "./plan.ts";
import { ABSENT, DORMANT, type HeldUnit, type UnitCondition, UnitManagerError } from "./unit-manager.ts";
import { actualOf, newRecord, reportOf, type UnitRecord } from "./unit-record.ts";

const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 30_000;
/** A systemd that is away comes back, as a rule: only after so long is it told as a problem of the unit's. */
const AWAY_MS = 7_000;

export interface RunnerOptions {
  readonly machineId: MachineId;
  readonly executor: Executor;
  readonly clock: Clock;
  readonly log: Log;
  /** This unit's report may have changed. */
  readonly onChange: (name: string) => void;
  /** What became of some order is not known: adopt() is to be called again. */
  readonly onUncertain: () => void;
}

export class Runner {
  readonly #options: RunnerOptions;
  readonly #records = new Map<string, UnitRecord>();
  readonly #stop = new AbortController();
  #chains = 0;
  #wanted: ReadonlyMap<string, GivenOrder> | null = null;
  #adopted = false;
  #onEmpty: (() => void) | null = null;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** Units whose tasks are being done. */
  get busy(): number {
    return this.#chains;
  }

  names(): Iterable<string> {
    return this.#records.keys();
  }

  /** The fenced ones among the units that are held. */
  fencedNames(): readonly string[] {
    return [...this.#records.values().filter(({ fenced, hash }) => fenced && hash !== null)].map(({ name }) => name);
  }

  report(name: string): UnitReport | undefined {
    const record = this.#records.get(name);
    return record && reportOf(record, this.#options.machineId, this.#wanted?.get(name));
  }

  /** Takes over what is there; called again whenever systemd was out of reach. */
  adopt(held: readonly HeldUnit[], conditions: ReadonlyMap<string, UnitCondition>): void {
    const files = new Map(held.map((unit) => [unit.name, unit]));
    const names = new Set([...files.keys(), ...this.#records.keys()]);
    for (const name of names) {
      const record = this.#record(name);
      record.pending = null;
      record.order++;
      // What waits for its turn has nothing under way: it is planned anew from what is there, and needs no further reading for that.
      if (record.busy && record.drop === null) record.uncertain = true;
      else {
        record.uncertain = false;
        record.retry?.cancel();
        record.retry = null;
        takeOver(record, files.get(name), conditions.get(name) ?? DORMANT);
        if (!this.#adopted) this.#reportAdopted(record);
        this.#options.onChange(name);
      }
    }
    this.#adopted = true;
    this.#pass(new Set([...names, ...(this.#wanted?.keys() ?? [])]));
  }

  #reportAdopted({ name, hash, launched, condition }: UnitRecord): void {
    const { load, active, sub } = condition;
    const what = launched === false ? "not started by flt" : "started by flt";
    this.#options.log.info(`Adopted "${name}": ${what}, ${load}, ${active} (${sub})`, {
      decision: "adopted" satisfies Decision,
      unit: name,
      hash: hash || undefined,
    });
  }

  /** What this machine is to hold, whole. */
  want(scheduled: readonly GivenOrder[]): void {
    const before = this.#wanted;
    const wanted = new Map(scheduled.map((unit) => [unit.name, unit]));
    this.#wanted = wanted;
    if (before === null) {
      this.#pass(new Set([...this.#records.keys(), ...wanted.keys()]));
      return;
    }
    const names = new Set([...before.keys(), ...wanted.keys()]);
    for (const name of names) {
      if (isSameOrder(before.get(name), wanted.get(name))) names.delete(name);
    }
    this.#pass(names);
  }

  /** systemd says that this unit has changed. */
  observe(name: string, condition: UnitCondition): void {
    const record = this.#records.get(name);
    if (record === undefined || record.hash === null) return;
    record.condition = condition;
    record.quiet = false;
    if (condition.active === "active") record.problem = undefined;
    // While a chain is in the middle of a load and a start, its end is what is worth reporting.
    if (!record.busy || record.pending === "stop") this.#options.onChange(name);
  }

  /** Somebody took the unit's file, or its link, away. */
  lose(name: string): void {
    const record = this.#records.get(name);
    if (record === undefined || record.hash === null) return;
    record.lost = true;
    record.losses++;
    // One that failed to be restored waits for its turn: its own tries make systemd tell this again.
    if (!record.busy && record.retry === null) this.#pass([name]);
  }

  /** A name that was refused is free now. */
  free(name: string): void {
    const record = this.#records.get(name);
    if (record?.refused === undefined) return;
    record.refused = undefined;
    this.#pass([name]);
  }

  /** Unloads everything; resolves when nothing is held any more. Give it a deadline. */
  empty(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty = resolve;
    this.want([]);
    this.#pass(new Set(this.#records.keys()));
    if (this.#records.size === 0) resolve();
    return promise;
  }

  /** Ends planning: no order is given any more. Jobs that systemd has accepted go on without us. */
  close(): void {
    this.#stop.abort();
    for (const record of this.#records.values()) {
      record.retry?.cancel();
      record.drop?.();
    }
  }

  #record(name: string): UnitRecord {
    let record = this.#records.get(name);
    if (record === undefined) {
      record = newRecord(name);
      this.#records.set(name, record);
    }
    return record;
  }

  #pass(names: Iterable<string>): void {
    if (this.#wanted === null || !this.#adopted || this.#stop.signal.aborted) return;
    const actual = new Map<string, Actual>();
    const idle: string[] = [];
    for (const name of names) {
      const record = this.#records.get(name);
      if (record?.busy) {
        record.again = true;
        record.drop?.();
        continue;
      }
      idle.push(name);
      if (record === undefined) continue;
      this.#accept(record, this.#wanted.get(name));
      actual.set(name, actualOf(record));
    }
    const chains = Map.groupBy(planTasks(idle, this.#wanted, actual), (task) => task.name);
    for (const name of idle) if (!chains.has(name)) this.#settle(name);
    let loads = 0;
    for (const tasks of chains.values()) if (tasks[0]?.kind === "load" || tasks[0]?.kind === "restore") loads++;
    const latch = new Latch(loads);
    for (const [name, tasks] of chains) {
      // A load that follows an unload is not waited for by others: the unload may take long.
      const own = tasks[0]?.kind === "unload" ? new Latch(tasks.length > 1 ? 1 : 0) : latch;
      this.#begin(name, tasks, own);
    }
  }

  #begin(name: string, tasks: readonly Task[], loads: Latch): void {
    const record = this.#record(name);
    record.planned = this.#wanted?.get(name);
    record.busy = true;
    record.again = false;
    record.refused = undefined;
    record.retry?.cancel();
    record.retry = null;
    this.#chains++;
    void this.#chain(record, tasks, loads).finally(() => {
      if (--this.#chains === 0 && !this.#stop.signal.aborted) this.#options.executor.quiet();
    });
  }

  async #chain(record: UnitRecord, tasks: readonly Task[], loads: Latch): Promise<void> {
    const { executor, log } = this.#options;
    const { signal } = this.#stop;
    const startFollows = tasks.at(-1)?.kind === "start";
    const steps = tasks.map(({ kind, reason }) => `${kind}, ${reason}`).join("; ");
    const kind: Decision = this.#onEmpty === null ? "ordered" : "handed-over";
    const message =
      kind === "ordered" ? `Unit "${record.name}": ${steps}` : `Handing over "${record.name}": this machine leaves`;
    log.info(message, { decision: kind, unit: record.name, hash: tasks.at(-1)?.hash || undefined });
    let task: Task | undefined;
    try {
      for (task of tasks) {
        if (signal.aborted) return;
        await executor.run(record, task, { signal, loads, startFollows });
      }
      record.failures = 0;
    } catch (error) {
      if (!(error instanceof TaskDropped)) this.#failed(record, task, error);
    } finally {
      record.busy = false;
      if (!record.quiet) this.#options.onChange(record.name);
      if (record.uncertain && record.retry === null) this.#resolve(record);
      else if (record.again || (record.lost && record.retry === null)) this.#pass([record.name]);
      else this.#settle(record.name);
    }
  }

  /**
   * From here on the unit answers to this order. Something else is wanted: what went wrong before is of no interest any more.
   * The same is wanted once more (changed to and fro while nobody looked): what was refused is tried again, anything else stands.
   */
  #accept(record: UnitRecord, order: GivenOrder | undefined): void {
    const before = record.planned;
    if (isSameOrder(before, order)) return;
    record.planned = order;
    if (sameScheduled(before, order) && record.refused === undefined) {
      if (record.problem !== undefined) this.#options.onChange(record.name);
      return;
    }
    record.failures = 0;
    record.refused = undefined;
    if (record.problem === undefined) return;
    record.problem = undefined;
    this.#options.onChange(record.name);
  }

  #failed(record: UnitRecord, task: Task | undefined, error: unknown): void {
    const { clock, log } = this.#options;
    const { name } = record;
    if (this.#stop.signal.aborted) return;
    const code = error instanceof UnitManagerError ? error.code : undefined;
    const problem = reasonOf(error);
    if ((code === "rejected" || code === "name-taken") && task?.kind !== "unload") {
      record.problem = problem;
      log.warning(problem, { decision: "refused" satisfies Decision, unit: name });
      record.refused = record.planned;
      return;
    }
    if (code === "disconnected") {
      this.#wait(record, problem);
      return;
    }
    const delayMs = Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** Math.min(record.failures++, 10));
    record.problem = problem;
    record.uncertain ||= code === "timeout";
    log.warning(problem, { decision: "failed" satisfies Decision, unit: name, retryAfterMs: delayMs });
    record.retry = clock.after(delayMs, () => {
      record.retry = null;
      if (record.uncertain) this.#resolve(record);
      else this.#pass([name]);
    });
  }

  /** systemd is away, which whoever is connected to it has logged. The adoption comes when it is back. */
  #wait(record: UnitRecord, problem: string): void {
    record.retry = this.#options.clock.after(AWAY_MS, () => {
      record.retry = null;
      record.problem = problem;
      record.away = problem;
      this.#options.onChange(record.name);
    });
    this.#options.onUncertain();
  }

  #resolve(record: UnitRecord): void {
    record.uncertain = false;
    if (!this.#stop.signal.aborted) this.#options.onUncertain();
  }

  /** Forgets a unit that is neither wanted nor held. */
  #settle(name: string): void {
    const record = this.#records.get(name);
    if (record === undefined || record.busy || record.hash !== null || this.#wanted?.has(name)) return;
    record.retry?.cancel();
    this.#records.delete(name);
    this.#options.onChange(name);
    if (this.#records.size === 0) this.#onEmpty?.();
  }
}

function takeOver(record: UnitRecord, file: HeldUnit | undefined, condition: UnitCondition): void {
  const isActive = condition.active !== "inactive" && condition.active !== "failed";
  const isGone = file !== undefined && (file.hash === null || condition.load === "not-found");
  record.condition = file === undefined ? ABSENT : condition;
  if (record.problem === record.away) record.problem = undefined;
  record.away = undefined;
  // What runs gets its file back and runs on; what does not is unloaded and loaded anew.
  record.lost = isGone && isActive;
  const known = file?.hash ?? record.hash ?? UNKNOWN_HASH;
  // A load of ours that came to no end may have left its file behind: systemd need not have read it.
  const isHalfLoaded = record.planned !== undefined && record.hash === null;
  if (file === undefined) record.hash = null;
  else record.hash = isHalfLoaded || (isGone && !isActive) ? UNKNOWN_HASH : known;
  // A start mark that went with the file is made up for: it runs.
  if (file === undefined) record.launched = false;
  else record.launched = file.launched === false ? record.lost : file.launched;
  record.fenced = file?.fenced ?? false;
}

function isSameOrder(a: GivenOrder | undefined, b: GivenOrder | undefined): boolean {
  return a?.revision === b?.revision && sameScheduled(a, b);
}
