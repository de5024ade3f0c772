/**
 * The Inspector over this host's systemctl and journalctl, and over systemd's accounting.
 *
 * @module
 */
import {
  type SystemdScope,
  unitDependencies,
  unitJournal,
  unitProperties,
  unitStatus,
  usageSamples,
} from "../agent/systemd/index.ts";
import { systemClock } from "../platform/clock.ts";
import type { Inspector } from "./machine-calls.ts";

export function systemInspector(scope: SystemdScope, unitsDirectory: string): Inspector {
  return {
    status: ({ unit }, signal) => unitStatus(unit, signal, scope),
    journal: ({ unit, ...options }, signal) => unitJournal(unit, options, signal, scope),
    properties: ({ unit, properties }, signal) => unitProperties(unit, properties, signal, scope),
    dependencies: ({ unit, ...options }, signal) => unitDependencies(unit, options, signal, scope),
    usage: (request, signal) => usageSamples({ scope, unitsDirectory, clock: systemClock }, request, signal),
  };
}
