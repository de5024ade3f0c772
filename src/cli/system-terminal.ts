/**
 * The terminal that this process was started on, if any.
 *
 * @module
 */
import { isatty } from "node:tty";
import type { Pager, Terminal } from "./terminal.ts";

const DEFAULT_SIZE = { columns: 80, rows: 24 };

export class SystemTerminal implements Terminal {
  readonly stdin = isatty(0);
  readonly stdout = isatty(1);
  readonly stderr = isatty(2);
  #pagers = 0;

  /** A pager is open: Ctrl-C is for it. */
  get isPaging(): boolean {
    return this.#pagers > 0;
  }

  size(): { columns: number; rows: number } {
    const { columns, rows } = process.stdout;
    return { columns: columns || DEFAULT_SIZE.columns, rows: rows || DEFAULT_SIZE.rows };
  }

  startPager(command: readonly string[], environment: Readonly<Record<string, string>>): Pager | null {
    const closed = new AbortController();
    try {
      const child = Bun.spawn([...command], {
        stdin: "pipe",
        stdout: "inherit",
        stderr: "inherit",
        env: { ...process.env, ...environment },
      });
      this.#pagers += 1;
      const gone = child.exited.then(() => {
        this.#pagers -= 1;
        closed.abort();
      });
      return {
        closed: closed.signal,
        write: async (data) => {
          if (closed.signal.aborted) return;
          await this.#whileOpen(closed.signal, async () => {
            child.stdin.write(data);
            await child.stdin.flush();
          });
        },
        end: async () => {
          await this.#whileOpen(closed.signal, async () => await child.stdin.end());
          await gone;
        },
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT" || (error as NodeJS.ErrnoException).code === "EACCES") {
        return null;
      }
      throw error;
    }
  }

  /** A reader who leaves breaks the pipe that is being written to. */
  async #whileOpen(closed: AbortSignal, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!closed.aborted && (error as NodeJS.ErrnoException).code !== "EPIPE") throw error;
    }
  }

  readKeys(onKey: (key: string) => void, signal: AbortSignal): void {
    if (signal.aborted || !this.stdin) return;
    const { stdin } = process;
    const hear = (data: Buffer): void => {
      for (const key of data.toString()) onKey(key);
    };
    stdin.setRawMode(true);
    stdin.on("data", hear);
    stdin.resume();
    signal.addEventListener(
      "abort",
      () => {
        stdin.off("data", hear);
        stdin.setRawMode(false);
        stdin.pause();
      },
      { once: true },
    );
  }
}
