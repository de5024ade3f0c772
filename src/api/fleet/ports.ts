/**
 * What the fleet API needs from its daemon.
 *
 * Idea. The API is a function over these ports: it owns no socket, no clock and no connection, so that a test calls it
 * like any other function.
 *
 * @module
 */
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Metrics } from "../../lib/metrics.ts";
import type { JournalLines } from "../../model/journal.ts";
import type { MachineId } from "../../model/machine.ts";
import type { UsageRequest } from "../../model/usage.ts";
import type { ClusterView, MachineWriter, UnitWriter } from "../../registry/types.ts";

export interface JournalRequest {
  readonly lines: JournalLines;
  /** Nothing older than this; checked to look like a time, and read by the machine's journalctl. */
  readonly since?: string;
  readonly follow: boolean;
  /** One of journalctl's output modes, checked to be a single word. */
  readonly output: string;
}

/**
 * Asks the agent of one machine (this one included) about a unit. Streams of text; errors carry a `code`: CallError's,
 * or whatever the other side refused with. Leaving the loop or aborting the signal ends the work over there.
 */
export interface MachineCalls {
  unitStatus(machineId: MachineId, unit: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
  unitJournal(
    machineId: MachineId,
    unit: string,
    request: JournalRequest,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>;
}

/** What list-dependencies of systemctl can be asked. */
export interface DependenciesRequest {
  readonly direction: "requires" | "reverse" | "before" | "after";
  readonly all: boolean;
  readonly plain: boolean;
}

/** The same way to ask, for what flt has beyond fleet. */
export interface MachineInspection {
  unitProperties(
    machineId: MachineId,
    unit: string,
    properties: readonly string[],
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>;
  unitDependencies(
    machineId: MachineId,
    unit: string,
    request: DependenciesRequest,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>;
  /** Lines of JSON, each a UsageSample. */
  usage(machineId: MachineId, request: UsageRequest, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface FleetApiPorts {
  readonly view: ClusterView;
  readonly units: UnitWriter;
  readonly machines: MachineWriter;
  readonly machineCalls: MachineCalls;
  /** Absent: what needs it is answered with 501. */
  readonly inspection?: MachineInspection;
  /** True, or why requests cannot be served yet. */
  readonly ready: () => true | string;
  /** Items a page of the lists (configuration: token_limit). */
  readonly tokenLimit: number;
  readonly version: string;
  /** The machine that answers. */
  readonly machineId: MachineId;
  /** The machine whose engine decides now; null: none does, or this one does not know. */
  readonly leader?: () => MachineId | null;
  /** What is wrong with the cluster's data though requests are served, a sentence each. */
  readonly alarms?: () => readonly string[];
  /** Where requests are counted. */
  readonly metrics?: Metrics;
  /** What GET /metrics answers; absent: 404. */
  readonly metricsText?: () => Promise<{ readonly text: string; readonly contentType: string }>;
  readonly log: Log;
  readonly clock: Clock;
  /** How long a read may wait for the cluster. Below the client's own timeout (3 s), so that the client hears why. */
  readonly readTimeoutMs?: number;
  /** The same for a write. */
  readonly writeTimeoutMs?: number;
}

export interface RequestContext {
  /** Aborted when the client goes away. */
  readonly signal?: AbortSignal;
}
