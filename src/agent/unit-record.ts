/**
 * UnitRecord: what the agent knows of one unit, and the report made of it.
 *
 * @module
 */
import type { Timer } from "../lib/clock.ts";
import type { MachineId } from "../model/machine.ts";
import type { JobState, UnitReport } from "../model/states.ts";
import type { GivenOrder, Scheduled } from "../registry/types.ts";
import type { Actual } from "./plan.ts";
import { ABSENT, type JobResult, type UnitCondition } from "./unit-manager.ts";

export interface UnitRecord {
  readonly name: string;
  /** The file that is held; null: none. */
  hash: string | null;
  /** null: whether systemd has heard the last order is not known, and it will be given again. */
  launched: boolean | null;
  /** Its file or systemd's link to it is gone. */
  lost: boolean;
  /** How often that was told. */
  losses: number;
  /** systemd went away while something was done for it: what became of that must be asked for. */
  uncertain: boolean;
  /** What is held is stopped by systemd when this machine's lease is not renewed. */
  fenced: boolean;
  condition: UnitCondition;
  /** What was wanted when this unit was last planned; what goes wrong went wrong with that. */
  planned: GivenOrder | undefined;
  /** The last order that could not be carried out. */
  problem: string | undefined;
  /** That one again, when it is only that systemd is out of reach. */
  away: string | undefined;
  refused: Scheduled | undefined;
  /** Tasks for it are being done. */
  busy: boolean;
  /** Plan again once they are. */
  again: boolean;
  /** Drops the order that waits for its turn; null when none does. */
  drop: (() => void) | null;
  /** An order is on its way to systemd: it cancels the job before it. */
  ordering: boolean;
  /** Counts orders: how an older one ended is of no interest. */
  order: number;
  /** The job that systemd has not ended yet. */
  pending: "start" | "stop" | null;
  /** A start was just ordered: the next change of state is worth a report, the order alone is not. */
  quiet: boolean;
  failures: number;
  retry: Timer | null;
}

export function newRecord(name: string): UnitRecord {
  return {
    name,
    hash: null,
    launched: false,
    lost: false,
    losses: 0,
    uncertain: false,
    fenced: false,
    condition: ABSENT,
    planned: undefined,
    problem: undefined,
    away: undefined,
    refused: undefined,
    busy: false,
    again: false,
    drop: null,
    ordering: false,
    order: 0,
    pending: null,
    quiet: false,
    failures: 0,
    retry: null,
  };
}

export function actualOf(record: UnitRecord): Actual {
  return { hash: record.hash, launched: record.launched, lost: record.lost, refused: record.refused };
}

/** undefined: there is nothing to report. */
export function reportOf(
  record: UnitRecord,
  machineId: MachineId,
  wanted: Scheduled | undefined,
): UnitReport | undefined {
  const { name, condition } = record;
  const hash = record.hash ?? wanted?.hash;
  if (hash === undefined || (record.hash === null && record.problem === undefined)) return undefined;
  return {
    name,
    machineId,
    hash,
    jobState: jobStateOf(record),
    load: condition.load,
    active: condition.active,
    sub: condition.sub,
    ...(record.problem === undefined ? {} : { problem: record.problem }),
    ...(record.problem === undefined || record.planned === undefined ? {} : { orderRevision: record.planned.revision }),
    ...(condition.result === undefined ? {} : { result: condition.result }),
    ...(record.pending === null && record.launched !== null ? {} : { pending: record.pending ?? "stop" }),
  };
}

/** A unit is launched until systemd has stopped it: whoever waits for a stop waits for that. */
function jobStateOf(record: UnitRecord): JobState {
  if (record.hash === null) return "inactive";
  return record.launched !== false || record.pending === "stop" ? "launched" : "loaded";
}

/** What to tell an operator about a job that did not end with `done`. */
export function jobProblem(order: "start" | "stop", name: string, result: JobResult, condition: UnitCondition): string {
  const because = JOB_RESULTS[result] ?? `systemd ended the job with "${result}"`;
  const detail = condition.result === undefined || condition.result === result ? "" : ` (result: ${condition.result})`;
  return `Cannot ${order} "${name}": ${because}${detail}. Look at \`flt journal ${name}\``;
}

const JOB_RESULTS: Readonly<Record<string, string>> = {
  failed: "the unit failed",
  timeout: "systemd's job timed out",
  canceled: "the job was cancelled on the machine",
  dependency: "a unit that it requires failed",
  skipped: "a condition of the unit is not met",
  assert: "an assertion of the unit is not met",
  unsupported: "systemd does not support units of this type here",
  collected: "systemd dropped the job",
  once: "the unit runs only once, and has run",
};
