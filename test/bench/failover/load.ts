/**
 * The benchmark's side of its client: tells it through whom to write, and keeps what it heard.
 *
 * @module
 */
import type { Cluster } from "../../hosts/lib/cluster.ts";
import { linesOf } from "../../hosts/lib/lines.ts";
import { eventually } from "../../hosts/lib/wait.ts";
import type { ClientOptions, Settled } from "./client.ts";

const CLIENT = `${import.meta.dir}/client.ts`;
const PROMPT_MS = 15_000;

export class Load {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #reading: Promise<void>;
  #settled: Settled[] = [];

  private constructor(child: Bun.Subprocess<"pipe", "pipe", "inherit">) {
    this.#child = child;
    this.#reading = this.#read();
  }

  static start(cluster: Cluster, options: ClientOptions): Load {
    const command = cluster.network.enter([process.execPath, CLIENT, JSON.stringify(options)]);
    return new Load(Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" }));
  }

  /** From now on writes go through these; resolves when the first was acknowledged. Forgets what it knew. */
  async begin(via: readonly string[]): Promise<void> {
    this.#settled = [];
    this.#say(via);
    await this.until("a write before the fault", PROMPT_MS, ({ failure }) => failure === null);
  }

  /** No further writes. */
  end(): void {
    this.#say([]);
  }

  /** The first write that is so, in the order in which they settled. */
  until(what: string, timeoutMs: number, isIt: (settled: Settled) => boolean): Promise<Settled> {
    return eventually(what, timeoutMs, () => this.#settled.find(isIt));
  }

  /** Everything that settled since begin(). */
  get settled(): readonly Settled[] {
    return this.#settled;
  }

  async stop(): Promise<void> {
    this.#child.kill();
    await this.#child.exited;
    await this.#reading;
  }

  #say(via: readonly string[]): void {
    this.#child.stdin.write(`${JSON.stringify({ via })}\n`);
    this.#child.stdin.flush();
  }

  async #read(): Promise<void> {
    for await (const line of linesOf(this.#child.stdout)) this.#settled.push(JSON.parse(line) as Settled);
  }
}
