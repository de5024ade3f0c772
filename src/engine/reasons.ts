/**
 * Whether two lists of refusals say the same, so that unchanged reasons are not written again.
 *
 * @module
 */
import type { Refusal } from "../registry/types.ts";

export function isSameReasons(a: readonly Refusal[], b: readonly Refusal[]): boolean {
  return (
    a.length === b.length &&
    a.every((refusal, index) => refusal.machineId === b[index]?.machineId && refusal.reason === b[index]?.reason)
  );
}
