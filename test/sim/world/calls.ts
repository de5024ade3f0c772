/**
 * Calls between simulated daemons: production's Calls port over a network that loses, delays and cuts.
 *
 * @module
 */
import type { NodeId } from "#raft";
import { CallError, type CallOptions, type Calls } from "../../../src/lib/calls.ts";
import type { Clock } from "../../../src/lib/clock.ts";
import { within } from "../../../src/lib/wait.ts";
import type { Life } from "../life.ts";
import type { Host } from "./host.ts";

export interface CallsOptions {
  readonly from: NodeId;
  readonly life: Life;
  readonly time: Clock;
  readonly host: (address: string) => Host | undefined;
  readonly plan: (from: NodeId, to: NodeId) => readonly number[];
}

const TIMEOUT_MS = 5_000;

export class SimulatedCalls implements Calls {
  readonly #options: CallsOptions;

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  async call(
    address: string,
    method: string,
    body: Uint8Array,
    { signal, timeoutMs = TIMEOUT_MS }: CallOptions = {},
  ): Promise<Uint8Array> {
    const gone = new AbortController();
    const { life } = this.#options;
    const error = () => new CallError("lost", `No answer from ${address} in time`);
    try {
      return await within(life.clock, this.#exchange(address, method, body, gone.signal), { timeoutMs, signal, error });
    } catch (error) {
      gone.abort();
      throw error;
    }
  }

  // biome-ignore lint/correctness/useYield: nothing in here streams.
  async *stream(): AsyncGenerator<Uint8Array> {
    throw new CallError("not-sent", "There are no streams here");
  }

  #exchange(address: string, method: string, body: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const { from, life, host: hostAt } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const host = hostAt(address);
    if (host === undefined) return Promise.reject(new CallError("not-sent", `There is no host ${address}`));
    const back = (settle: () => void) => this.#carry(host.id, from, () => life.arrive(settle));
    this.#carry(from, host.id, () => {
      const handler = host.handlers.get(method);
      if (handler === undefined) {
        const refused = new CallError("not-sent", `Host ${address} refused the connection`);
        if (host.isPowered) back(() => reject(refused));
        return;
      }
      host.arrive(() => {
        if (handler.kind !== "unary") return;
        handler.handle(body, { signal }).then(
          (reply) => back(() => resolve(reply)),
          (error: unknown) => back(() => reject(new CallError("refused", String(error), "failed"))),
        );
      });
    });
    return promise;
  }

  /** Calls have connections: nothing of them comes twice. */
  #carry(from: NodeId, to: NodeId, run: () => void): void {
    const [delayMs] = this.#options.plan(from, to);
    if (delayMs !== undefined) this.#options.time.after(delayMs, run);
  }
}
