/**
 * OpenSSH's client as a child process, in the foreground or under a tunnel.
 *
 * Invariants.
 * - A child ends with its command: on abort it is told to, and nobody leaves before it is gone.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { sshResult } from "./child.ts";
import type { Ssh, SshResult, Tunnel, TunnelPlan } from "./port.ts";
import { openTunnel } from "./tunnel.ts";

export class SystemSsh implements Ssh {
  readonly #sayError: (text: string) => void;

  constructor(sayError: (text: string) => void) {
    this.#sayError = sayError;
  }

  async run(args: readonly string[], signal: AbortSignal): Promise<SshResult> {
    const child = spawn("ssh", args, { stdio: ["inherit", "inherit", "pipe"] });
    const stop = (): void => void child.kill("SIGTERM");
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    try {
      return await sshResult(child, this.#sayError);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  async openTunnel(plan: TunnelPlan, signal: AbortSignal): Promise<Tunnel> {
    return await openTunnel(plan, signal, this.#sayError);
  }
}
