/**
 * The lines of flt's event stream (GET /flt/v1/events, application/x-ndjson), as both ends know them.
 *
 * Idea. The stream is level-triggered: each line says what something *is* now, not what happened to it. First comes
 * everything that was asked for, then `synced`, then whatever changes. A reader that was slow or away misses
 * intermediate states, never the present one.
 *
 * Invariants.
 * - Before the first `synced` a name that was asked for has exactly one `unit` or `unit-gone` line.
 * - After a `reset` the whole picture is sent again, up to the next `synced`: forget what was known.
 *
 * Not here. Who sends them (api/fleet/events.ts), who waits on them (cli/).
 *
 * @module
 */
import type { Metadata } from "./machine.ts";
import type { JobState, UnitReport } from "./states.ts";

export interface MachineRef {
  readonly id: string;
  /** "" when the machine is not registered now. */
  readonly primaryIP: string;
}

export interface UnitEvent {
  readonly type: "unit";
  readonly name: string;
  /** Of the unit file that the cluster holds. */
  readonly hash: string;
  readonly desiredState: JobState;
  readonly global: boolean;
  /** Of the unit's last change; a report's orderRevision is compared with it. Absent from releases that did not tell it. */
  readonly revision?: number;
  /** Where it is placed. Absent: nowhere, or global. */
  readonly machine?: MachineRef;
}

export interface StateEvent {
  readonly type: "state";
  readonly machine: MachineRef;
  readonly report: UnitReport;
}

export interface ReasonEvent {
  readonly type: "reasons";
  readonly name: string;
  /** Why the unit is nowhere, a sentence a machine; `machine` absent: it holds for all. Empty: nothing is in its way. */
  readonly reasons: readonly { readonly machine?: MachineRef; readonly reason: string }[];
}

export type FleetEvent =
  | UnitEvent
  | { readonly type: "unit-gone"; readonly name: string }
  | StateEvent
  | { readonly type: "state-gone"; readonly name: string; readonly machineID: string }
  | ReasonEvent
  | { readonly type: "machine"; readonly id: string; readonly primaryIP: string; readonly metadata: Metadata }
  | { readonly type: "machine-gone"; readonly id: string }
  /** The picture is whole: it knows of all that was committed up to this revision, and maybe of more. */
  | { readonly type: "synced"; readonly revision: number }
  | { readonly type: "reset" }
  /** Nothing happened for a while: both ends are alive. */
  | { readonly type: "keep-alive" };

/** A silent stream carries a keep-alive this often; a reader that hears nothing for three of them hangs up. */
export const EVENT_KEEP_ALIVE_MS = 5_000;
