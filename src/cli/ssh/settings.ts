/**
 * From the command line's flags to how ssh is run: user, timeout, host keys, port.
 *
 * @module
 */
import type { FlagValues } from "../flags.ts";
import type { World } from "../world.ts";
import { parsePort, type SshSettings } from "./arguments.ts";

const KNOWN_HOSTS = ".flt/known_hosts";
const FLEET_KNOWN_HOSTS = ".fleetctl/known_hosts";

/** Reads the flags, and makes the folder that ssh stores hosts' keys in. */
export function sshSettings(flags: FlagValues, world: World): SshSettings {
  const isStrict = flags.isOn("strict-host-key-checking");
  const knownHostsFile = knownHostsPath(flags, world);
  if (isStrict) world.makeFolder(knownHostsFile.slice(0, knownHostsFile.lastIndexOf("/") + 1));
  return {
    username: flags.text("ssh-username"),
    connectTimeoutMs: flags.secondsMs("ssh-timeout"),
    isStrict,
    knownHostsFile,
  };
}

/** Hosts that fleetctl knew are known, until flt has a file of its own. */
function knownHostsPath(flags: FlagValues, world: World): string {
  const home = world.environment.HOME ?? "";
  const given = flags.text("known-hosts-file");
  if (flags.isGiven("known-hosts-file")) return given.startsWith("~/") ? `${home}/${given.slice(2)}` : given;
  const [own, fleets] = [`${home}/${KNOWN_HOSTS}`, `${home}/${FLEET_KNOWN_HOSTS}`];
  return !world.exists(own) && world.exists(fleets) ? fleets : own;
}

/** --ssh-port; null when it was not given. */
export function sshPort(flags: FlagValues): number | null {
  return flags.isGiven("ssh-port") ? parsePort(flags.text("ssh-port"), "--ssh-port") : null;
}
