/**
 * Command lines for the system's OpenSSH, such that nothing a name contains can become an option or a shell's word.
 *
 * Idea. ssh reads options before and after the host, but none after "--", so that stands before the host. The far shell reads
 * one line, so what did not come from the user's own hands is quoted in it. Hosts and user names come from a registry or a
 * variable: they are held to what such a name may contain.
 *
 * Invariants.
 * - No argument made here is run by a shell on this side, but for the ProxyCommand, whose words are quoted.
 *
 * @module
 */
import { CliError } from "../command.ts";

export interface SshTarget {
  readonly host: string;
  /** null: as ssh's own configuration has it. */
  readonly port: number | null;
}

export interface SshSettings {
  readonly username: string;
  readonly connectTimeoutMs: number;
  /** Stores new hosts' keys; a changed key is refused. Not strict: no key is looked at. */
  readonly isStrict: boolean;
  readonly knownHostsFile: string;
}

const MAX_PORT = 65_535;
/** Names, IPv4 and IPv6 addresses with a zone. A dash in front would be an option. */
const HOST_PATTERN = /^(?!-)[A-Za-z0-9._:%-]+$/;
const USER_PATTERN = /^(?!-)[A-Za-z0-9._-]+\$?$/;

/** HOST, HOST:PORT, [IPv6]:PORT or a bare IPv6 address. */
export function parseSshTarget(text: string, origin: string): SshTarget {
  const bracketed = text.match(/^\[([^\]]+)\](?::(\d+))?$/);
  const plain = text.match(/^([^:]+):(\d+)$/);
  const [, host = text, port] = bracketed ?? plain ?? [];
  if (text.includes("@")) throw new CliError(`Cannot use ${origin} "${text}": the user belongs into --ssh-username`);
  checkHost(host, `${origin} "${text}"`);
  return { host, port: port === undefined ? null : parsePort(port, `${origin} "${text}"`) };
}

export function checkHost(host: string, what: string): void {
  if (!HOST_PATTERN.test(host)) throw new CliError(`Cannot use ${what}: "${host}" is no host`);
}

export function parsePort(text: string, what: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= MAX_PORT) return port;
  throw new CliError(`Cannot use ${what}: "${text}" is no port`);
}

/** What every ssh of ours is started with. */
export function sshOptions(settings: SshSettings, target: SshTarget): string[] {
  if (!USER_PATTERN.test(settings.username)) {
    throw new CliError(`Cannot use --ssh-username=${settings.username}: it is no user name`);
  }
  checkHost(target.host, "ssh");
  const hostKeys = settings.isStrict
    ? ["StrictHostKeyChecking=accept-new", `UserKnownHostsFile=${configValue(settings.knownHostsFile)}`]
    : [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "GlobalKnownHostsFile=/dev/null",
        // Or it would tell of each key that it stores in /dev/null.
        "LogLevel=ERROR",
      ];
  const options = [`ConnectTimeout=${Math.ceil(settings.connectTimeoutMs / 1000)}`, ...hostKeys];
  return [
    ...options.flatMap((option) => ["-o", option]),
    ...(target.port === null ? [] : ["-p", String(target.port)]),
    "-l",
    settings.username,
  ];
}

/** The end of a command line: host, and the line for the far shell; null: an interactive shell. */
export function sshDestination(host: string, remoteLine: string | null): string[] {
  return remoteLine === null ? ["--", host] : ["--", host, remoteLine];
}

/** A value in ssh_config(5): quoted, and with nothing that ssh would expand. */
function configValue(path: string): string {
  const unusable = ['"', "\n", "\\", "${"].find((part) => path.includes(part));
  if (unusable !== undefined) {
    throw new CliError(`Cannot use --known-hosts-file "${path}": ssh cannot take ${JSON.stringify(unusable)} in it`);
  }
  return `"${path.replaceAll("%", "%%")}"`;
}

/** One word for a POSIX shell. */
export function shellQuote(word: string): string {
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

export function shellLine(words: readonly string[]): string {
  return words.map(shellQuote).join(" ");
}
