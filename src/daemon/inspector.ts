/**
 * The Inspector over this host's systemctl and journalctl.
 *
 * @module
 */
import { unitJournal, unitStatus } from "../agent/systemd/index.ts";
import type { Inspector } from "./machine-calls.ts";

export function systemInspector(): Inspector {
  return {
    status: (unit, signal) => unitStatus(unit, signal),
    journal: (unit, query, signal) => unitJournal(unit, query, signal),
  };
}
