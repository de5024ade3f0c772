/**
 * The host that the program runs on, for `flt install`.
 *
 * @module
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { reasonOf } from "../../lib/log.ts";
import { CliError } from "../command.ts";
import type { CommandResult, InstallHost } from "./port.ts";

/** Where the modules of a compiled program lie. */
const COMPILED = "/$bunfs/";
/** A service that hands its units over has 45 s (TimeoutStopSec=), a slow host longer. */
const COMMAND_MS = 120_000;

export const SYSTEM_HOST: InstallHost = {
  isRoot: () => process.getuid?.() === 0,
  // sd_booted(3)
  runsSystemd: () => existsSync("/run/systemd/system"),
  executable: () => (import.meta.path.startsWith(COMPILED) ? readFileSync(process.execPath) : null),
  read(path) {
    try {
      return readFileSync(path);
    } catch (error) {
      if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return null;
      throw new CliError(`Cannot read ${path}: ${reasonOf(error)}`);
    }
  },
  write(path, content, mode) {
    try {
      const made = mkdirSync(dirname(path), { recursive: true, mode: 0o755 }) ?? null;
      replaceFile(path, content, mode);
      return made;
    } catch (error) {
      throw new CliError(`Cannot write ${path}: ${reasonOf(error)}`);
    }
  },
  remove(path) {
    try {
      rmSync(path, { force: true });
    } catch (error) {
      throw new CliError(`Cannot remove ${path}: ${reasonOf(error)}`);
    }
  },
  isDeadSocket,
  removeEmptyFolder(path) {
    try {
      rmdirSync(path);
      return true;
    } catch (error) {
      const code = codeOf(error);
      if (code === "ENOTEMPTY" || code === "EEXIST" || code === "ENOENT" || code === "EBUSY") return false;
      throw new CliError(`Cannot remove ${path}: ${reasonOf(error)}`);
    }
  },
  run,
};

function replaceFile(path: string, content: Uint8Array, mode: number): void {
  const temporary = `${path}.flt-new`;
  // What a run that was cut short has left; whatever it is, it is not followed.
  rmSync(temporary, { force: true });
  const file = openSync(temporary, "wx", mode);
  try {
    for (let at = 0; at < content.length; ) at += writeSync(file, content, at);
    fsyncSync(file);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}

/** What a process that was killed leaves behind: a socket that nobody listens on. */
async function isDeadSocket(path: string): Promise<boolean> {
  if (statSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return false;
  try {
    // A unix socket takes a connection at once, or never.
    (await Bun.connect({ unix: path, socket: { data() {} } })).end();
    return false;
  } catch (error) {
    return codeOf(error) === "ECONNREFUSED";
  }
}

async function run(command: readonly string[]): Promise<CommandResult> {
  try {
    const child = Bun.spawn([...command], { stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: COMMAND_MS });
    const [stdout, stderr, status] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    return { status, stdout, stderr };
  } catch (error) {
    throw new CliError(`Cannot run ${command[0]}: ${reasonOf(error)}`);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
