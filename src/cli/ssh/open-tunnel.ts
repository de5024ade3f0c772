/**
 * --tunnel: from the flags to a tunnel, and what its failure means.
 *
 * @module
 */
import { ClientError, type Endpoint } from "../../client/index.ts";
import { CliError } from "../command.ts";
import type { FlagValues } from "../flags.ts";
import type { World } from "../world.ts";
import { parseSshTarget, type SshTarget, shellLine, sshOptions } from "./arguments.ts";
import { type SshResult, type Tunnel, TunnelError, type TunnelPlan } from "./port.ts";
import { sshSettings } from "./settings.ts";

/** null: no tunnel was asked for. */
export async function openTunnel(flags: FlagValues, endpoint: Endpoint, world: World): Promise<Tunnel | null> {
  const text = flags.text("tunnel");
  if (text === "") return null;
  const target = parseSshTarget(text, "--tunnel");
  const settings = sshSettings(flags, world);
  const plan = { options: sshOptions(settings, target), host: target.host, carry: carryTo(endpoint) };
  try {
    return await world.ssh.openTunnel(plan, world.signal);
  } catch (error) {
    if (world.signal.aborted) throw new ClientError("cancelled", "The tunnel was given up");
    if (!(error instanceof TunnelError)) throw error;
    throw new CliError(`${error.message}${keyAdvice(error.result, target, settings.knownHostsFile)}`);
  }
}

/** The endpoint as the client sees it: what the user named, by way of the tunnel's socket. */
export function throughTunnel(endpoint: Endpoint, tunnel: Tunnel | null, flags: FlagValues): Endpoint {
  if (tunnel === null) return endpoint;
  return {
    text: `${endpoint.text} through ${flags.text("tunnel")}`,
    origin: endpoint.origin,
    socketPath: tunnel.socketPath,
  };
}

function carryTo(endpoint: Endpoint): TunnelPlan["carry"] {
  if (endpoint.socketPath !== undefined) return { kind: "command", line: forwardLine(endpoint.socketPath) };
  const url = new URL(endpoint.origin);
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  // The URL keeps the brackets of an IPv6 address; ssh wants them for any host.
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  return { kind: "tcp", address: `[${host}]:${port}` };
}

/** Whatever the far user's shell is, sh reads it; a host that was fleet's may have flt by the name of fleetctl only. */
function forwardLine(socketPath: string): string {
  const forward = shellLine(["fd-forward", socketPath]);
  const script = `if command -v flt >/dev/null 2>&1; then exec flt ${forward}; else exec fleetctl ${forward}; fi`;
  return `exec ${shellLine(["sh", "-c", script])}`;
}

/** What to do about a host whose key is not the known one; "" when that was not the trouble. */
export function keyAdvice(result: SshResult, target: SshTarget, knownHostsFile: string): string {
  if (!result.isKeyRefused) return "";
  const name = target.port === null || target.port === 22 ? target.host : `[${target.host}]:${target.port}`;
  return (
    `: the key of host "${name}" is not the one in ${knownHostsFile}. If you know why it has changed: ` +
    shellLine(["ssh-keygen", "-R", name, "-f", knownHostsFile])
  );
}
