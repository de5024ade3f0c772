/**
 * Whether the other end of a connection still answers: HTTP/2 pings, as rarely as gRPC servers allow.
 *
 * Problem. A server that was powered off or stopped says nothing, and TCP takes minutes to notice; a watch would wait for ever.
 * Idea. While streams are open and nothing came for a while, ask. When a call got no answer in its time although the connection
 * was silent throughout, ask at once: a server that is merely slow answers a ping.
 * Invariants.
 * - Regular pings are at least PING_IDLE_MS apart and sent only while a stream is open: etcd's server closes connections that
 *   ping more often than every five seconds, or without a stream, but forgives two (grpc's keepalive enforcement policy).
 * - At most those two go out early before something else is heard.
 *
 * @module
 */
import type { Clock, Timer } from "../../lib/clock.ts";

const PING_IDLE_MS = 6_000;
const PING_TIMEOUT_MS = 3_000;
/** A call has waited already. */
const SUSPECT_TIMEOUT_MS = 1_000;
const EARLY_PINGS_MAX = 2;

export interface PulseOptions {
  readonly clock: Clock;
  /** Sends a ping; calls back when it is answered. */
  readonly ping: (answered: () => void) => void;
  readonly hasStreams: () => boolean;
  readonly onSilence: (reason: string) => void;
}

export class Pulse {
  readonly #options: PulseOptions;
  #heardMs: number;
  #earlyPings = 0;
  #idle: Timer | undefined;
  #answerDue: Timer | undefined;

  constructor(options: PulseOptions) {
    this.#options = options;
    this.#heardMs = options.clock.now();
    this.#idle = options.clock.after(PING_IDLE_MS, () => this.#look());
  }

  /** When something came last. */
  get heardMs(): number {
    return this.#heardMs;
  }

  /** Something came that is no answer to a ping. */
  heard(): void {
    this.#heardMs = this.#options.clock.now();
    this.#earlyPings = 0;
  }

  /** A call waited in vain on a silent connection. */
  suspect(): void {
    if (this.#answerDue !== undefined || this.#earlyPings >= EARLY_PINGS_MAX) return;
    this.#earlyPings++;
    this.#ping(SUSPECT_TIMEOUT_MS);
  }

  stop(): void {
    this.#idle?.cancel();
    this.#answerDue?.cancel();
    this.#idle = undefined;
  }

  #look(): void {
    const { clock, hasStreams } = this.#options;
    const quietMs = clock.now() - this.#heardMs;
    if (quietMs >= PING_IDLE_MS && hasStreams() && this.#answerDue === undefined) this.#ping(PING_TIMEOUT_MS);
    const waitMs = quietMs >= PING_IDLE_MS ? PING_IDLE_MS : PING_IDLE_MS - quietMs;
    this.#idle = clock.after(waitMs, () => this.#look());
  }

  #ping(timeoutMs: number): void {
    const due = this.#options.clock.after(timeoutMs, () => {
      this.#answerDue = undefined;
      this.#options.onSilence(`it did not answer a ping within ${timeoutMs} ms`);
    });
    this.#answerDue = due;
    this.#options.ping(() => {
      due.cancel();
      if (this.#answerDue === due) this.#answerDue = undefined;
      this.#heardMs = this.#options.clock.now();
    });
  }
}
