/**
 * What the fake systemd makes of a unit's text.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** The last value of the setting; undefined: it is not there. */
export function option(text: string, name: string): string | undefined {
  return text
    .split("\n")
    .findLast((line) => line.startsWith(`${name}=`))
    ?.slice(name.length + 1);
}

export function sha1(text: string): string {
  return createHash("sha1").update(text).digest("hex");
}
