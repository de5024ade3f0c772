/**
 * A snapshot on a connection of its own, so that megabytes never stand in front of a heartbeat.
 *
 *     sender      hello, [resume,] begin, chunk ... chunk, end
 *     receiver    welcome, ack ... ack, done | failed
 *
 * Idea. The receiver acks each chunk when its disk has taken it, the sender keeps a small window: the slower of disk and network
 * sets the pace, neither side holds more than the window, and the link's own queue never grows so long that heartbeats would be late
 * behind it. While the receiver installs it, it goes on acking. What a broken transfer left there stands in the welcome: the sender,
 * when its own bytes begin so, leaves that out. The end carries the digest of all of it.
 *
 * Invariants.
 * - In flight are at most WINDOW_CHUNKS chunks and WINDOW_BYTES, or a single chunk. The receiver holds no more than WINDOW_CHUNKS.
 * - Either side gives up when the other gives no sign of life for PATIENCE_MS.
 * - "done" may come at any time: the receiver found that it needs no more.
 *
 * @module
 */
import type { Socket } from "node:net";
import type { Clock, IncomingSnapshot, SnapshotPrefix, Timer } from "../driver/ports.ts";
import { SnapshotDigest, skipPrefix } from "../driver/snapshot-digest.ts";
import { reasonOf } from "../driver/snapshots.ts";
import type { SnapshotMeta, Term } from "../types.ts";
import { Connection } from "./connection.ts";
import {
  decodeDigest,
  decodePrefix,
  decodeReason,
  decodeResume,
  decodeSnapshotBegin,
  encodeDigest,
  encodeReason,
  encodeResume,
  encodeSnapshotBegin,
  type Frame,
  frame,
} from "./frames.ts";

/** The store's chunks have 64 KiB and a value at most: 25 MB/s at a round trip of 10 ms, and 0.2 s in the queue of a link of 10 Mbit/s. */
const WINDOW_CHUNKS = 4;
const WINDOW_BYTES = 1024 * 1024;
/** A peer that is starved of CPU is slow, not dead. */
const PATIENCE_MS = 10_000;
const SIGN_OF_LIFE_MS = 2000;

/** Wakes whoever waits for the state of a stream to change; errors end the waiting. */
class Signal {
  #wake: (() => void) | null = null;
  notify(): void {
    this.#wake?.();
    this.#wake = null;
  }
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

class Patience {
  readonly #clock: Clock;
  readonly #over: () => void;
  #timer: Timer | null = null;
  constructor(clock: Clock, over: () => void) {
    this.#clock = clock;
    this.#over = over;
    this.renew();
  }
  renew(): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(PATIENCE_MS, this.#over);
  }
  end(): void {
    this.#timer?.cancel();
  }
}

export interface OutgoingSnapshot {
  readonly clock: Clock;
  readonly dial: () => Socket;
  readonly greeting: Uint8Array;
  readonly meta: SnapshotMeta;
  readonly term: Term;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Hands out the connection, so that stop() can close it. */
  readonly opened: (connection: Connection) => void;
}

/** Resolves when the peer has it on disk; rejects with the reason when that is not known. */
export async function sendSnapshotOver(options: OutgoingSnapshot): Promise<void> {
  await new SnapshotSender(options).run();
}

class SnapshotSender {
  readonly #options: OutgoingSnapshot;
  readonly #signal = new Signal();
  readonly #connection: Connection;
  readonly #patience: Patience;
  readonly #digest = new SnapshotDigest();
  #welcome: { readonly prefix: SnapshotPrefix | null } | null = null;
  /** Bytes of each chunk that was not acked yet, oldest first. */
  readonly #inFlight: number[] = [];
  #inFlightBytes = 0;
  #outcome: "open" | "done" | Error = "open";

  constructor(options: OutgoingSnapshot) {
    this.#options = options;
    this.#connection = new Connection(options.dial(), {
      frame: (received) => this.#received(received),
      closed: (reason) => this.#end(new Error(`Send a snapshot: the connection broke (${reason})`)),
    });
    this.#patience = new Patience(options.clock, () => this.#connection.close("the peer gives no sign of life"));
    options.opened(this.#connection);
  }

