/**
 * The client on a real machine: files, environment, clock, signals, stdout.
 *
 * Idea. The first Ctrl-C lets the command say what it leaves behind; the second one ends it on the spot. A reader that closes
 * our stdout (`flt list-units | head`) has seen enough: that is no error. Any other end of stdout is one: what was asked for is not
 * where it was to go (`flt cat a > a` on a full disk).
 *
 * @module
 */
import { existsSync, mkdirSync, readFileSync, writeSync } from "node:fs";
import { ClientError } from "../client/errors.ts";
import type { Clock } from "../lib/clock.ts";
import { EXIT_FAILED, EXIT_OK } from "./command.ts";
import { run } from "./run.ts";
import type { Ssh } from "./ssh/port.ts";
import { SystemTerminal } from "./system-terminal.ts";
import type { World } from "./world.ts";

const STDERR = 2;

const REAL_CLOCK: Clock = {
  now: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

/** Nobody takes the words any more. */
function endWithStdout(error: NodeJS.ErrnoException): never {
  if (error.code === "EPIPE") process.exit(EXIT_OK);
  const why = error.code === "ENOSPC" ? "no space left on the device" : error.message;
  writeSync(STDERR, `Cannot write to stdout: ${why}\n`);
  process.exit(EXIT_FAILED);
}

/** What has been handed to a stream and not been taken yet; one write after another keeps the order. */
class Output {
  #tail: Promise<void> = Promise.resolve();

  write(stream: NodeJS.WriteStream, data: string | Uint8Array): Promise<void> {
    this.#tail = this.#tail.then(
      () =>
        new Promise((resolve) => {
          stream.write(data, (error) => {
            // The stream's own event comes after this, and may come after the end of the command.
            if (error && stream === process.stdout) endWithStdout(error);
            resolve();
          });
        }),
    );
    return this.#tail;
  }

  flushed(): Promise<void> {
    return this.#tail;
  }
}

export async function runCli(argv: readonly string[], program: string): Promise<number> {
  const interrupt = new AbortController();
  const terminal = new SystemTerminal();
  const onInterrupt = (): void => {
    if (terminal.isPaging) return;
    process.off("SIGINT", onInterrupt);
    interrupt.abort();
  };
  process.on("SIGINT", onInterrupt);
  process.once("SIGTERM", () => interrupt.abort());
  process.stdout.on("error", endWithStdout);
  const output = new Output();
  // On one terminal the order between the two streams counts as well.
  const errors = terminal.stdout && terminal.stderr ? output : new Output();
  const say = (text: string): void => void errors.write(process.stderr, text);
  const world: World = {
    environment: process.env,
    fetch: (url, init) => fetch(url, init as RequestInit),
    clock: REAL_CLOCK,
    wallClock: () => new Date(),
    signal: interrupt.signal,
    out: (text) => {
      void output.write(process.stdout, text);
    },
    outBytes: (bytes) => output.write(process.stdout, bytes),
    err: say,
    readFile,
    readStdin: () => readStdin(interrupt.signal),
    exists: existsSync,
    makeFolder: (path) => void mkdirSync(path, { recursive: true, mode: 0o700 }),
    installHost: async () => (await import("./install/system-host.ts")).SYSTEM_HOST,
    terminal,
    ssh: lazySsh(say),
    forward: async (path) => {
      const { forwardToSocket } = await import("./ssh/forward.ts");
      await forwardToSocket(path, process.stdin, process.stdout);
    },
  };
  const status = await run(argv, program, world);
  await output.flushed();
  await errors.flushed();
  return status;
}

/** All of it, or a refusal when Ctrl-C comes first. */
async function readStdin(signal: AbortSignal): Promise<Uint8Array> {
  const interrupted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(new ClientError("cancelled", "Reading stdin was cancelled")));
  });
  return new Uint8Array(await Promise.race([Bun.stdin.arrayBuffer(), interrupted]));
}

/** Child processes and sockets are loaded by the commands that have some. */
function lazySsh(sayError: (text: string) => void): Ssh {
  const load = async (): Promise<Ssh> => new (await import("./ssh/system-ssh.ts")).SystemSsh(sayError);
  return {
    run: async (args, signal) => await (await load()).run(args, signal),
    openTunnel: async (plan, signal) => await (await load()).openTunnel(plan, signal),
  };
}

function readFile(path: string): Uint8Array | null {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A unit's name may be longer than any file's.
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG") return null;
    throw error;
  }
}
