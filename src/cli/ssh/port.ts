/**
 * The system's ssh as the commands use it, so that a test can be it.
 *
 * @module
 */

export interface SshResult {
  /** ssh's exit status: the far command's own, or 255 when there was no connection. */
  readonly status: number;
  /** ssh refused because the host's key is not the known one. */
  readonly isKeyRefused: boolean;
}

export interface TunnelPlan {
  /** Options, without destination. */
  readonly options: readonly string[];
  readonly host: string;
  /** What carries one connection to the API: a line for the far shell, or an address that the far sshd connects to. */
  readonly carry:
    | { readonly kind: "command"; readonly line: string }
    | { readonly kind: "tcp"; readonly address: string };
}

export interface Tunnel {
  /** A unix socket on this machine whose connections come out at the API. */
  readonly socketPath: string;
  /** Options with which another ssh goes through the tunnel's host. */
  readonly proxyOptions: readonly string[];
  /** Ends ssh and removes the socket. */
  close(): Promise<void>;
}

export interface Ssh {
  /** Runs ssh with the user's terminal, until it ends or the signal ends it. */
  run(args: readonly string[], signal: AbortSignal): Promise<SshResult>;
  /** Rejects with ssh's status when there is no connection. */
  openTunnel(plan: TunnelPlan, signal: AbortSignal): Promise<Tunnel>;
}

/** ssh ended before the tunnel was open. */
export class TunnelError extends Error {
  readonly code = "tunnel";
  readonly result: SshResult;
  constructor(message: string, result: SshResult) {
    super(message);
    this.name = "TunnelError";
    this.result = result;
  }
}
