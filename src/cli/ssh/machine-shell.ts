/**
 * ssh to a machine of the cluster, through the tunnel when there is one.
 *
 * @module
 */
import { type CommandContext, note } from "../command.ts";
import { type SshTarget, sshDestination, sshOptions } from "./arguments.ts";
import { keyAdvice } from "./open-tunnel.ts";
import { sshPort, sshSettings } from "./settings.ts";

/** ssh's own status when it has no connection; the far command may end so, too. */
const NO_CONNECTION = 255;

export interface MachineShell {
  /** Its address in the registry. */
  readonly host: string;
  /** The line for the far shell; null: an interactive shell. */
  readonly remoteLine: string | null;
  readonly forwardsAgent?: boolean;
}

/** Returns the far command's exit status. */
export async function runOnMachine(context: CommandContext, shell: MachineShell): Promise<number> {
  const { flags, world, tunnel } = context;
  const target: SshTarget = { host: shell.host, port: sshPort(flags) };
  const settings = sshSettings(flags, world);
  const args = [
    ...sshOptions(settings, target),
    ...(tunnel?.proxyOptions ?? []),
    ...(shell.forwardsAgent === true ? ["-A"] : []),
    // A command of the user's configuration would be a second one.
    ...(shell.remoteLine === null ? [] : ["-o", "RemoteCommand=none"]),
    ...sshDestination(target.host, shell.remoteLine),
  ];
  // Whatever was said so far is above what the far side says.
  await world.outBytes(new Uint8Array());
  const result = await world.ssh.run(args, world.signal);
  const advice = keyAdvice(result, target, settings.knownHostsFile);
  if (result.status === NO_CONNECTION && advice !== "") note(context, `Cannot connect to "${target.host}"${advice}`);
  return result.status;
}
