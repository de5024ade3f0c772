/**
 * Calls over TCP, the asking side: one connection an address, many calls on it.
 *
 * Idea. A connection is dialed when the first call needs it and kept. A call that times out although nothing at all came
 * back condemns its connection: after a cut link TCP itself would wait for minutes before it tries again.
 *
 * Invariants.
 * - A call settles exactly once: by its answer, its deadline, its caller's signal, or the end of its connection.
 * - `not-sent` is said only when not one byte of the request was handed to the kernel.
 *
 * @module
 */
import type { Socket } from "node:net";
import { CallError, type CallOptions, type Calls } from "../lib/calls.ts";
import { reasonOf } from "../lib/log.ts";
import { CallConnection, type PendingCall } from "./call-connection.ts";
import { encodeRequest, MAX_FRAME_BYTES, STREAM_WINDOW_BYTES } from "./call-frames.ts";

export interface CallsClientOptions {
  readonly clusterId: string;
  /** A connecting socket. */
  dial(address: string): Socket;
  /** Default: CONNECT_TIMEOUT_MS. */
  readonly connectTimeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 5000;
/** Two lost packets of the handshake; whoever takes longer is no use to a call either. */
const CONNECT_TIMEOUT_MS = 5000;
/** The window, and the one piece that a handler may have begun within it, however large. */
const MAX_WAITING_BYTES = STREAM_WINDOW_BYTES + MAX_FRAME_BYTES;

export class CallsClient implements Calls {
  readonly #options: CallsClientOptions;
  readonly #connections = new Map<string, CallConnection>();
  #closed = false;

  constructor(options: CallsClientOptions) {
    this.#options = options;
  }

  call(address: string, method: string, body: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const call: PendingCall = {
        what: `Calling ${method} on ${address}`,
        answer: resolve,
        chunk: () => reject(new CallError("lost", `Calling ${method} on ${address} failed: it answered with a stream`)),
        end: () => reject(new CallError("lost", `Calling ${method} on ${address} failed: it answered with a stream`)),
        fail: reject,
      };
      this.#start(address, "unary", method, body, call, { timeoutMs: DEFAULT_TIMEOUT_MS, ...options });
    });
  }

  async *stream(
    address: string,
    method: string,
    body: Uint8Array,
    options: CallOptions = {},
  ): AsyncGenerator<Uint8Array> {
    const queue = new ChunkQueue();
    const what = `Calling ${method} on ${address}`;
    const call: PendingCall = {
      what,
      answer: (bytes) => {
        queue.push(bytes);
        queue.end(null);
      },
      chunk: (bytes) => {
        if (queue.push(bytes)) return;
        queue.end(new CallError("lost", `${what} failed: it sends more than it was asked for`));
        handle.cancel();
      },
      end: () => queue.end(null),
      fail: (error) => queue.end(error),
    };
    const handle = this.#start(address, "stream", method, body, call, options);
    try {
      for (;;) {
        const bytes = await queue.next();
        if (bytes === null) return;
        yield bytes;
        handle.credit(bytes.length);
      }
    } finally {
      handle.cancel();
    }
  }

  /** Ends every connection; calls under way fail. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#connections.values()) connection.destroy("this daemon is stopping");
    this.#connections.clear();
  }

  #start(
    address: string,
    type: "unary" | "stream",
    method: string,
    body: Uint8Array,
    call: PendingCall,
    options: CallOptions,
  ): { credit(bytes: number): void; cancel(): void } {
    if (this.#closed || options.signal?.aborted === true) {
      call.fail(
        new CallError("not-sent", `${call.what} failed: ${this.#closed ? "this daemon is stopping" : "cancelled"}`),
      );
      return { credit() {}, cancel() {} };
    }
    let connection: CallConnection;
    try {
      connection = this.#connection(address);
    } catch (error) {
      call.fail(new CallError("not-sent", `${call.what} failed: ${reasonOf(error)}`));
      return { credit() {}, cancel() {} };
    }
    return connection.start(type, encodeRequest(method, body), call, options);
  }

  #connection(address: string): CallConnection {
    const present = this.#connections.get(address);
    if (present !== undefined && !present.broken) return present;
    const { clusterId, connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.#options;
    const connection = new CallConnection(this.#options.dial(address), { address, clusterId, connectTimeoutMs }, () => {
      if (this.#connections.get(address) === connection) this.#connections.delete(address);
    });
    this.#connections.set(address, connection);
    return connection;
  }
}

/** Chunks between the socket and the reader; the sender's window bounds it, or else the reader's patience. */
class ChunkQueue {
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #error: Error | null = null;
  #wake: (() => void) | null = null;

  /** @returns false when the sender ignores its window: what it sends from now on is not kept. */
  push(chunk: Uint8Array): boolean {
    if (this.#ended) return true;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.#wake?.();
    return this.#bytes <= MAX_WAITING_BYTES;
  }

  end(error: Error | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#wake?.();
  }

  async next(): Promise<Uint8Array | null> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#bytes -= chunk.length;
        return chunk;
      }
      if (this.#error !== null) throw this.#error;
      if (this.#ended) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
  }
}
