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

/**
 * The host lacks something that it may have again later: space, memory, descriptors. sd-bus makes errno into names like
 * System.Error.ENOSPC.
 */
export function isShortage(error: BusRefusal): boolean {
  return /\.(ENOSPC|EDQUOT|ENOMEM|EMFILE|ENFILE|EAGAIN|NoMemory|LimitsExceeded)$/.test(error.errorName);
}
