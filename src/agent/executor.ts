/**
 * Executor: carries out one task of one unit.
 *
 * Idea. A task ends when systemd has accepted it (start, stop) or has done it (load, unload). How an accepted job ends
 * is followed on the side and written into the record, unless a newer order has come since.
 *
 * Invariants.
 * - A record changes only as far as the unit did: a task that fails half way leaves what is to be planned again.
 * - Every job is counted by the JobLimit from its order to its end.
 *
 * Not here. What is to be done, and in which order (plan.ts, runner.ts).
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import type { Decision } from "../model/decisions.ts";
import type { FenceKeeper, FencePass } from "./fence.ts";
import type { JobLimit } from "./job-limit.ts";
import type { Latch } from "./latch.ts";
import type { Task } from "./plan.ts";
import type { Reloader } from "./reloader.ts";
import {
  ABSENT,
  DORMANT,
  type Order,
  type ReloadNeed,
  type UnitFile,
  type UnitManager,
  UnitManagerError,
} from "./unit-manager.ts";
import { jobProblem, type UnitRecord } from "./unit-record.ts";
import type { UnitText } from "./unit-texts.ts";

export interface ExecutorOptions {
  readonly units: UnitManager;
  readonly text: (hash: string, signal: AbortSignal) => Promise<UnitText>;
  readonly clock: Clock;
  readonly log: Log;
  readonly jobs: JobLimit;
  readonly reloader: Reloader;
  readonly fence: Pick<FenceKeeper, "guard">;
  /** The record has changed outside a task: a job has ended. */
  readonly onChange: (name: string) => void;
}

export interface TaskContext {
  /** Ends when the daemon does. */
  readonly signal: AbortSignal;
  /** Opens when all loads of this pass have been tried. */
  readonly loads: Latch;
  /** The unit is started right after its load: its loaded state need not be asked for. */
  readonly startFollows: boolean;
}

/** The task was dropped before it was begun: something else is wanted now, or the daemon ends. */
export class TaskDropped extends Error {
  readonly code = "dropped";
}

/** A start that has not changed the unit's state by then is reported as it is; most end sooner, and are reported once. */
const START_REPORT_MS = 50;
/** LoadState values with which a unit can be started (systemd.unit(5)). */
const USABLE_LOAD_STATES = new Set(["loaded", "merged", "stub"]);

export class Executor {
  readonly #options: ExecutorOptions;
  #reloadWanted = false;

  constructor(options: ExecutorOptions) {
    this.#options = options;
  }

  async run(record: UnitRecord, task: Task, context: TaskContext): Promise<void> {
    switch (task.kind) {
      case "unload":
        return await this.#unload(record);
      case "load":
        return await this.#load(record, task, context);
      case "restore":
        return await this.#restore(record, task, context);
      case "stop":
        return await this.#stop(record);
      case "start":
        return await this.#start(record, context);
    }
  }

