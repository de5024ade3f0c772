/**
 * A tunnel to a far API: a unix socket here, whose every connection is an ssh session there.
 *
 * Problem. HTTP needs many connections at a time (an event stream beside requests), and each must not log in anew.
 * Idea. One ssh logs in and stays (the master); it runs a line that says when it is there and then waits for us to hang up.
 * Each connection to our socket is another ssh that uses the master's connection, so it costs no handshake. sshd allows some ten
 * sessions a connection; what goes beyond that logs in for itself.
 *
 * Invariants.
 * - The socket lies in a folder that only this user can enter, and is removed with it.
 * - Ctrl-C ends the command, not ssh under its hands: answers that are on their way still arrive. With the command ends ssh,
 *   even if it is killed: the master's far end waits on our stdin.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { shellLine, sshDestination } from "./arguments.ts";
import { sshResult } from "./child.ts";
import { type Tunnel, TunnelError, type TunnelPlan } from "./port.ts";

const READY_WORD = "flt-tunnel-is-open";
/** sshd's MaxSessions is 10 by default; the master has one of them. */
const MAX_SHARED_SESSIONS = 8;
/** A dead peer is noticed after some 15 s: before the event stream's own watch. */
const ALIVE_OPTIONS = ["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"];
/** ssh ends at once when it is told to; what does not is ended. */
const STOP_MS = 2_000;
/** What a user's own configuration may ask for with every login has no place in a pipe. */
const PLAIN_OPTIONS = [
  "-o",
  "RemoteCommand=none",
  "-o",
  "ClearAllForwardings=yes",
  "-o",
  "PermitLocalCommand=no",
  "-T",
];
/** Ctrl-C goes to every process of the terminal; this one is to be ended by us alone. */
const IGNORE_INTERRUPT = 'trap "" INT; exec "$@"';

export async function openTunnel(
  plan: TunnelPlan,
  signal: AbortSignal,
  sayError: (text: string) => void,
): Promise<Tunnel> {
  const folder = mkdtempSync(`${tmpdir()}/flt-`);
  chmodSync(folder, 0o700);
  const bridge = new Bridge(plan, folder, sayError);
  try {
    await bridge.open(signal);
    return bridge;
  } catch (error) {
    await bridge.close();
    throw error;
  }
}

class Bridge implements Tunnel {
  readonly socketPath: string;
  readonly proxyOptions: readonly string[];
  readonly #plan: TunnelPlan;
  readonly #folder: string;
  readonly #control: string;
  readonly #sayError: (text: string) => void;
  readonly #children = new Set<ChildProcess>();
  readonly #connections = new Set<Socket>();
  #sharedSessions = 0;
  #server: Server | null = null;
  #isClosed = false;

  constructor(plan: TunnelPlan, folder: string, sayError: (text: string) => void) {
    this.#plan = plan;
    this.#folder = folder;
    this.#control = `${folder}/master`;
    this.socketPath = `${folder}/api.sock`;
    this.#sayError = sayError;
    const proxy = ["ssh", ...plan.options, ...this.#shared(), "-W", "[%h]:%p", "--", plan.host];
    // ssh puts host and port in for %h and %p before a shell reads the line.
    this.proxyOptions = ["-o", `ProxyCommand=${proxy.map(proxyWord).join(" ")}`];
  }

  #shared(): string[] {
    return ["-S", this.#control, "-o", "ControlMaster=no"];
  }

  async open(signal: AbortSignal): Promise<void> {
    await this.#logIn(signal);
    const server = createServer({ allowHalfOpen: true }, (connection) => this.#carry(connection));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.socketPath, resolve);
    });
  }

  #logIn(signal: AbortSignal): Promise<void> {
    const { options, host } = this.#plan;
    const line = `echo ${READY_WORD} && exec cat >/dev/null`;
    const master = this.#spawn(
      [...options, ...ALIVE_OPTIONS, "-M", "-S", this.#control, "-o", "ControlPersist=no", ...PLAIN_OPTIONS],
      sshDestination(host, line),
    );
    const stop = (): void => void master.kill("SIGTERM");
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    return new Promise<void>((resolve, reject) => {
      let said = "";
      master.stdout?.setEncoding("utf8");
      master.stdout?.on("data", (text: string) => {
        said = (said + text).slice(-1_000);
        // Interrupted, it may have got that far all the same: its end is what counts then.
        if (said.includes(READY_WORD) && !signal.aborted) resolve();
      });
      sshResult(master, this.#sayError).then((result) => {
        if (!this.#isClosed && said.includes(READY_WORD)) this.#sayError("The tunnel was closed\n");
        const why = signal.aborted ? "interrupted" : `ssh ended with status ${result.status}`;
        reject(new TunnelError(`Cannot open the tunnel to "${host}": ${why}`, result));
      }, reject);
    }).finally(() => signal.removeEventListener("abort", stop));
  }

  /** One connection to the API, as long as either side has something to say. */
  #carry(connection: Socket): void {
    const { options, host, carry } = this.#plan;
    const isShared = this.#sharedSessions < MAX_SHARED_SESSIONS;
    if (isShared) this.#sharedSessions += 1;
    const own = isShared ? this.#shared() : ["-o", "ControlPath=none"];
    const child =
      carry.kind === "command"
        ? this.#spawn([...options, ...own, ...PLAIN_OPTIONS], sshDestination(host, carry.line))
        : this.#spawn([...options, ...own, "-W", carry.address], ["--", host]);
    this.#connections.add(connection);
    connection.on("error", () => child.kill("SIGTERM"));
    connection.on("close", () => {
      this.#connections.delete(connection);
      child.kill("SIGTERM");
    });
    // A broken pipe shows as the child's end.
    child.stdin?.on("error", () => {});
    if (child.stdin !== null) connection.pipe(child.stdin);
    child.stdout?.pipe(connection);
    sshResult(child, (text) => this.#isClosed || connection.destroyed || this.#sayError(text)).then(
      () => {
        if (isShared) this.#sharedSessions -= 1;
        // What the child wrote is in the pipe; after it there is nothing more to come.
        connection.end();
      },
      (error: Error) => connection.destroy(error),
    );
  }

  #spawn(options: readonly string[], destination: readonly string[]): ChildProcess {
    const child = spawn("sh", ["-c", IGNORE_INTERRUPT, "sh", "ssh", ...options, ...destination], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#children.add(child);
    child.once("close", () => this.#children.delete(child));
    return child;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#server?.close();
    for (const connection of this.#connections) connection.destroy();
    const ends = [...this.#children].map((child) => {
      return new Promise<void>((resolve) => {
        const insist = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
        child.once("close", () => {
          clearTimeout(insist);
          resolve();
        });
        child.kill("SIGTERM");
      });
    });
    await Promise.all(ends);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** ssh expands "%" and a shell reads the result; only %h and %p are meant to be expanded. */
function proxyWord(word: string): string {
  return word === "[%h]:%p" ? "'[%h]:%p'" : shellLine([word]).replaceAll("%", "%%");
}
