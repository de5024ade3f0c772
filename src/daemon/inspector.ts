/**
 * The Inspector over this host's systemctl and journalctl.
 *
 * @module
 */
import { type SystemdScope, unitJournal, unitStatus } from "../agent/systemd/index.ts";
import type { Inspector } from "./machine-calls.ts";

export function systemInspector(scope: SystemdScope): Inspector {
  return {
    status: (unit, signal) => unitStatus(unit, signal, scope),
    journal: (unit, query, signal) => unitJournal(unit, query, signal, scope),
  };
}
