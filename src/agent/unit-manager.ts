/**
 * UnitManager: what the agent asks of the host's systemd, shaped by the agent.
 *
 * Idea. The agent holds units: a file in the units directory, linked into systemd. Orders are systemd's jobs: an order is
 * accepted first (`start` resolves) and ends later (`Order.done`), because a unit may take minutes to start and must
 * still be stoppable meanwhile. State changes are told, never polled.
 *
 * Invariants.
 * - A unit that the host's own systemd already owns is never touched (`name-taken`).
 * - That a unit was launched survives a restart of the daemon: a oneshot that has ended looks like one that never ran.
 * - Every call ends: by an answer, by its deadline (`timeout`) or by the loss of the connection (`disconnected`).
 *
 * Not here. D-Bus (systemd/), what ought to be done (plan.ts).
 *
 * @module
 */
import type { SystemdState } from "../model/states.ts";

/** A unit's state with systemd's Result property when it failed ("exit-code", "timeout", …). */
export interface UnitCondition extends SystemdState {
  readonly result?: string;
}

/** What systemd says of a unit that it has not in memory and that has run nothing. */
export const DORMANT: UnitCondition = { load: "loaded", active: "inactive", sub: "dead" };
/** What systemd says of a unit without a file. */
export const ABSENT: UnitCondition = { load: "not-found", active: "inactive", sub: "dead" };

export function sameCondition(a: UnitCondition, b: UnitCondition): boolean {
  return a.load === b.load && a.active === b.active && a.sub === b.sub && a.result === b.result;
}

/** A unit file in the units directory, or what is left when somebody has deleted one: systemd's link, the mark of its start. */
export interface HeldUnit {
  readonly name: string;
  /** SHA-1 (hex) of the file's bytes, which is the unit's hash when the file is whole; null: the file is gone. */
  readonly hash: string | null;
  /** systemd accepted our order to start it, and no order to stop it came after; null: an order has had no answer. */
  readonly launched: boolean | null;
  /** It was loaded as a fenced one. */
  readonly fenced: boolean;
}

export interface UnitFile {
  readonly name: string;
  readonly text: string;
  /** The file has an [Install] section: enable it, at runtime only. */
  readonly install: boolean;
  /** Fence=strict: it is among those that the fence stops. */
  readonly fenced: boolean;
}

/** `fired`: since it was armed last, or by an earlier process, the fence has stopped what it guards. Told once. */
export type FenceState = "kept" | "fired";

/**
 * Whether systemd must read its unit files again after a load, or an unload.
 * `before-start`: it has an older file of this name in memory. `later`: an [Install] section took, or had, effect in units
 * that are in memory; nothing that this unit's own start depends on. `none`: it reads the new file when it is first asked for.
 */
export type ReloadNeed = "none" | "later" | "before-start";

/** systemd's words for how a job ended (org.freedesktop.systemd1.Manager.JobRemoved); others may come with new versions. */
export type JobResult = "done" | "failed" | "timeout" | "canceled" | "dependency" | "skipped" | (string & {});

/** A job that systemd accepted. */
export interface Order {
  /** How it ended. Rejects with UnitManagerError `disconnected` when that cannot be known any more. */
  readonly done: Promise<JobResult>;
}

export interface UnitManagerListener {
  /** A held unit's state as it is now. */
  changed(name: string, condition: UnitCondition): void;
  /** A held unit's file, or systemd's link to it, was taken away by somebody else. What runs of it runs on. */
  lost(name: string): void;
  /** Nothing is in the way any more of a name that load() refused as taken. */
  freed(name: string): void;
  /** `lost`: nothing is known from here on. `regained`: read held() and states() again. */
  connection(event: "lost" | "regained"): void;
}

export interface UnitManager {
  /** Every unit in the units directory, by name. */
  held(): Promise<readonly HeldUnit[]>;
  /** What systemd says of these units now. */
  states(names: readonly string[]): Promise<ReadonlyMap<string, UnitCondition>>;
  /** Writes the file, links it, and enables it when it has an [Install] section. An older file is replaced. */
  load(file: UnitFile): Promise<ReloadNeed>;
  /** Puts back what was lost of a held unit: file, link, mark. Touches nothing that runs. */
  restore(file: UnitFile, launched: boolean): Promise<ReloadNeed>;
  /** systemctl daemon-reload. */
  reload(): Promise<void>;
  start(name: string): Promise<Order>;
  stop(name: string): Promise<Order>;
  /** Stops the unit, waits for that, disables it, forgets its failure, and deletes the file. Not held: nothing to do. */
  unload(name: string): Promise<ReloadNeed>;
  /**
   * Arms the fence anew: once this time is over, systemd stops every fenced unit that is held and takes its launched mark away,
   * whether this process lives or not. A fence that is at work is called off first: the lease lives.
   */
  armFence(afterMs: number): Promise<FenceState>;
  /** Returns the unsubscribe. */
  subscribe(listener: UnitManagerListener): () => void;
}

export type UnitManagerErrorCode =
  /** The host's own systemd has a unit of this name, or has it masked. */
  | "name-taken"
  /** systemd refused: its words are in the message. */
  | "rejected"
  /** The host is short of space, memory or the like: it may go later. */
  | "shortage"
  /** The connection to systemd is down. */
  | "disconnected"
  /** systemd did not answer in time; the order may have been carried out. */
  | "timeout"
  /** The units directory could not be written or read. */
  | "directory";

export class UnitManagerError extends Error {
  readonly code: UnitManagerErrorCode;
  constructor(code: UnitManagerErrorCode, message: string) {
    super(message);
    this.name = "UnitManagerError";
    this.code = code;
  }
}
