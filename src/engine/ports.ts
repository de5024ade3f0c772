/**
 * What the engine needs from the world beside the registry.
 *
 * @module
 */

export interface MachineProbe {
  /**
   * Asks a host's kernel whether it lives: a TCP connect to its daemon's peer port (host:port). Accepted or reset: alive, the
   * daemon may be gone. Nothing until the signal is aborted, no route, no such host: silent. Never rejects.
   */
  probe(address: string, signal: AbortSignal): Promise<"alive" | "silent">;
}
