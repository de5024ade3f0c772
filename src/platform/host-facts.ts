/**
 * What the host says of itself: machine-id, address of the default route, whether systemd runs it.
 *
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";

export class HostFactError extends Error {
  readonly code = "host-fact";
}

/** machine-id(5): 32 hex digits and a newline. */
export function readMachineId(path = "/etc/machine-id"): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new HostFactError(`Reading the machine id "${path}" failed: run systemd-machine-id-setup`, { cause: error });
  }
  if (!/^[0-9a-f]{32}$/.test(text)) {
    throw new HostFactError(
      `Reading the machine id "${path}" failed: it is not 32 hex digits; run systemd-machine-id-setup`,
    );
  }
  return text;
}

/** The first global IPv4 of the default route's interface (proc(5), /proc/net/route); null without such a route. */
export function defaultAddress(routes = "/proc/net/route"): string | null {
  if (!existsSync(routes)) return null;
  const best = readFileSync(routes, "utf8")
    .split("\n")
    .slice(1)
    .map((line) => line.split("\t"))
    .filter((fields) => fields[1] === "00000000" && fields[7] === "00000000")
    .sort((a, b) => Number(a[6]) - Number(b[6]))[0];
  const name = best?.[0];
  if (name === undefined) return null;
  return networkInterfaces()[name]?.find((address) => address.family === "IPv4" && !address.internal)?.address ?? null;
}

/** The check of sd_booted(3). */
export function isSystemdHost(): boolean {
  return existsSync("/run/systemd/system");
}
