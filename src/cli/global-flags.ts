/**
 * The flags of every command, and the environment variables that stand in for them.
 *
 * Invariant. The command line wins over FLTCTL_…, which wins over FLEETCTL_…, which wins over the default.
 *
 * @module
 */
import { DEFAULT_ENDPOINT } from "../client/endpoint.ts";
import { type Flag, switchValue } from "./flags.ts";

export const GLOBAL_FLAGS: readonly Flag[] = [
  {
    name: "endpoint",
    value: "URL",
    fallback: DEFAULT_ENDPOINT,
    help:
      "Where flt listens: unix:///PATH, http://HOST:PORT, https://HOST:PORT; the first of a list is used. " +
      "Where no daemon of the host's is, a user's own one is found",
  },
  { name: "request-timeout", value: "SECONDS", fallback: "3.0", help: "How long a single request may take" },
  { name: "key-file", value: "FILE", fallback: "", help: "Client key for https, in PEM" },
  { name: "cert-file", value: "FILE", fallback: "", help: "Client certificate for https, in PEM" },
  { name: "ca-file", value: "FILE", fallback: "", help: "Authority that signed the server's certificate, in PEM" },
  { name: "tunnel", value: "HOST[:PORT]", fallback: "", help: "Reach flt through SSH" },
  { name: "ssh-username", value: "NAME", fallback: "core", help: "User for SSH" },
  { name: "ssh-timeout", value: "SECONDS", fallback: "10.0", help: "How long SSH may take to connect" },
  {
    name: "known-hosts-file",
    value: "FILE",
    fallback: "~/.flt/known_hosts",
    help: "Where SSH keeps the keys of known hosts",
  },
  { name: "strict-host-key-checking", fallback: "true", help: "Store the keys of new hosts, refuse changed ones" },
  { name: "debug", fallback: "false", help: "Say on stderr what is asked and answered" },
  { name: "no-pager", fallback: "false", help: "Print on the terminal at once, without a pager" },
  { name: "version", fallback: "false", help: "Print the version" },
  { name: "help", short: "h", fallback: "false", help: "Explain the command" },
  { name: "driver", value: "API", fallback: "API", help: "Accepted without effect" },
  { name: "experimental-api", fallback: "true", help: "Accepted without effect" },
  { name: "etcd-key-prefix", value: "PREFIX", fallback: "", help: "Accepted without effect" },
];

export type Environment = Readonly<Record<string, string | undefined>>;

/** Adds what the environment says to what the command line did not. */
export function applyEnvironment(given: Map<string, string>, environment: Environment): void {
  for (const flag of GLOBAL_FLAGS) {
    if (given.has(flag.name)) continue;
    const suffix = flag.name.toUpperCase().replaceAll("-", "_");
    const variable = [`FLTCTL_${suffix}`, `FLEETCTL_${suffix}`].find((name) => (environment[name] ?? "") !== "");
    const text = variable === undefined ? undefined : environment[variable];
    if (variable === undefined || text === undefined) continue;
    given.set(flag.name, flag.value === undefined ? switchValue(text, variable) : text);
  }
}
