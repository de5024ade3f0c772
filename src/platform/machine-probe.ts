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

/** The network's words for "nobody there"; any other failure (a reset, this host out of sockets, a name that does not resolve) proves no death. */
const SILENCE = new Set(["ETIMEDOUT", "EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH"]);

/** @param signal Ends the wait: no answer by then is silence. */
export function probeHost(address: string, signal: AbortSignal): Promise<"alive" | "silent"> {
  const { host, port } = splitHostPort(address);
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const settle = (verdict: "alive" | "silent") => {
      signal.removeEventListener("abort", giveUp);
      socket.destroy();
      resolve(verdict);
    };
    const giveUp = () => settle("silent");
    socket.once("connect", () => settle("alive"));
    socket.on("error", (error: NodeJS.ErrnoException) => settle(SILENCE.has(error.code ?? "") ? "silent" : "alive"));
    signal.addEventListener("abort", giveUp, { once: true });
    if (signal.aborted) giveUp();
  });
}
