/**
 * One dialed connection of the call protocol and the calls under way on it.
 *
 * Invariants.
 * - Whatever ends the connection fails every call on it, each with the right doubt: `not-sent` while connecting, `lost` after.
 * - A call's timer and signal listener end with the call.
 * - Connecting has an end of its own: a stream has no deadline, and the kernel would try for minutes.
 *
 * @module
 */
import type { Socket } from "node:net";
import { CallError, type CallOptions } from "../lib/calls.ts";
import {
  CALL_MAGIC,
  CALL_VERSION,
  decodeRefusal,
  encodeFields,
  encodeFrame,
  encodeNumber,
  type Frame,
  FrameReader,
} from "./call-frames.ts";

/** A frame's call id has four bytes; 0 is the connection's own. */
const ID_MAX = 0xffff_ffff;

/** What a call wants to hear; exactly one of answer, end, fail is called last. */
export interface PendingCall {
  /** "Calling kv.txn on 10.0.0.2:2380": begins every error. */
  readonly what: string;
  answer(body: Uint8Array): void;
  chunk(bytes: Uint8Array): void;
  end(): void;
  fail(error: CallError): void;
}

export interface ConnectionOptions {
  readonly address: string;
  readonly clusterId: string;
  readonly connectTimeoutMs: number;
}

interface Running {
  readonly call: PendingCall;
  readonly settle: () => void;
}

export class CallConnection {
  readonly #socket: Socket;
  readonly #address: string;
  readonly #reader = new FrameReader();
  readonly #running = new Map<number, Running>();
  readonly #onEnd: () => void;
  readonly #connectTimer: NodeJS.Timeout;
  #nextId = 0;
  #connected = false;
  #ended = false;
  #bytesRead = 0;
  /** Written once the socket connects; before that nothing has left this machine. */
  #waiting: { readonly id: number; readonly bytes: Uint8Array }[] = [];

  constructor(socket: Socket, { address, clusterId, connectTimeoutMs }: ConnectionOptions, onEnd: () => void) {
    this.#socket = socket;
    this.#address = address;
    this.#onEnd = onEnd;
    this.#connectTimer = setTimeout(() => this.destroy(`cannot connect to ${address} in time`), connectTimeoutMs);
    socket.once("connect", () => this.#onConnect(clusterId));
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("error", (error) => this.destroy(error.message));
    socket.on("close", () => this.destroy("the connection closed"));
  }

  get broken(): boolean {
    return this.#ended;
  }

  start(
    type: "unary" | "stream",
    request: Uint8Array,
    call: PendingCall,
    options: CallOptions,
  ): { credit(bytes: number): void; cancel(): void } {
    const id = this.#takeId();
    const readBefore = this.#bytesRead;
    const timer =
      options.timeoutMs === undefined ? null : setTimeout(() => this.#expire(id, readBefore), options.timeoutMs);
    const abort = () => this.#giveUp(id, "cancelled");
    options.signal?.addEventListener("abort", abort, { once: true });
    this.#running.set(id, {
      call,
      settle: () => {
        if (timer !== null) clearTimeout(timer);
        options.signal?.removeEventListener("abort", abort);
        this.#running.delete(id);
      },
    });
    const bytes = encodeFrame(type, id, request);
    if (this.#connected) this.#socket.write(bytes);
    else this.#waiting.push({ id, bytes });
    return {
      credit: (count) => {
        if (this.#running.has(id)) this.#write(encodeFrame("credit", id, encodeNumber(count)));
      },
      cancel: () => {
        if (!this.#running.has(id)) return;
        this.#running.get(id)?.settle();
        this.#write(encodeFrame("cancel", id));
      },
    };
  }

  /** Ends the connection and fails what is under way. */
  destroy(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#connectTimer);
    this.#socket.destroy();
    this.#onEnd();
    const unsent = new Set(this.#waiting.map((waiting) => waiting.id));
    for (const [id, running] of [...this.#running]) {
      running.settle();
      const code = unsent.has(id) ? "not-sent" : "lost";
      running.call.fail(new CallError(code, `${running.call.what} failed: ${reason}`));
    }
  }

  /** 32 bits, used again after the last: a long-lived connection counts so far in weeks. */
  #takeId(): number {
    do this.#nextId = (this.#nextId % ID_MAX) + 1;
    while (this.#running.has(this.#nextId));
    return this.#nextId;
  }

  #onConnect(clusterId: string): void {
    clearTimeout(this.#connectTimer);
    this.#connected = true;
    const hello = encodeFields({ cluster: clusterId, version: String(CALL_VERSION) });
    this.#socket.cork();
    this.#socket.write(CALL_MAGIC);
    this.#socket.write(encodeFrame("hello", 0, hello));
    for (const { id, bytes } of this.#waiting) if (this.#running.has(id)) this.#socket.write(bytes);
    this.#socket.uncork();
    this.#waiting = [];
  }

  #onData(chunk: Buffer): void {
    this.#bytesRead += chunk.length;
    try {
      for (const frame of this.#reader.push(chunk)) this.#onFrame(frame);
    } catch (error) {
      this.destroy(error instanceof Error ? error.message : String(error));
    }
  }

  #onFrame(frame: Frame): void {
    // Id 0 is the connection's own: the other daemon refused the hello.
    if (frame.type === "refusal" && frame.id === 0) {
      this.destroy(decodeRefusal(frame.payload).message ?? "the other daemon refused the connection");
      return;
    }
    const running = this.#running.get(frame.id);
    if (running === undefined) return; // a late frame of a call that was given up
    if (frame.type === "chunk") {
      running.call.chunk(frame.payload);
      return;
    }
    // What cannot be read ends the connection, and all calls that are not settled with it: this one, too.
    const refusal = frame.type === "refusal" ? decodeRefusal(frame.payload) : null;
    running.settle();
    if (frame.type === "answer") running.call.answer(frame.payload);
    else if (frame.type === "end") running.call.end();
    else if (refusal !== null) {
      const { code, message } = refusal;
      running.call.fail(new CallError("refused", message ?? `${running.call.what} was refused`, code));
    } else running.call.fail(new CallError("lost", `${running.call.what} failed: unexpected ${frame.type} frame`));
  }

  /** Silence since the call began condemns the connection: the next call dials anew. */
  #expire(id: number, readBefore: number): void {
    const silent = this.#bytesRead === readBefore;
    this.#giveUp(id, this.#connected ? "no answer in time" : `cannot connect to ${this.#address} in time`);
    if (silent) this.destroy("the other machine is silent");
  }

  #giveUp(id: number, reason: string): void {
    const running = this.#running.get(id);
    if (running === undefined) return;
    running.settle();
    const sent = this.#connected;
    if (sent) this.#write(encodeFrame("cancel", id));
    running.call.fail(new CallError(sent ? "lost" : "not-sent", `${running.call.what} failed: ${reason}`));
  }

  #write(bytes: Uint8Array): void {
    if (this.#connected && !this.#ended) this.#socket.write(bytes);
  }
}
