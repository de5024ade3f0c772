/**
 * What the engine needs from the world beside the registry.
 *
 * @module
 */

import type { MachineId } from "../model/machine.ts";

/** A question for another machine's daemon to put. */
export interface WitnessQuestion {
  /** Peer address (host:port) of the daemon that is to ask. */
  readonly witness: string;
  /** Whose kernel to ask; the witness knows its address. */
  readonly machineId: MachineId;
  readonly timeoutMs: number;
}

export interface MachineProbe {
  /**
   * Asks a host's kernel whether it lives: a TCP connect to its daemon's peer port (host:port). Accepted or reset: alive, the
   * daemon may be gone. Nothing until the signal is aborted, no route, no such host: silent. Never rejects.
   */
  probe(address: string, signal: AbortSignal): Promise<"alive" | "silent">;
  /** The same, asked from another machine. Silent, too, when that one cannot be asked or does not understand. Never rejects. */
  probeFrom(question: WitnessQuestion, signal: AbortSignal): Promise<"alive" | "silent">;
}
