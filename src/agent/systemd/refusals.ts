/**
 * What systemd's refusals mean to us, by their D-Bus names (sd-bus-errors(3), systemd's bus-common-errors).
 *
 * @module
 */
import { BusRefusal } from "./bus.ts";

/** A unit that systemd does not have in memory is as stopped, and as forgotten, as can be. */
export function ignoreUnknownUnit(error: unknown): void {
  if (error instanceof BusRefusal && /\.(NoSuchUnit|UnknownObject)$/.test(error.errorName)) return;
  throw error;
}

/** RefuseManualStart= or RefuseManualStop= (systemd.unit(5)). */
export function isRefusedByHand(error: unknown): boolean {
  return error instanceof BusRefusal && error.errorName.endsWith(".OnlyByDependency");
}
