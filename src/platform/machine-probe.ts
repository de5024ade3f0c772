/**
 * Asks a host's kernel whether it lives: a TCP connect that is accepted or reset was answered by somebody (design
 * section 7, "Death").
 *
 * Idea. A daemon may be dead or starved while its host and units are fine; the kernel answers for it. Only silence, or a
 * router's word that the host is unreachable, speaks for a dead host.
 *
 * @module
 */
import { connect } from "node:net";
import { splitHostPort } from "./addresses.ts";

/** Longer than a lost SYN's first retransmission (1 s), so that one lost packet does not look like death. */
const PROBE_TIMEOUT_MS = 1200;

export function probeHost(address: string, timeoutMs = PROBE_TIMEOUT_MS): Promise<"alive" | "silent"> {
  const { host, port } = splitHostPort(address);
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const settle = (verdict: "alive" | "silent") => {
      clearTimeout(timer);
      socket.destroy();
      resolve(verdict);
    };
    const timer = setTimeout(() => settle("silent"), timeoutMs);
    socket.once("connect", () => settle("alive"));
    // Bun reports a closed port as ECONNREFUSED (the kernel's reset); no route and no answer have other codes.
    socket.once("error", (error: NodeJS.ErrnoException) =>
      settle(error.code === "ECONNREFUSED" || error.code === "ECONNRESET" ? "alive" : "silent"),
    );
  });
}
