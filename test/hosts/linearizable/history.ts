/**
 * What the clients were told, key by key, and the verdict on it.
 *
 * @module
 */

import { type Operation, unexplained } from "../../sim/check/linearizable.ts";
import type { Cluster } from "../lib/cluster.ts";
import { linesOf } from "../lib/lines.ts";
import { CLIENTS_ENVIRONMENT, type ClientsOptions, type Ended } from "./clients.ts";

const CLIENTS = `${import.meta.dir}/clients.ts`;

export class History {
  readonly counts = { done: 0, undone: 0, unknown: 0 };
  readonly #keys = new Map<string, Operation[]>();
  /** How often each reason kept an operation from being done. */
  readonly reasons = new Map<string, number>();
  /** Longest time in which no change was acknowledged by anybody. */
  longestPauseMs = 0;
  #changedAt = 0;

  add({ fate, action, key, callAt, endAt, why }: Ended): void {
    this.counts[fate] += 1;
    if (why !== undefined) this.#because(why);
    if (fate === "undone" || action === null) return;
    this.note(key, { action, callAt, returnAt: fate === "done" ? endAt : Number.POSITIVE_INFINITY });
    if (fate !== "done" || action.kind === "read") return;
    if (this.#changedAt > 0) this.longestPauseMs = Math.max(this.longestPauseMs, endAt - this.#changedAt);
    this.#changedAt = endAt;
  }

  note(key: string, operation: Operation): void {
    const history = this.#keys.get(key) ?? [];
    this.#keys.set(key, history);
    history.push(operation);
  }

  get keys(): readonly string[] {
    return [...this.#keys.keys()];
  }

  /** The operation of each key that no order explains. */
  verdict(): { readonly key: string; readonly operation: Operation }[] {
    return [...this.#keys].flatMap(([key, history]) => {
      const operation = unexplained(history);
      return operation === null ? [] : [{ key, operation }];
    });
  }

  /** All that is known of one key, for whoever looks into a verdict. */
  of(key: string): readonly Operation[] {
    return [...(this.#keys.get(key) ?? [])].sort((one, other) => one.callAt - other.callAt);
  }

  #because(why: string): void {
    const kind = why.replace(/\d{2,}(\.\d+)*(:\d+)?/g, "…").slice(0, 110);
    this.reasons.set(kind, (this.reasons.get(kind) ?? 0) + 1);
  }
}

/** The clients' process; what it tells goes into the history. */
export class Clients {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #reading: Promise<void>;

  constructor(cluster: Cluster, options: ClientsOptions, history: History) {
    const command = cluster.network.enter([process.execPath, CLIENTS, JSON.stringify(options)]);
    const env = { ...process.env, ...CLIENTS_ENVIRONMENT };
    this.#child = Bun.spawn(command, { env, stdin: "pipe", stdout: "pipe", stderr: "inherit" });
    this.#reading = this.#read(history);
  }

  /** No further operations; resolves when the last one ended. Rejects when the process failed: it was told what no fault explains. */
  async end(): Promise<void> {
    this.#child.stdin.end();
    await this.#reading;
    const code = await this.#child.exited;
    if (code !== 0) throw new Error(`The clients ended with ${code}: see above`);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async #read(history: History): Promise<void> {
    for await (const line of linesOf(this.#child.stdout)) history.add(JSON.parse(line) as Ended);
  }
}
