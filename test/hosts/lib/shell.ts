/**
 * Runs commands for the host tests: with a deadline, with their output, and never through a shell's quoting.
 *
 * Invariants.
 * - A command that outlives its deadline is killed with every process of its group, and says so.
 * - No secrets or settings of the machine leak in: the environment is a short list.
 *
 * @module
 */

export interface Outcome {
  /** Exit code; 128 + signal where a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecOptions {
  readonly timeoutMs?: number;
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export const BARE_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/root",
  LANG: "C.UTF-8",
  TERM: "dumb",
};

const TIMEOUT_MS = 20_000;

/** Thrown by {@link mustExec} and by a deadline; carries what the command printed. */
export class CommandError extends Error {
  readonly code = "command-failed";
  readonly outcome: Outcome;

  constructor(command: readonly string[], outcome: Outcome, why: string) {
    const said = [outcome.stderr.trim(), outcome.stdout.trim()].filter((text) => text !== "").join("\n");
    super(`Run "${command.join(" ")}": ${why}${said === "" ? "" : `\n${said}`}`);
    this.outcome = outcome;
  }
}

/** Sends a signal to a process that this run started; false when it is gone. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}

/** Runs to the end; rejects only when the deadline passes. */
export async function exec(command: readonly string[], options: ExecOptions = {}): Promise<Outcome> {
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  const child = Bun.spawn([...command], {
    env: { ...BARE_ENVIRONMENT, ...options.env },
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    stdin: options.stdin === undefined ? "ignore" : new Blob([options.stdin]),
    stdout: "pipe",
    stderr: "pipe",
    detached: true,
  });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    signal(-child.pid, "SIGKILL");
  }, timeoutMs);
  try {
    const [stdout, stderr, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    const outcome = { code, stdout, stderr };
    if (late) {
      throw new CommandError(command, outcome, `still running after ${timeoutMs} ms`);
    }
    return outcome;
  } finally {
    clearTimeout(timer);
  }
}

/** Runs to the end and returns stdout; rejects when the exit code is not 0. */
export async function mustExec(command: readonly string[], options: ExecOptions = {}): Promise<string> {
  const outcome = await exec(command, options);
  if (outcome.code !== 0) {
    throw new CommandError(command, outcome, `exit code ${outcome.code}`);
  }
  return outcome.stdout;
}
