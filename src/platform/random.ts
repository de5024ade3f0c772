/**
 * Chance from the operating system, in the shapes that the rooms ask for.
 *
 * @module
 */
import { randomBytes } from "node:crypto";

/** A float in [0, 1). */
export function randomFloat(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] as number) / 0x1_0000_0000;
}

/** `bytes` random bytes as lower-case hex. */
export function randomHex(bytes: number): string {
  return randomBytes(bytes).toString("hex");
}

/** A positive safe integer, as lease ids are. */
export function randomId(): number {
  return (randomBytes(6).readUIntBE(0, 6) % (Number.MAX_SAFE_INTEGER - 1)) + 1;
}
