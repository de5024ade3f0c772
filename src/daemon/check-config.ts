/**
 * `flt daemon --check-config`: says whether the configuration can be used, as a reload would have it, and touches nothing.
 *
 * Problem. A signal has no answer: `systemctl reload` with a mistake in the file would end well, and only the log would tell.
 * Idea. flt.service runs this before it sends the signal; where it fails, the reload has failed, and the daemon has not heard of it.
 * systemd names the daemon's process ($MAINPID), whose own command line is then checked with the file: a drop-in that gives the daemon
 * another `--config` is right for both.
 *
 * Not here. What only trying can tell: whether a port is free, whether etcd answers.
 *
 * @module
 */
import { basename } from "node:path";
import { CHECK_CONFIG } from "../config/arguments.ts";
import type { LoadedConfig } from "../config/load.ts";
import { refuseUnknown } from "../config/reload.ts";

/** How a daemon was called. */
export interface Invocation {
  readonly argv: readonly string[];
  readonly argv0Name: string;
}

export interface CheckPorts {
  /** $MAINPID, where systemd set it. */
  readonly mainPid: string | undefined;
  /** The words of a process, each ended by a NUL; null when there is no such process. */
  readCommandLine(pid: number): string | null;
  /** Throws ConfigError. */
  load(invocation: Invocation): LoadedConfig;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** Throws ConfigError. @param own How the check was called; flags beside --check-config count as the daemon's. */
export function checkConfig(own: Invocation, ports: CheckPorts): number {
  const argv = own.argv.filter((word) => word !== CHECK_CONFIG);
  const running = argv.length === 0 ? invocationOf(ports) : null;
  const loaded = ports.load(running ?? { ...own, argv });
  refuseUnknown(loaded);
  // The daemon will say in its log what there is to say.
  if (ports.mainPid !== undefined) return 0;
  for (const warning of loaded.warnings) ports.err(`${warning}\n`);
  const what = loaded.path === null ? "There is no configuration file: the defaults" : JSON.stringify(loaded.path);
  ports.out(`${what} can be used\n`);
  return 0;
}

/** The daemon's that runs; null where it cannot be told. */
function invocationOf({ mainPid, readCommandLine }: CheckPorts): Invocation | null {
  if (mainPid === undefined || !/^[1-9]\d{0,8}$/.test(mainPid)) return null;
  const text = readCommandLine(Number(mainPid));
  if (text === null) return null;
  const [program = "", ...words] = text.replace(/\0$/, "").split("\0");
  const name = basename(program);
  if (name === "fltd" || name === "fleetd") return { argv: words, argv0Name: name };
  return words[0] === "daemon" ? { argv: words.slice(1), argv0Name: "flt" } : null;
}