  /** Does the reload that could wait. */
  quiet(): void {
    if (!this.#reloadWanted) return;
    this.#reloadWanted = false;
    this.#options.reloader.reload().catch((error: unknown) => {
      this.#options.log.warning("Cannot reload systemd: its view of [Install] sections is old", {
        reason: reasonOf(error),
      });
    });
  }

  async #load(record: UnitRecord, task: Task, context: TaskContext): Promise<void> {
    const { losses } = record;
    const file = await this.#bring(task, context, (unit) => this.#options.units.load(unit));
    record.hash = task.hash;
    record.launched = false;
    record.lost = record.losses !== losses;
    record.fenced = file.fenced;
    record.condition = DORMANT;
    record.problem = undefined;
    if (!context.startFollows) await this.#look(record);
  }

  async #restore(record: UnitRecord, task: Task, context: TaskContext): Promise<void> {
    const { name, losses } = record;
    const isLaunched = record.launched !== false;
    const file = await this.#bring(task, context, (unit) => this.#options.units.restore(unit, isLaunched));
    record.hash = task.hash;
    record.fenced = file.fenced;
    record.problem = undefined;
    await this.#look(record);
    if (record.condition.load === "not-found") {
      throw new UnitManagerError(
        "directory",
        `Cannot restore the file of "${name}": systemd does not find it. Was it deleted again, or does \`systemctl cat ${name}\` show a link?`,
      );
    }
    record.lost = record.losses !== losses;
  }

  /** Fetches the unit's file and hands it over. Until systemd has reloaded it would start the old one. */
  async #bring(
    { name, hash }: Task,
    context: TaskContext,
    give: (file: UnitFile) => Promise<ReloadNeed>,
  ): Promise<UnitText> {
    let file: UnitText;
    let need: ReloadNeed;
    try {
      file = await this.#options.text(hash, context.signal);
      need = await give({ name, ...file });
    } finally {
      context.loads.pass();
    }
    if (need === "before-start") {
      await context.loads.opened;
      await this.#options.reloader.reload();
    } else if (need === "later") this.#reloadWanted = true;
    return file;
  }

  async #unload(record: UnitRecord): Promise<void> {
    const leave = await this.#enter(record);
    const order = ++record.order;
    record.pending = "stop";
    this.#options.onChange(record.name);
    try {
      const need = await this.#options.units.unload(record.name);
      if (need !== "none") this.#reloadWanted = true;
      record.launched = false;
      record.lost = false;
      record.hash = null;
      record.condition = ABSENT;
      record.problem = undefined;
    } finally {
      if (record.order === order) record.pending = null;
      leave();
    }
  }

  async #start(record: UnitRecord, context: TaskContext): Promise<void> {
    await context.loads.opened;
    for (;;) {
      const pass = record.fenced ? await this.#clear(record, context.signal) : null;
      const leave = await this.#enter(record);
      // It may have waited long for its turn.
      if (pass !== null && !pass.holds()) {
        leave();
        continue;
      }
      await this.#order(record, "start", leave);
      if (pass === null || pass.lasted()) return;
      await this.#takeBack(record);
    }
  }

  /** systemd took so long to take the order that the fence may have fired before. */
  async #takeBack(record: UnitRecord): Promise<void> {
    const { log, jobs } = this.#options;
    log.warning(`Stopping "${record.name}" with Fence=strict: this machine's lease was over before its start began`, {
      decision: "fenced" satisfies Decision,
      unit: record.name,
    });
    // Nothing drops this one.
    const leave = (await jobs.enter(new AbortController().signal, true)) ?? (() => {});
    await this.#order(record, "stop", leave);
  }

  /** Waits until a fenced unit may run here; record.drop() ends the wait. */
  async #clear(record: UnitRecord, signal: AbortSignal): Promise<FencePass> {
    const drop = new AbortController();
    const abort = () => drop.abort();
    record.drop = abort;
    signal.addEventListener("abort", abort);
    // Something else is wanted by now: nobody would end this wait.
    if (record.again) drop.abort();
    try {
      const pass = await this.#options.fence.guard(record.name, drop.signal);
      if (pass !== null && !drop.signal.aborted) return pass;
    } catch (error) {
      if (!drop.signal.aborted) throw error;
    } finally {
      signal.removeEventListener("abort", abort);
      record.drop = null;
    }
    throw new TaskDropped(`Dropped an order for "${record.name}"`);
  }

  async #stop(record: UnitRecord): Promise<void> {
    await this.#order(record, "stop", await this.#enter(record));
  }

  async #order(record: UnitRecord, kind: "start" | "stop", leave: () => void): Promise<void> {
    const before = record.condition;
    record.ordering = true;
    try {
      const job = await this.#options.units[kind](record.name);
      record.launched = kind === "start";
      record.quiet = kind === "start" && record.condition === before;
      this.#follow(record, kind, job, leave);
    } catch (error) {
      leave();
      // The refusal may be about the unit's file, which systemd has read for this order.
      if (error instanceof UnitManagerError && error.code === "rejected") await this.#look(record);
      throw error;
    } finally {
      record.ordering = false;
    }
  }

  /** Waits for a place among the jobs; record.drop() ends the wait. */
  async #enter(record: UnitRecord): Promise<() => void> {
    const drop = new AbortController();
    record.drop = () => drop.abort();
    const leave = await this.#options.jobs.enter(drop.signal, record.pending !== null);
    record.drop = null;
    if (leave === null) throw new TaskDropped(`Dropped an order for "${record.name}"`);
    return leave;
  }

  #follow(record: UnitRecord, kind: "start" | "stop", job: Order, leave: () => void): void {
    const order = ++record.order;
    record.pending = kind;
    record.problem = undefined;
    const timer = this.#options.clock.after(START_REPORT_MS, () => {
      if (record.order === order && record.quiet) this.#speak(record);
    });
    const ended = async () => {
      try {
        const result = await job.done;
        if (record.order !== order) return;
        // Nothing was heard: it was in that state before.
        if (result === "done" && record.quiet) await this.#look(record);
        if (result !== "done" && !record.ordering) {
          await this.#look(record);
          if (record.order !== order) return;
          record.problem = jobProblem(kind, record.name, result, record.condition);
          this.#options.log.warning(record.problem, {
            decision: "failed" satisfies Decision,
            unit: record.name,
            result,
          });
        }
        // Only now: a report without a pending job speaks of its outcome.
        record.pending = null;
      } catch (error) {
        // The connection was lost: what became of the job shows when the unit is adopted again.
        if (!(error instanceof UnitManagerError)) throw error;
      } finally {
        leave();
        timer.cancel();
        if (record.order === order) this.#speak(record);
      }
    };
    void ended();
  }

  #speak(record: UnitRecord): void {
    record.quiet = false;
    this.#options.onChange(record.name);
  }

  /** Asks for the unit's state. */
  async #look(record: UnitRecord): Promise<void> {
    const before = record.condition;
    const condition = (await this.#options.units.states([record.name])).get(record.name);
    // What was told meanwhile is newer.
    if (condition === undefined || record.condition !== before) return;
    record.condition = condition;
    if (!USABLE_LOAD_STATES.has(condition.load)) {
      record.problem = `Cannot load "${record.name}": systemd reports "${condition.load}". Look at \`flt status ${record.name}\``;
    }
  }
}
