/**
 * What units and machines use, as systemd's accounting has it: one line a machine and moment, as both ends know it.
 *
 * Idea. The figures are systemd's own (CPUUsageNSec, MemoryCurrent, TasksCurrent of systemd.resource-control(5)); those of a machine are of
 * its root slice. CPU time only ever grows, so that a rate is the difference of two samples over the time between them, which
 * each sample carries from its machine's own clock.
 *
 * Not here. Who reads them (agent/systemd/usage.ts), who brings them together (api/fleet/usage.ts).
 *
 * @module
 */
import * as v from "valibot";
import { EntityError } from "./entity-input.ts";
import type { MachineRef } from "./events.ts";

/** What is absent is not accounted for there. */
export interface Usage {
  readonly cpuNs?: number;
  readonly memoryBytes?: number;
  readonly tasks?: number;
}

export interface UnitUsage extends Usage {
  readonly name: string;
}

export interface UsageSample {
  /** On the machine's own clock, from whichever beginning. */
  readonly atMs: number;
  /** The machine as a whole. */
  readonly total: Usage;
  /** Units that run there, by name. */
  readonly units: readonly UnitUsage[];
}

export interface UsageRequest {
  /** Names and patterns; null: all that flt holds on the machine. */
  readonly units: readonly string[] | null;
  /** null: one sample. */
  readonly intervalMs: number | null;
}

/** A line of GET /flt/v1/usage: a sample, or why there is none now. */
export type UsageEvent =
  | ({ readonly machine: MachineRef } & UsageSample)
  | { readonly machine: MachineRef; readonly problem: string };

export const USAGE_INTERVAL_MIN_MS = 250;
export const USAGE_INTERVAL_MAX_MS = 60_000;
/** As many as a machine is likely to hold; all of them are a request without names. */
export const USAGE_UNITS_MAX = 1_000;

const figures = {
  cpuNs: v.exactOptional(v.number()),
  memoryBytes: v.exactOptional(v.number()),
  tasks: v.exactOptional(v.number()),
};
const sampleSchema = v.object({
  atMs: v.number(),
  total: v.object(figures),
  units: v.array(v.object({ name: v.string(), ...figures })),
});
const eventSchema = v.union([
  v.object({ machine: v.object({ id: v.string(), primaryIP: v.string() }), ...sampleSchema.entries }),
  v.object({ machine: v.object({ id: v.string(), primaryIP: v.string() }), problem: v.string() }),
]);

/** A line as a machine wrote it. Throws EntityError. */
export function parseUsageSample(text: string): UsageSample {
  return readLine(sampleSchema, text, "the usage that a machine told");
}

/** A line of the API's answer. Throws EntityError. */
export function parseUsageEvent(text: string): UsageEvent {
  return readLine(eventSchema, text, "the usage in the answer");
}

function readLine<S extends v.GenericSchema>(schema: S, text: string, what: string): v.InferOutput<S> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new EntityError(what, "a line is not JSON");
  }
  const result = v.safeParse(schema, json);
  if (result.success) return result.output;
  throw new EntityError(what, result.issues[0].message);
}
