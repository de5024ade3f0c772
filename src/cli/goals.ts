/**
 * When is a unit where a command wanted it? Pure: a picture in, an outcome out.
 *
 *   launched   its machine's agent has carried the start out and systemd does not call it failed
 *   loaded     its machine's agent holds it, not started
 *   stopped    it runs nowhere: held but not started, or on no machine at all
 *   gone       no machine reports it any more
 *
 * Invariants.
 * - Nothing is concluded from before the change: the desired state and the file must be the wanted ones first; a report
 *   about another file, or with a job that systemd has not ended, counts for nothing; nor does the problem of an older order.
 *   Where an agent of an older release does not tell the order, a problem that was known before is believed only when it is
 *   still there after BELIEVE_AFTER_MS.
 * - A unit that a whole picture lacks is gone if that is of the change's revision or a later one, and on its way otherwise.
 * - Once the wish was seen to hold, its disappearance is somebody else's doing and ends the wait.
 *
 * @module
 */
import type { StateEvent, UnitEvent } from "../model/events.ts";
import type { JobState } from "../model/states.ts";
import { machineLegend } from "./legend.ts";
import type { UnitPicture } from "./picture.ts";

export type Target = "launched" | "loaded" | "stopped" | "gone";

export type Outcome =
  | { readonly kind: "waiting" }
  /** `line` is the success line. */
  | { readonly kind: "done"; readonly line: string }
  | { readonly kind: "failed"; readonly message: string };

const WAITING: Outcome = { kind: "waiting" };

/** Of an older release: an agent clears an old problem with its next order, which takes it milliseconds, or seconds on a host that is starved. */
const BELIEVE_AFTER_MS = 10_000;

const DESIRED: Readonly<Record<Target, JobState>> = {
  launched: "launched",
  loaded: "loaded",
  stopped: "loaded",
  gone: "inactive",
};

/** systemd's words for a unit that does its work or is done with it. */
const RUNNING = new Set(["active", "reloading", "refreshing"]);

export class Goal {
  readonly name: string;
  readonly target: Target;
  readonly #hash: string | null;
  readonly #mentionsBefore: number;
  /** The cluster had it, and the change did not bring it a file: it cannot be missing because the change is still on its way. */
  readonly #wasThere: boolean;
  readonly #oldProblems: ReadonlySet<string>;
  readonly #believeAtMs: number;
  /** The store's revision at which the change was there; null: not yet known, or told by no daemon of this release. */
  #writtenAt: number | null = null;
  #held = false;

  /**
   * @param before The picture before the command changed anything.
   * @param hash The file that the command put there; null: whichever the cluster has.
   * @param nowMs The clock's.
   */
  constructor(before: UnitPicture, target: Target, hash: string | null, nowMs: number) {
    this.name = before.name;
    this.target = target;
    this.#hash = hash;
    this.#mentionsBefore = before.mentions;
    this.#wasThere = before.unit !== null && hash === null;
    const wasWanted = before.unit?.desiredState === DESIRED[target] && (hash === null || before.unit.hash === hash);
    const troubled = [...before.states.values()].filter((state) => state.report.problem !== undefined);
    this.#oldProblems = new Set(wasWanted ? [] : troubled.map(problemKey));
    this.#believeAtMs = nowMs + BELIEVE_AFTER_MS;
  }

  /** When an outcome may change although nothing happens; null: never. */
  recheckAtMs(nowMs: number): number | null {
    return this.#oldProblems.size > 0 && nowMs < this.#believeAtMs ? this.#believeAtMs : null;
  }

  get desiredState(): JobState {
    return DESIRED[this.target];
  }

  /** The cluster has answered that the change is done. */
  written(revision: number | undefined): void {
    this.#writtenAt = revision ?? null;
  }

