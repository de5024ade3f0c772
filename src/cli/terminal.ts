/**
 * What the command line asks of a terminal, so that a test can be one.
 *
 * @module
 */

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** A program that shows text page by page. */
export interface Pager {
  /** Resolves when it can take more; what comes after its end is dropped. */
  write(data: string | Uint8Array): Promise<void>;
  /** No more text: resolves when its reader has left it. */
  end(): Promise<void>;
  /** Aborted when its reader has left it. */
  readonly closed: AbortSignal;
}

export interface Terminal {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  size(): TerminalSize;
  /** Without a shell. null: there is no such program. While it runs, Ctrl-C is its own. */
  startPager(command: readonly string[], environment: Readonly<Record<string, string>>): Pager | null;
  /** Each key as it is typed, without echo, until the signal. Ctrl-C is one of them. */
  readKeys(onKey: (key: string) => void, signal: AbortSignal): void;
}
