/**
 * How much may be under way at once on a connection: as many streams as the server said, and so many bytes.
 *
 * Problem. A server refuses streams above its limit (SETTINGS_MAX_CONCURRENT_STREAMS), and Bun 1.4.5 sends them all the same; after a
 * hundred refusals it ends the connection. It also ends one on which more waits to be sent than SESSION_MEMORY_MB. Either way
 * every write on it has an unknown fate. etcd has no limit of streams unless it is told one (`--max-concurrent-streams`), proxies
 * before it have.
 * Idea. Calls wait here for their turn, in order, within their time: what waits was not sent. Streams that stay open (watches) do
 * not wait, and get half of the room at most, so that there is always some for calls.
 *
 * @module
 */
import type { Clock } from "../../lib/clock.ts";
import { within } from "../../lib/wait.ts";
import { GrpcError, Status } from "./status.ts";

/** For node:http2, which counts in its own way what it holds: twice what is let through here. */
export const SESSION_MEMORY_MB = 64;
/** Twenty of the largest requests. */
const BYTES_MAX = 32_000_000;

interface Turn extends PromiseWithResolvers<void> {
  readonly bytes: number;
  isGiven: boolean;
}

export class Slots {
  readonly #clock: Clock;
  readonly #queue: Turn[] = [];
  #limit: number;
  #calls = 0;
  #lasting = 0;
  #bytes = 0;

  constructor(clock: Clock, limit: number) {
    this.#clock = clock;
    this.#limit = limit;
  }

  /** The server may say something else later. */
  set limit(limit: number) {
    this.#limit = limit;
    this.#admit();
  }

  /** For a call: resolves when it may be sent. Throws GrpcError when that is not in time. */
  async take(bytes: number, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    const turn: Turn = { ...Promise.withResolvers<void>(), bytes, isGiven: false };
    this.#queue.push(turn);
    this.#admit();
    if (turn.isGiven) return;
    try {
      await within(this.#clock, turn.promise, {
        timeoutMs,
        signal,
        error: (why) =>
          why === "aborted"
            ? new GrpcError(Status.cancelled, "it was cancelled", "not-sent")
            : new GrpcError(
                Status.unavailable,
                `not sent within ${Math.round(timeoutMs)} ms: ${this.#tooMuch()}`,
                "not-sent",
              ),
      });
    } catch (error) {
      const index = this.#queue.indexOf(turn);
      if (index >= 0) this.#queue.splice(index, 1);
      throw error;
    }
  }

  free(bytes: number): void {
    this.#calls--;
    this.#bytes -= bytes;
    this.#admit();
  }

  /** For a stream that stays open. Throws GrpcError. */
  takeLasting(): void {
    if (this.#lasting >= Math.floor(this.#limit / 2)) {
      throw new GrpcError(
        Status.unavailable,
        `not sent: ${this.#tooManyStreams()}, and half of them are watches`,
        "not-sent",
      );
    }
    this.#lasting++;
  }

  freeLasting(): void {
    this.#lasting--;
    this.#admit();
  }

  /** The connection is over. */
  close(error: GrpcError): void {
    for (const turn of this.#queue.splice(0)) turn.reject(error);
  }

  #admit(): void {
    for (let turn = this.#queue[0]; turn !== undefined; turn = this.#queue[0]) {
      if (this.#calls + this.#lasting >= this.#limit) return;
      if (this.#calls > 0 && this.#bytes + turn.bytes > BYTES_MAX) return;
      this.#queue.shift();
      turn.isGiven = true;
      this.#calls++;
      this.#bytes += turn.bytes;
      turn.resolve();
    }
  }

  #tooMuch(): string {
    const isFull = this.#calls + this.#lasting >= this.#limit;
    return isFull ? this.#tooManyStreams() : `requests of ${this.#bytes} bytes are under way`;
  }

  #tooManyStreams(): string {
    return `the server takes ${this.#limit} streams at once on a connection`;
  }
}
