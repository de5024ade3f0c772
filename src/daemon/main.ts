/**
 * `flt daemon`: configuration, log, signals, systemd's notifications; everything else is daemon.ts.
 *
 * Idea. The process has one life: read the configuration, start, tell systemd READY, wait for a signal or a fatal error, stop.
 * SIGHUP reads the configuration again (reloader.ts) and is no end of anything; one that comes during the start is kept until then.
 * Whatever keeps it from starting is one line on stderr and exit status 1.
 *
 * Invariants.
 * - SIGTERM asks systemd which job ends this service: `stop` hands the units over, `restart` or no job at all leaves them.
 * - A second signal while stopping ends the process at once; units are safe, they belong to systemd.
 *
 * @module
 */
import { fstatSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { HOST_SCOPE, type SystemdScope, stopIntent, userScope } from "../agent/systemd/index.ts";
import { parseArguments } from "../config/arguments.ts";
import { daemonHelp } from "../config/help.ts";
import { type LoadedConfig, type LoadRequest, loadConfig } from "../config/load.ts";
import type { FltConfig } from "../config/table.ts";
import { runtimeDirectory } from "../config/user-places.ts";
import type { Log } from "../lib/log.ts";
import { VERSION } from "../lib/version.ts";
import { messageIdOf } from "../model/decisions.ts";
import { systemClock } from "../platform/clock.ts";
import { isSystemdHost, readMachineId } from "../platform/host-facts.ts";
import { type InheritedSockets, takeInheritedSockets } from "../platform/inherited-sockets.ts";
import { createJournalLog, type JournalLog, type JournalLogSettings } from "../platform/journal-log.ts";
import { JournalSocket } from "../platform/journal-socket.ts";
import { createNotifier, type Notifier, reloadingState } from "../platform/notify.ts";
import { isReadableByAll } from "../platform/public-file.ts";
import { checkConfig } from "./check-config.ts";
import { type Daemon, startDaemon } from "./daemon.ts";
import { Reloader } from "./reloader.ts";
import { StartError } from "./start-error.ts";
import { Watchdog, watchdogLimitMs } from "./watchdog.ts";

const STDERR = 2;

/** @returns The exit status. */
export async function runDaemon(argv: readonly string[], argv0Name: string): Promise<number> {
  try {
    const { request } = parseArguments(argv);
    if (request === "help") return print(daemonHelp());
    if (request === "version") return print(`${argv0Name} version ${VERSION}\n`);
    if (request === "check-config") return check(argv, argv0Name);
    const inherited = takeInheritedSockets(process.env, process.pid);
    const load = () => withInherited(loadConfig(loadRequest(argv, argv0Name)), inherited);
    return await live(load, inherited);
  } catch (error) {
    if (!isExpected(error)) throw error;
    process.stderr.write(`${argv0Name}: ${error.message}\n`);
    return 1;
  }
}

function check(argv: readonly string[], argv0Name: string): number {
  return checkConfig(
    { argv, argv0Name },
    {
      mainPid: process.env.MAINPID,
      readCommandLine: (pid) => readIfThere(`/proc/${pid}/cmdline`),
      load: (invocation) => loadConfig(loadRequest(invocation.argv, invocation.argv0Name)),
      out: print,
      err: (text) => process.stderr.write(text),
    },
  );
}

function loadRequest(argv: readonly string[], argv0Name: string): LoadRequest {
  const user = { uid: uid(), home: homedir() };
  return { argv, env: process.env, readFile: readIfThere, isPublic: isReadableByAll, argv0Name, user };
}

/** Sockets from systemd stand in for the default one. What listen_api asks for is opened beside them. */
function withInherited(loaded: LoadedConfig, { sockets, warnings }: InheritedSockets): LoadedConfig {
  const isDefault = loaded.sources.listenApi.kind === "default" && sockets.length > 0;
  return {
    ...loaded,
    config: isDefault ? { ...loaded.config, listenApi: [] } : loaded.config,
    warnings: [...loaded.warnings, ...warnings],
  };
}

async function live(load: () => LoadedConfig, { sockets }: InheritedSockets): Promise<number> {
  const { config, warnings, path } = load();
  const log = openLog(config);
  for (const warning of warnings) log.warning(warning);
  log.info(`Starting flt ${VERSION}`, { configuration: path ?? "defaults" });
  if (!isSystemdHost()) {
    throw new StartError("Starting the daemon failed: systemd does not run this host, and flt runs units through it");
  }
  const notifier = createNotifier(process.env.NOTIFY_SOCKET);
  const signals = new Signals(log);
  const end = Promise.withResolvers<End>();
  const scope = config.systemdUser ? userScope(runtimeDirectory(process.env, uid())) : HOST_SCOPE;
  const onFatal = (error: Error) => end.resolve({ kind: "fatal", error });
  const daemon = await startDaemon({ config, machineId: readMachineId(), scope, inherited: sockets, log, onFatal });
  const watchdog = new Watchdog(watchdogLimitMs(process.env, process.pid), {
    clock: systemClock,
    log,
    lastTickAt: () => daemon.lastTickAt,
    notify: (state) => notifier.notify(state),
  });
  watchdog.start();
  const reloader = new Reloader(config, {
    log,
    load,
    async apply(next) {
      await daemon.reconfigure(next);
      log.configure(logSettings(next));
    },
    announce: (state) => notifier.notify(state === "ready" ? "READY=1" : reloadingState()),
    isExpected,
  });
  signals.handle({ end: end.resolve, reload: () => void reloader.reload().catch(onFatal) });
  try {
    // Whoever waited for this service finds the machine in list-machines, on whichever host.
    if ((await Promise.race([daemon.settled, end.promise])) === undefined) {
      notifier.notify("READY=1");
      log.notice("Ready");
    }
    return await finish(await end.promise, daemon, { scope, notifier, log });
  } finally {
    watchdog.stop();
    signals.close();
  }
}

type End = { readonly kind: "signal"; readonly name: string } | { readonly kind: "fatal"; readonly error: Error };

interface Surroundings {
  readonly scope: SystemdScope;
  readonly notifier: Notifier;
  readonly log: Log;
}

async function finish(end: End, daemon: Daemon, { scope, notifier, log }: Surroundings): Promise<number> {
  notifier.notify("STOPPING=1");
  if (end.kind === "fatal") {
    log.error(`Stopping at once, units stay as they are: ${end.error.message}`);
    await daemon.stop({ handOver: false });
    // Again, as the last word: what the parts had to say at their ends stands in between.
    log.error(`Stopped, units stay as they are: ${end.error.message}`);
    return 1;
  }
  const intent =
    end.name === "SIGTERM" ? await stopIntent({ pid: process.pid, clock: systemClock, log, scope }) : "none";
  log.notice(intent === "stop" ? "Stopping: units are handed over" : "Stopping: units stay as they are", {
    signal: end.name,
    job: intent,
  });
  await daemon.stop({ handOver: intent === "stop" });
  log.notice("Stopped");
  return 0;
}

interface SignalHandlers {
  end(end: End): void;
  reload(): void;
}

/** From the first line of the log on no signal is lost: what comes before there is somebody to handle it waits for him. */
class Signals {
  static readonly #NAMES = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
  readonly #log: Log;
  readonly #early: NodeJS.Signals[] = [];
  readonly #listener = (name: NodeJS.Signals) => this.#take(name);
  #handlers: SignalHandlers | null = null;
  #isEnding = false;

  constructor(log: Log) {
    this.#log = log;
    for (const name of Signals.#NAMES) process.on(name, this.#listener);
  }

  handle(handlers: SignalHandlers): void {
    this.#handlers = handlers;
    for (const name of this.#early.splice(0)) this.#pass(name, handlers);
  }

  close(): void {
    for (const name of Signals.#NAMES) process.off(name, this.#listener);
  }

  #take(name: NodeJS.Signals): void {
    if (name !== "SIGHUP") {
      if (this.#isEnding) {
        this.#log.warning("Got a second signal while stopping: ending at once", { signal: name });
        process.exit(1);
      }
      this.#isEnding = true;
    }
    if (this.#handlers === null) this.#early.push(name);
    else this.#pass(name, this.#handlers);
  }

  #pass(name: NodeJS.Signals, handlers: SignalHandlers): void {
    if (name !== "SIGHUP") handlers.end({ kind: "signal", name });
    else if (!this.#isEnding) handlers.reload();
  }
}

function openLog(config: FltConfig): JournalLog {
  const journal = new JournalSocket(systemClock);
  return createJournalLog(logSettings(config), {
    clock: systemClock,
    write: (line) => process.stderr.write(line),
    send: (fields) => journal.send(fields),
    machine: readMachineId(),
    messageIdOf,
    // The journal takes nobody's word but root's, or the user's own, for another unit's line.
    unitField: config.systemdUser ? "OBJECT_SYSTEMD_USER_UNIT" : "OBJECT_SYSTEMD_UNIT",
  });
}

function logSettings(config: FltConfig): JournalLogSettings {
  const format =
    config.logFormat === "auto" ? (isJournal(process.env.JOURNAL_STREAM) ? "journal" : "text") : config.logFormat;
  return { level: config.verbosity > 0 ? "debug" : "info", format };
}

/** systemd names the device and inode of the stream that it gave: whoever was started by a service may have another stderr. */
function isJournal(stream: string | undefined): boolean {
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(STDERR);
  return stream === `${dev}:${ino}`;
}

function uid(): number {
  return process.getuid?.() ?? 0;
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
  "bad-options",
  "start",
  "data-dir",
  "host-fact",
  "cluster-config",
  "identity-mismatch",
  "newer-format",
  "in-use",
  "corrupt-log",
  "damaged-log",
  "disk-full",
  "disk-failed",
]);

function isExpected(error: unknown): error is Error {
  return error instanceof Error && "code" in error && typeof error.code === "string" && EXPECTED.has(error.code);
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}
