/**
 * From the view of the cluster to the API's entities.
 *
 * @module
 */
import { type UnitEntity, unitEntity } from "../../model/entities.ts";
import { isGlobalFile } from "../../model/requirements.ts";
import type { JobState } from "../../model/states.ts";
import type { ClusterView, Job } from "../../registry/types.ts";

/** Whether a file is global follows from its content, which its hash names: read once, it holds for ever. */
const globalByHash = new Map<string, boolean>();
/** More files than a large cluster has; then the cache starts anew. */
const MAX_CACHED_FILES = 10_000;

export function isGlobalUnit(view: ClusterView, job: Job): boolean {
  const cached = globalByHash.get(job.hash);
  if (cached !== undefined) return cached;
  const options = view.options(job.hash);
  if (options === undefined) return false;
  const isGlobal = isGlobalFile(job.name, options);
  if (globalByHash.size >= MAX_CACHED_FILES) globalByHash.clear();
  globalByHash.set(job.hash, isGlobal);
  return isGlobal;
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
