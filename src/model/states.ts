/**
 * The states a unit can be in, as users of fleet know them, and as an agent reports them.
 *
 * Not here. What moves a unit from one to the other (engine/, agent/).
 *
 * @module
 */

/** inactive: known, not placed. loaded: in the machine's systemd. launched: systemd was told to start it. */
export const JOB_STATES = ["inactive", "loaded", "launched"] as const;
export type JobState = (typeof JOB_STATES)[number];

export function isJobState(text: string): text is JobState {
  return (JOB_STATES as readonly string[]).includes(text);
}

/** What systemd says of a unit (org.freedesktop.systemd1.Unit: LoadState, ActiveState, SubState). */
export interface SystemdState {
  readonly load: string;
  readonly active: string;
  readonly sub: string;
}

/**
 * One unit on one machine, as its agent reports it under the machine's lease.
 */
export interface UnitReport extends SystemdState {
  readonly name: string;
  readonly machineId: string;
  /** SHA-1 of the unit file that this machine holds. */
  readonly hash: string;
  /** What the agent itself has done with the unit. */
  readonly jobState: JobState;
  /** The last order that the agent could not carry out, in one sentence; absent when all went well. */
  readonly problem?: string;
  /** Beside a problem: the agent's latest order that it takes into account, by the revision of its schedule key. A problem of an
   *  older order is no answer to a newer one. Absent from releases that did not know it. */
  readonly orderRevision?: number;
  /** systemd's Result property when the unit failed: "exit-code", "timeout", … */
  readonly result?: string;
  /** systemd's job for the agent's last order that has not ended yet: until it has, the other states are on their way. */
  readonly pending?: "start" | "stop";
}
