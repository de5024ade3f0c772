/**
 * strace as a disk that fails: attached to a member, it kills it at a system call on one of its files, or lets the call fail.
 *
 * Idea. SQLite takes no failpoints, but the kernel sees all that it does. `-P` limits what is hit to one kind of file, `when` to the
 * k-th call of a thread.
 *
 * @module
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../hosts/lib/wait.ts";

export const STRACE = "/usr/bin/strace";
export const HAVE_STRACE = existsSync(STRACE);

const ATTACH_MS = 10_000;
/** Snapshots' files that may come while the tracer is attached. */
const SNAPSHOTS_AHEAD = 40;

export const CALLS = {
  write: ["write", "pwrite64"],
  sync: ["fsync", "fdatasync"],
  truncate: ["ftruncate"],
  unlink: ["unlink"],
  open: ["openat"],
} as const;
export type Call = keyof typeof CALLS;
export type DataFile = "log" | "database" | "reserve" | "snapshot" | "directory";

export interface Injection {
  readonly call: Call;
  readonly file: DataFile;
  /** As strace words it: signal=KILL, error=EIO. */
  readonly effect: string;
  /** The k-th call of a thread; "1+": every one. */
  readonly when: string;
}

export class Tracer {
  readonly #folder = mkdtempSync(join(tmpdir(), "flt-strace-"));
  readonly #child: Bun.Subprocess<"ignore", "ignore", "pipe">;
  #said = "";

  private constructor(pid: number, words: readonly string[]) {
    this.#child = Bun.spawn([STRACE, "-f", "-o", this.#output, ...words, "-p", String(pid)], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    void this.#listen();
  }

  /** Resolves when every thread of the process is held. */
  static async attach(pid: number, directory: string, injection: Injection): Promise<Tracer> {
    const { call, file, effect, when } = injection;
    const calls = CALLS[call].join(",");
    const paths = pathsOf(directory, file).flatMap((path) => ["-P", path]);
    const words = [...paths, "-e", `trace=${calls}`, "-e", `inject=${calls}:${effect}:when=${when}`];
    const tracer = new Tracer(pid, words);
    try {
      await eventually("strace to be attached", ATTACH_MS, () => /Process \d+ attached/.test(tracer.#said));
    } catch (error) {
      await tracer.detach();
      throw error;
    }
    return tracer;
  }

  /** Lines of calls that were made to fail. */
  get injected(): number {
    return existsSync(this.#output) ? readFileSync(this.#output, "utf8").split("(INJECTED)").length - 1 : 0;
  }

  /** Lets the process go its way. */
  async detach(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #output(): string {
    return join(this.#folder, "calls");
  }

  async #listen(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const piece of this.#child.stderr) this.#said += decoder.decode(piece, { stream: true });
  }
}

function pathsOf(directory: string, file: DataFile): readonly string[] {
  const base = join(directory, "raft.db");
  if (file === "log") return [`${base}-wal`];
  if (file === "database") return [base];
  if (file === "reserve") return [`${base}.reserve`];
  if (file === "directory") return [directory];
  const prefix = "raft.db.snapshot-";
  const numbers = readdirSync(directory)
    .filter((name) => name.startsWith(prefix))
    .map((name) => Number(name.slice(prefix.length)));
  const newest = Math.max(0, ...numbers);
  const ahead = Array.from({ length: SNAPSHOTS_AHEAD }, (_, i) => newest + 1 + i);
  return [...numbers, ...ahead].map((number) => `${base}.snapshot-${number}`);
}
