/**
 * What an installation needs from the host, so that a test can be one.
 *
 * @module
 */
export interface CommandResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface InstallHost {
  isRoot(): boolean;
  /** Has systemd booted this host? */
  runsSystemd(): boolean;
  /** The program that runs now; null when it is no executable of its own. */
  executable(): Uint8Array | null;
  /** null: there is no such file. */
  read(path: string): Uint8Array | null;
  /** Whole or not at all. Makes missing folders and returns the outermost of them, if it made any. */
  write(path: string, content: Uint8Array, mode: number): string | null;
  remove(path: string): void;
  /** There is a socket of this name, and nobody listens on it. */
  isDeadSocket(path: string): Promise<boolean>;
  /** True when it was there and empty, and is gone now. */
  removeEmptyFolder(path: string): boolean;
  run(command: readonly string[]): Promise<CommandResult>;
}
