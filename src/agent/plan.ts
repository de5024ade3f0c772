/**
 * Plan: wanted x actual -> an ordered list of tasks, each with its reason.
 *
 * Idea. The agent compares what the registry wants here with what it holds, and nothing else. In particular it does not
 * look at systemd's active state: a launched unit that failed, ended (a oneshot) or was stopped by hand was started as
 * asked, and a loaded one that runs was activated by its socket or its timer. An order is given once per change of
 * what is wanted; what comes after that is the unit's own business (Restart=).
 *
 * A unit whose file or link somebody took away (`lost`) gets it back, and goes on as it was: nothing is stopped or started for that.
 *
 * Order of work in one pass: unload, load and restore, stop, start. Between load and stop the runner reloads systemd once if a load
 * asked for it. Loads come before starts, so that units which need each other find each other.
 *
 * Invariants.
 * - A unit whose file differs is unloaded (which stops it) before the new file is loaded; it is never edited in place.
 * - Same wanted, same actual: no task.
 *
 * Not here. Doing it (runner.ts).
 *
 * @module
 */
import type { Scheduled } from "../registry/types.ts";

/** What the agent holds of one unit. */
export interface Actual {
  /** null: no file here. */
  readonly hash: string | null;
  /** It was ordered to start, and not to stop since; null: whether systemd has heard the last order is not known. */
  readonly launched: boolean | null;
  /** It is held, but systemd's link to its file, or the file, is gone. */
  readonly lost?: boolean;
  /** The order that was refused for good; the same one is not given again. */
  readonly refused?: Scheduled | undefined;
}

export type TaskKind = "unload" | "load" | "restore" | "stop" | "start";

export interface Task {
  readonly kind: TaskKind;
  readonly name: string;
  /** The file that is to be there; "" for an unload. */
  readonly hash: string;
  readonly reason: string;
}

/** The hash of a file that nobody has seen: what is lost under it is taken for what is wanted, anything else for another file. */
export const UNKNOWN_HASH = "";

const ORDER: readonly TaskKind[] = ["unload", "load", "restore", "stop", "start"];
const NOTHING: Actual = { hash: null, launched: false };

/** Tasks for `names` only, in the order of work, and by the order of `names` within one kind. */
export function planTasks(
  names: Iterable<string>,
  wanted: ReadonlyMap<string, Scheduled>,
  actual: ReadonlyMap<string, Actual>,
): readonly Task[] {
  const tasks: Task[] = [];
  for (const name of names) tasks.push(...planUnit(name, wanted.get(name), actual.get(name) ?? NOTHING));
  return tasks.sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
}

/** Tasks for one unit, in the order they must be done. */
export function planUnit(name: string, wanted: Scheduled | undefined, actual: Actual): readonly Task[] {
  if (wanted === undefined || wanted.desiredState === "inactive") {
    return actual.hash === null ? [] : [{ kind: "unload", name, hash: "", reason: "not wanted on this machine" }];
  }
  if (actual.refused !== undefined && sameScheduled(actual.refused, wanted)) return [];
  const tasks: Task[] = [];
  const { hash } = wanted;
  let launched = actual.launched;
  const isLost = actual.lost === true;
  if (isLost && (actual.hash === hash || actual.hash === UNKNOWN_HASH)) {
    tasks.push({ kind: "restore", name, hash, reason: "its file or its link was taken away" });
  } else if (actual.hash !== hash) {
    if (actual.hash !== null) tasks.push({ kind: "unload", name, hash: "", reason: "its unit file was replaced" });
    tasks.push({ kind: "load", name, hash, reason: "wanted on this machine" });
    launched = false;
  }
  if (wanted.desiredState === "loaded" && launched !== false) {
    tasks.push({ kind: "stop", name, hash, reason: "desired state is loaded" });
  }
  if (wanted.desiredState === "launched" && launched !== true) {
    tasks.push({ kind: "start", name, hash, reason: "desired state is launched" });
  }
  return tasks;
}

export function sameScheduled(a: Scheduled | undefined, b: Scheduled | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.name === b.name && a.hash === b.hash && a.desiredState === b.desiredState;
}
