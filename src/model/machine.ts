/**
 * A machine as the cluster sees it.
 *
 * @module
 */

/** 32 lower-case hex digits of /etc/machine-id (machine-id(5)). */
export type MachineId = string;
export type Metadata = Readonly<Record<string, string>>;

export interface Machine {
  readonly id: MachineId;
  readonly publicIp: string;
  /** Configured metadata overlaid with the edited one: what placement sees. */
  readonly metadata: Metadata;
  readonly version: string;
  /** host:port where this machine's daemon takes requests of other machines; "" for a cluster of one. */
  readonly peerAddress: string;
}

export const MACHINE_ID_PATTERN = /^[0-9a-f]{32}$/;

/** First 8 digits, as tables show it. */
export function shortMachineId(id: MachineId): string {
  return id.slice(0, 8);
}
