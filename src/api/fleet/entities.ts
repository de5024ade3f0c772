/**
 * From the view of the cluster to the API's entities.
 *
 * @module
 */
import { type UnitEntity, unitEntity } from "../../model/entities.ts";
import { parseRequirements } from "../../model/requirements.ts";
import type { JobState } from "../../model/states.ts";
import type { UnitOption } from "../../model/unit-file.ts";
import type { ClusterView, Job } from "../../registry/types.ts";

/** The view hands out one object for each unit file: what was read of it once holds as long as that object lives. */
const globalFiles = new WeakMap<readonly UnitOption[], boolean>();

/** `Global` has no specifiers that depend on the name, so one answer serves all units with this file. */
export function isGlobalUnit(view: ClusterView, job: Job): boolean {
  const options = view.options(job.hash);
  if (options === undefined) return false;
  let isGlobal = globalFiles.get(options);
  if (isGlobal === undefined) {
    isGlobal = parsesAsGlobal(job.name, options);
    globalFiles.set(options, isGlobal);
  }
  return isGlobal;
}

/** Files were checked when they were written; one that an older version let in is shown as what it is, not refused. */
function parsesAsGlobal(name: string, options: readonly UnitOption[]): boolean {
  try {
    return parseRequirements(name, options).global;
  } catch {
    return false;
  }
}

export function unitOf(view: ClusterView, job: Job): UnitEntity {
  const isGlobal = isGlobalUnit(view, job);
  return unitEntity({
    name: job.name,
    options: view.options(job.hash) ?? [],
    desiredState: job.desiredState,
    currentState: isGlobal ? undefined : currentState(view, job),
    machineId: isGlobal ? undefined : job.machine,
  });
}

function currentState(view: ClusterView, job: Job): JobState {
  if (job.machine === null) return "inactive";
  return view.report(job.machine, job.name)?.jobState ?? "inactive";
}
