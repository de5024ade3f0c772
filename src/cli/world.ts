/**
 * What the command line needs from the machine it runs on, so that a test can be that machine.
 *
 * @module
 */
import type { Fetch } from "../client/index.ts";
import type { Clock } from "../lib/clock.ts";
import type { Environment } from "./global-flags.ts";
import type { InstallHost } from "./install/port.ts";
import type { Ssh } from "./ssh/port.ts";
import type { Terminal } from "./terminal.ts";

export interface World {
  readonly environment: Environment;
  readonly fetch: Fetch;
  readonly clock: Clock;
  /** The time of day; waits go by `clock`. */
  wallClock(): Date;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Data, and nothing else, goes to stdout. */
  out(text: string): void;
  /** Bytes of a stream; resolves when the reader of stdout can take more. */
  outBytes(bytes: Uint8Array): Promise<void>;
  /** Everything that is not data. */
  err(text: string): void;
  /** null when there is no such file; throws for one that cannot be read. */
  readFile(path: string): Uint8Array | null;
  /** All of stdin. */
  readStdin(): Promise<Uint8Array>;
  exists(path: string): boolean;
  /** With its parents, for this user alone; fine when it is there. */
  makeFolder(path: string): void;
  /** This host, as something that can be installed on. */
  installHost(): Promise<InstallHost>;
  readonly terminal: Terminal;
  readonly ssh: Ssh;
  /** stdin and stdout to a unix socket, until that ends. */
  forward(socketPath: string): Promise<void>;
}