  evaluate(picture: UnitPicture, nowMs: number): Outcome {
    const { unit } = picture;
    if (unit === null) {
      if (picture.wholeAt === null) return WAITING;
      const isAfterChange = this.#writtenAt !== null && picture.wholeAt >= this.#writtenAt;
      const isGone = this.#held || this.#wasThere || isAfterChange || picture.mentions > this.#mentionsBefore;
      return isGone ? failed(`Unit ${this.name} was destroyed meanwhile`) : WAITING;
    }
    const wishHolds = unit.desiredState === this.desiredState && (this.#hash === null || unit.hash === this.#hash);
    if (!wishHolds) return this.#held ? failed(overtaken(this.name, unit, this.#hash)) : WAITING;
    this.#held = true;
    if (this.target === "gone") return picture.states.size === 0 ? done(`Unit ${this.name} inactive`) : WAITING;
    if (unit.global) return this.#onEachMachine(unit, picture, nowMs);
    return this.#onMachine(unit, picture, nowMs);
  }

  /** Only a stop of a global unit is ever waited for (restart): every machine that holds it must have stopped it. */
  #onEachMachine(unit: UnitEvent, picture: UnitPicture, nowMs: number): Outcome {
    const states = [...picture.states.values()];
    const stuck = states.find((state) => {
      const { jobState, pending, problem } = state.report;
      return (
        jobState === "launched" && pending === undefined && problem !== undefined && !this.#isOld(unit, state, nowMs)
      );
    });
    if (stuck !== undefined) return failed(`Unit ${this.name} failed on ${where(stuck)}: ${stuck.report.problem}`);
    const reports = states.map((state) => state.report);
    const isDone = reports.every((report) => {
      return report.jobState === "loaded" && report.pending === undefined && report.hash === unit.hash;
    });
    return isDone ? done(`Unit ${this.name} stopped on ${reports.length} machines`) : WAITING;
  }

  #onMachine(unit: UnitEvent, picture: UnitPicture, nowMs: number): Outcome {
    if (unit.machine === undefined) {
      const runsNowhere = this.target === "stopped" && picture.states.size === 0;
      return runsNowhere ? done(`Unit ${this.name} inactive`) : WAITING;
    }
    const state = picture.states.get(unit.machine.id);
    if (state === undefined || state.report.hash !== unit.hash) return WAITING;
    if (state.report.pending !== undefined) return WAITING;
    if (state.report.problem !== undefined) {
      const isOld = this.#isOld(unit, state, nowMs);
      return isOld ? WAITING : failed(`Unit ${this.name} failed on ${where(state)}: ${state.report.problem}`);
    }
    return this.target === "launched" ? launched(state) : loaded(state);
  }

  /** Whether the problem may be one of before the change. */
  #isOld(unit: UnitEvent, state: StateEvent, nowMs: number): boolean {
    const { orderRevision } = state.report;
    if (orderRevision !== undefined && unit.revision !== undefined) return orderRevision < unit.revision;
    return this.#oldProblems.has(problemKey(state)) && nowMs < this.#believeAtMs;
  }
}

function launched(state: StateEvent): Outcome {
  const { report } = state;
  if (report.jobState !== "launched") return WAITING;
  if (report.active === "failed") return failed(failedOn(state));
  // The start job is done. A unit that is inactive by now has done its work (a oneshot), one that is on its way up again
  // is systemd's to restart.
  const isSettled = RUNNING.has(report.active) || report.active === "inactive" || report.sub === "auto-restart";
  return isSettled ? done(`Unit ${report.name} launched on ${where(state)}`) : WAITING;
}

/** The words for a unit that systemd calls failed. */
export function failedOn(state: StateEvent): string {
  const { name, active, sub, result } = state.report;
  const why = result === undefined ? "" : ` (Result: ${result})`;
  return `Unit ${name} failed on ${where(state)}: systemd says ${active}/${sub}${why}. Look at \`flt journal ${name}\``;
}

function loaded(state: StateEvent): Outcome {
  const { report } = state;
  // Its active state says nothing here: a socket or a timer may have started it on its own account.
  if (report.jobState !== "loaded") return WAITING;
  return done(`Unit ${report.name} loaded on ${where(state)}`);
}

function problemKey(state: StateEvent): string {
  return `${state.machine.id} ${state.report.problem ?? ""}`;
}

function where(state: StateEvent): string {
  return machineLegend(state.machine.id, state.machine.primaryIP);
}

function overtaken(name: string, unit: UnitEvent, hash: string | null): string {
  const what =
    hash !== null && unit.hash !== hash
      ? "its file was replaced"
      : `its desired state was changed to ${unit.desiredState}`;
  return `Gave up on unit ${name}: ${what} by someone else meanwhile`;
}

function done(line: string): Outcome {
  return { kind: "done", line };
}
function failed(message: string): Outcome {
  return { kind: "failed", message };
}
