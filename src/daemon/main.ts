/**
 * `flt daemon`: configuration, log, signals, systemd's notifications; everything else is daemon.ts.
 *
 * Idea. The process has one life: read the configuration, start, tell systemd READY, wait for a signal or a fatal error, stop.
 * Whatever keeps it from starting is one line on stderr and exit status 1.
 *
 * Invariants.
 * - SIGTERM asks systemd which job ends this service: `stop` hands the units over, `restart` or no job at all leaves them.
 * - A second signal while stopping ends the process at once; units are safe, they belong to systemd.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { stopIntent } from "../agent/systemd/index.ts";
import { parseArguments } from "../config/arguments.ts";
import { daemonHelp } from "../config/help.ts";
import { type LoadedConfig, loadConfig } from "../config/load.ts";
import type { FltConfig } from "../config/table.ts";
import type { Log } from "../lib/log.ts";
import { VERSION } from "../lib/version.ts";
import { systemClock } from "../platform/clock.ts";
import { isSystemdHost, readMachineId } from "../platform/host-facts.ts";
import { createJournalLog } from "../platform/journal-log.ts";
import { createNotifier, type Notifier } from "../platform/notify.ts";
import { type Daemon, startDaemon } from "./daemon.ts";
import { StartError } from "./start-error.ts";
import { Watchdog, watchdogLimitMs } from "./watchdog.ts";

/** @returns The exit status. */
export async function runDaemon(argv: readonly string[], argv0Name: string): Promise<number> {
  try {
    const { request } = parseArguments(argv);
    if (request === "help") return print(daemonHelp());
    if (request === "version") return print(`${argv0Name} version ${VERSION}\n`);
    const loaded = loadConfig({ argv, env: process.env, readFile: readIfThere, argv0Name });
    return await live(loaded);
  } catch (error) {
    if (!isExpected(error)) throw error;
    process.stderr.write(`${argv0Name}: ${error.message}\n`);
    return 1;
  }
}

async function live({ config, warnings, path }: LoadedConfig): Promise<number> {
  const log = logOf(config);
  for (const warning of warnings) log.warning(warning);
  log.info(`Starting flt ${VERSION}`, { configuration: path ?? "defaults" });
  if (!isSystemdHost()) {
    throw new StartError("Starting the daemon failed: systemd does not run this host, and flt runs units through it");
  }
  const notifier = createNotifier(process.env.NOTIFY_SOCKET);
  const end = Promise.withResolvers<End>();
  const daemon = await startDaemon({
    config,
    machineId: readMachineId(),
    log,
    onFatal: (error) => end.resolve({ kind: "fatal", error }),
  });
  const watchdog = new Watchdog(watchdogLimitMs(process.env, process.pid), {
    clock: systemClock,
    log,
    lastTickAt: () => daemon.lastTickAt,
    notify: (state) => notifier.notify(state),
  });
  watchdog.start();
  const unhandle = handleSignals(log, end.resolve);
  notifier.notify("READY=1");
  log.notice("Ready");
  try {
    return await finish(await end.promise, daemon, notifier, log);
  } finally {
    watchdog.stop();
    unhandle();
  }
}

type End = { readonly kind: "signal"; readonly name: string } | { readonly kind: "fatal"; readonly error: Error };

async function finish(end: End, daemon: Daemon, notifier: Notifier, log: Log): Promise<number> {
  notifier.notify("STOPPING=1");
  if (end.kind === "fatal") {
    log.error(`Stopping at once, units stay as they are: ${end.error.message}`);
    await daemon.stop({ handOver: false });
    return 1;
  }
  const intent = end.name === "SIGTERM" ? await stopIntent({ pid: process.pid, clock: systemClock, log }) : "none";
  log.notice(intent === "stop" ? "Stopping: units are handed over" : "Stopping: units stay as they are", {
    signal: end.name,
    job: intent,
  });
  await daemon.stop({ handOver: intent === "stop" });
  log.notice("Stopped");
  return 0;
}

function handleSignals(log: Log, end: (end: End) => void): () => void {
  let count = 0;
  const onSignal = (name: NodeJS.Signals) => {
    if (name === "SIGHUP") {
      log.notice("Got SIGHUP: this version reads its configuration only at its start; restart it, units stay");
      return;
    }
    if (count++ > 0) {
      log.warning("Got a second signal while stopping: ending at once", { signal: name });
      process.exit(1);
    }
    end({ kind: "signal", name });
  };
  const names = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
  for (const name of names) process.on(name, onSignal);
  return () => {
    for (const name of names) process.off(name, onSignal);
  };
}

function logOf(config: FltConfig): Log {
  const isJournal =
    config.logFormat === "auto" ? process.env.JOURNAL_STREAM !== undefined : config.logFormat === "journal";
  return createJournalLog({
    level: config.verbosity > 0 ? "debug" : "info",
    priorityPrefix: isJournal,
    write: (line) => process.stderr.write(line),
  });
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

/** Errors of the daemon's surroundings carry a code of ours; anything else is a fault of the program and keeps its trace. */
const EXPECTED = new Set([
  "bad-config",
  "start",
  "data-dir",
  "host-fact",
  "cluster-config",
  "identity-mismatch",
  "newer-format",
  "in-use",
  "corrupt-log",
]);

function isExpected(error: unknown): error is Error {
  return error instanceof Error && "code" in error && typeof error.code === "string" && EXPECTED.has(error.code);
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}
