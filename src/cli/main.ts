/**
 * The client on a real machine: files, environment, clock, signals, stdout.
 *
 * Idea. The first Ctrl-C lets the command say what it leaves behind; the second one ends it on the spot. A reader that closes
 * our stdout (`flt list-units | head`) has seen enough: that is no error.
 *
 * @module
 */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import type { Clock } from "../lib/clock.ts";
import { EXIT_OK } from "./command.ts";
import { run } from "./run.ts";
import type { Ssh } from "./ssh/port.ts";
import type { World } from "./world.ts";

const REAL_CLOCK: Clock = {
  now: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

/** What has been handed to a stream and not been taken yet; one write after another keeps the order. */
class Output {
  readonly #stream: NodeJS.WriteStream;
  #tail: Promise<void> = Promise.resolve();

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  write(data: string | Uint8Array): Promise<void> {
    this.#tail = this.#tail.then(
      () =>
        new Promise((resolve) => {
          this.#stream.write(data, () => resolve());
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
  process.once("SIGINT", () => interrupt.abort());
  process.once("SIGTERM", () => interrupt.abort());
  process.stdout.on("error", () => process.exit(EXIT_OK));
  const stdout = new Output(process.stdout);
  const stderr = new Output(process.stderr);
  const world: World = {
    environment: process.env,
    fetch: (url, init) => fetch(url, init as RequestInit),
    clock: REAL_CLOCK,
    wallClock: () => new Date(),
    signal: interrupt.signal,
    out: (text) => {
      void stdout.write(text);
    },
    outBytes: (bytes) => stdout.write(bytes),
    err: (text) => {
      void stderr.write(text);
    },
    readFile,
    readStdin: async () => new Uint8Array(await Bun.stdin.arrayBuffer()),
    exists: existsSync,
    makeFolder: (path) => void mkdirSync(path, { recursive: true, mode: 0o700 }),
    installHost: async () => (await import("./install/system-host.ts")).SYSTEM_HOST,
    ssh: lazySsh((text) => void stderr.write(text)),
    forward: async (path) => {
      const { forwardToSocket } = await import("./ssh/forward.ts");
      await forwardToSocket(path, process.stdin, process.stdout);
    },
  };
  const status = await run(argv, program, world);
  await stdout.flushed();
  await stderr.flushed();
  return status;
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
