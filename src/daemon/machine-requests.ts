/**
 * What one daemon asks another about its host, read with suspicion.
 *
 * Invariants.
 * - Everything that comes out of here is a unit's name, a number within limits, or one of a few words.
 *
 * @module
 */
import { isJournalTime, type JournalLines } from "../model/journal.ts";
import { isPropertyName, PROPERTIES_MAX } from "../model/property-name.ts";
import { parseUnitName } from "../model/unit-name.ts";
import { unitSelector } from "../model/unit-pattern.ts";
import { USAGE_INTERVAL_MAX_MS, USAGE_INTERVAL_MIN_MS, USAGE_UNITS_MAX, type UsageRequest } from "../model/usage.ts";

export interface UnitQuery {
  readonly unit: string;
}

/** The same shape that the API asks with (api/fleet/ports.ts, JournalRequest). */
export interface JournalQuery extends UnitQuery {
  readonly lines: JournalLines;
  readonly since?: string;
  readonly follow: boolean;
  readonly output: string;
}

export interface PropertiesQuery extends UnitQuery {
  readonly properties: readonly string[];
}

const DIRECTIONS = ["requires", "reverse", "before", "after"] as const;

export interface DependenciesQuery extends UnitQuery {
  readonly direction: (typeof DIRECTIONS)[number];
  readonly all: boolean;
  readonly plain: boolean;
}

const MOST_LINES = 1_000_000;

export class RemoteRequestError extends Error {
  readonly code = "bad-request";
}

export function unreadable(reason: string): RemoteRequestError {
  return new RemoteRequestError(`Reading a request failed: ${reason}`);
}

type Fields = Readonly<Record<string, unknown>>;

export function readUnit({ unit }: Fields): UnitQuery {
  if (typeof unit !== "string") throw unreadable("it names no unit");
  parseUnitName(unit);
  return { unit };
}

export function readJournal(fields: Fields): JournalQuery {
  const { lines = 0, since, follow = false, output = "short" } = fields;
  if (!isLines(lines)) throw unreadable(`${String(lines)} is no number of lines`);
  if (since !== undefined && (typeof since !== "string" || !isJournalTime(since))) {
    throw unreadable("its journal begins at no time");
  }
  if (typeof output !== "string" || !/^[a-z][a-z-]{0,31}$/.test(output)) {
    throw unreadable("its output mode is not a word");
  }
  return { ...readUnit(fields), lines, ...(since !== undefined && { since }), follow: follow === true, output };
}

function isLines(lines: unknown): lines is JournalLines {
  return lines === "all" || (typeof lines === "number" && Number.isInteger(lines) && lines >= 0 && lines <= MOST_LINES);
}

export function readProperties(fields: Fields): PropertiesQuery {
  const properties = strings(fields.properties ?? [], "properties", PROPERTIES_MAX);
  if (!properties.every(isPropertyName)) throw unreadable("a property's name is not a word");
  return { ...readUnit(fields), properties };
}

export function readDependencies(fields: Fields): DependenciesQuery {
  const direction = DIRECTIONS.find((candidate) => candidate === fields.direction);
  if (direction === undefined) throw unreadable("its direction is not known here");
  return { ...readUnit(fields), direction, all: fields.all === true, plain: fields.plain === true };
}

export function readUsage({ units = null, intervalMs = null }: Fields): UsageRequest {
  const names = units === null ? null : strings(units, "units", USAGE_UNITS_MAX);
  for (const name of names ?? []) unitSelector(name);
  if (intervalMs === null) return { units: names, intervalMs };
  const isFine =
    typeof intervalMs === "number" && intervalMs >= USAGE_INTERVAL_MIN_MS && intervalMs <= USAGE_INTERVAL_MAX_MS;
  if (!isFine) throw unreadable(`${String(intervalMs)} is no interval`);
  return { units: names, intervalMs };
}

function strings(value: unknown, what: string, most: number): readonly string[] {
  if (!Array.isArray(value) || value.length > most || !value.every((item) => typeof item === "string")) {
    throw unreadable(`its ${what} are no list of words`);
  }
  return value as readonly string[];
}
