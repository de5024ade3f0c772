/**
 * host:port texts and what they name.
 *
 * @module
 */

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Takes "10.0.0.1:2380", "name:2380", "[fd00::1]:2380"; the configuration has checked it before. */
export function splitHostPort(address: string): HostPort {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) {
    throw new Error(`Reading the address "${address}" failed: it is not of the form host:port`);
  }
  return { host: match[1] ?? match[2] ?? "", port };
}