  async run(): Promise<void> {
    const chunks = this.#options.chunks[Symbol.asyncIterator]();
    this.#connection.write(this.#options.greeting);
    try {
      await this.#until(() => this.#welcome !== null);
      if (this.#outcome === "open") await this.#sendAll(chunks);
      await this.#until(() => false);
    } finally {
      this.#patience.end();
      this.#connection.close("the transfer is over");
      await chunks.return?.();
    }
    if (this.#outcome instanceof Error) throw this.#outcome;
  }

  async #sendAll(chunks: AsyncIterator<Uint8Array>): Promise<void> {
    const { meta, term } = this.#options;
    const prefix = await skipPrefix(meta, chunks, this.#welcome?.prefix ?? null, this.#digest);
    const begin = frame("snapshot-begin", encodeSnapshotBegin(meta, term));
    if (prefix === "differs") {
      // What was read to compare is gone. A begin makes the receiver let go of its prefix, and the next try brings all.
      this.#connection.close("the peer has the beginning of another snapshot", begin);
      return;
    }
    if (prefix === "skipped") this.#connection.write(frame("snapshot-resume", encodeResume(this.#digest.chunks)));
    this.#connection.write(begin);
    for (;;) {
      const { done, value } = await chunks.next();
      if (done) break;
      await this.#until(() => this.#hasRoomFor(value));
      if (this.#outcome !== "open") return;
      this.#digest.add(value);
      this.#inFlight.push(value.length);
      this.#inFlightBytes += value.length;
      this.#connection.write(frame("snapshot-chunk", value));
    }
    this.#connection.write(frame("snapshot-end", encodeDigest(this.#digest.value())));
  }

  #hasRoomFor(chunk: Uint8Array): boolean {
    const { length } = this.#inFlight;
    return length === 0 || (length < WINDOW_CHUNKS && this.#inFlightBytes + chunk.length <= WINDOW_BYTES);
  }

  /** Waits for the condition, or for the end of it all. */
  async #until(condition: () => boolean): Promise<void> {
    while (this.#outcome === "open" && !condition()) await this.#signal.wait();
  }

  #received({ type, payload }: Frame): void {
    this.#patience.renew();
    if (type === "welcome") this.#welcome = { prefix: decodePrefix(payload) };
    else if (type === "ack") this.#inFlightBytes -= this.#inFlight.shift() ?? 0;
    else if (type === "snapshot-done") this.#end("done");
    else if (type === "refused" || type === "snapshot-failed") this.#end(new Error(decodeReason(payload)));
    else this.#end(new Error(`Send a snapshot: unexpected frame "${type}"`));
    this.#signal.notify();
  }

  #end(outcome: "done" | Error): void {
    if (this.#outcome === "open") this.#outcome = outcome;
    this.#signal.notify();
  }
}

/** The chunks of a snapshot as they come in; each one that is asked for acks the one before. */
class IncomingChunks implements AsyncIterableIterator<Uint8Array> {
  readonly #ack: () => void;
  readonly #signal = new Signal();
  #waiting: Uint8Array[] = [];
  #ended = false;
  #error: Error | null = null;
  #owesAck = false;

  constructor(ack: () => void) {
    this.#ack = ack;
  }

  /** @returns false when the sender ignores the window. Senders of an earlier release count chunks alone, however large they are. */
  push(chunk: Uint8Array): boolean {
    this.#waiting.push(chunk);
    this.#signal.notify();
    return this.#waiting.length <= WINDOW_CHUNKS;
  }

  end(error: Error | null): void {
    this.#ended = true;
    this.#error ??= error;
    this.#signal.notify();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#owesAck) this.#ack();
    this.#owesAck = false;
    for (;;) {
      if (this.#error !== null) throw this.#error;
      const value = this.#waiting.shift();
      if (value !== undefined) {
        this.#owesAck = true;
        return { done: false, value };
      }
      if (this.#ended) return { done: true, value: undefined };
      await this.#signal.wait();
    }
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    this.end(null);
    this.#waiting = [];
    return { done: true, value: undefined };
  }
}

export type SnapshotTaker = (incoming: IncomingSnapshot) => Promise<void>;

/** Takes over a connection whose greeting was accepted; `ended` is told of its end. */
export function receiveSnapshotOver(
  connection: Connection,
  clock: Clock,
  take: SnapshotTaker,
  ended: () => void,
): void {
  const ack = () => connection.write(frame("ack"));
  const chunks = new IncomingChunks(ack);
  const patience = new Patience(clock, () => connection.close("the sender gives no sign of life"));
  let state: "greeted" | "taking" | "complete" = "greeted";
  let skipped = 0;
  let digest: string | null = null;
  let sign: Timer | null = null;
  const signOfLife = () => {
    sign = clock.after(SIGN_OF_LIFE_MS, () => {
      ack();
      signOfLife();
    });
  };
  const begin = ({ meta, term }: { readonly meta: SnapshotMeta; readonly term: Term }) => {
    state = "taking";
    take({ meta, term, skipped, chunks, digest: () => digest }).then(
      () => connection.close("it is taken", frame("snapshot-done")),
      (error) => connection.close("it was not taken", frame("snapshot-failed", encodeReason(reasonOf(error)))),
    );
  };
  const frames = ({ type, payload }: Frame) => {
    patience.renew();
    if (type === "snapshot-resume" && state === "greeted") skipped = decodeResume(payload);
    else if (type === "snapshot-begin" && state === "greeted") begin(decodeSnapshotBegin(payload));
    else if (type === "snapshot-chunk" && state === "taking") {
      if (!chunks.push(payload.slice())) connection.close("the sender ignores the window");
    } else if (type === "snapshot-end" && state === "taking") {
      state = "complete";
      digest = decodeDigest(payload);
      chunks.end(null);
      // From here on it is this side's turn: it works, and says so.
      patience.end();
      signOfLife();
    } else connection.close(`unexpected frame "${type}"`);
  };
  connection.handler = {
    frame: frames,
    closed: (reason) => {
      ended();
      patience.end();
      sign?.cancel();
      if (state !== "complete") chunks.end(new Error(`Receive a snapshot: the connection broke (${reason})`));
    },
  };
}
