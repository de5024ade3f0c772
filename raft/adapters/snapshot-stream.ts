/**
 * A snapshot on a connection of its own, so that megabytes never stand in front of a heartbeat.
 *
 *     sender      hello, begin, chunk ... chunk, end
 *     receiver    welcome, ack ... ack, done | failed
 *
 * Idea. The receiver acks each chunk when its disk has taken it, the sender keeps a window of a few chunks: the slower of
 * disk and network sets the pace, and neither side holds more than the window. While the receiver installs it, which can
 * take seconds, it goes on acking.
 *
 * Invariants.
 * - Either side gives up when the other gives no sign of life for PATIENCE_MS.
 * - "done" may come at any time: the receiver found that it needs no more.
 *
 * @module
 */
import type { Socket } from "node:net";
import type { Clock, Timer } from "../driver/ports.ts";
import { reasonOf } from "../driver/snapshots.ts";
import type { SnapshotMeta, Term } from "../types.ts";
import { Connection } from "./connection.ts";
import { decodeReason, decodeSnapshotBegin, encodeReason, encodeSnapshotBegin, type Frame, frame } from "./frames.ts";

/** Chunks on their way. With chunks of 256 KiB and a round trip of 10 ms this is 100 MB/s. */
const WINDOW_CHUNKS = 4;
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
  /** Chunks that may be sent; the welcome gives the window, each ack one more. */
  #credit = 0;
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
    this.#connection.write(this.#options.greeting);
    try {
      for await (const chunk of this.#options.chunks) {
        await this.#until(() => this.#credit > 0);
        if (this.#outcome !== "open") break;
        this.#credit -= 1;
        this.#connection.write(frame("snapshot-chunk", chunk));
      }
      await this.#until(() => this.#credit > 0);
      this.#connection.write(frame("snapshot-end"));
      await this.#until(() => false);
    } finally {
      this.#patience.end();
      this.#connection.close("the transfer is over");
    }
    if (this.#outcome instanceof Error) throw this.#outcome;
  }

  /** Waits for the condition, or for the end of it all. */
  async #until(condition: () => boolean): Promise<void> {
    while (this.#outcome === "open" && !condition()) await this.#signal.wait();
  }

  #received({ type, payload }: Frame): void {
    this.#patience.renew();
    const { meta, term } = this.#options;
    if (type === "welcome") {
      this.#connection.write(frame("snapshot-begin", encodeSnapshotBegin(meta, term)));
      this.#credit = WINDOW_CHUNKS;
    } else if (type === "ack") this.#credit = Math.min(WINDOW_CHUNKS, this.#credit + 1);
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

  /** @returns false when the sender ignores the window. */
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

export type SnapshotTaker = (meta: SnapshotMeta, term: Term, chunks: AsyncIterable<Uint8Array>) => Promise<void>;

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
  let taking = false;
  let complete = false;
  let sign: Timer | null = null;
  const signOfLife = () => {
    sign = clock.after(SIGN_OF_LIFE_MS, () => {
      ack();
      signOfLife();
    });
  };
  const frames = ({ type, payload }: Frame) => {
    patience.renew();
    if (type === "snapshot-begin" && !taking) {
      taking = true;
      const { meta, term } = decodeSnapshotBegin(payload);
      take(meta, term, chunks).then(
        () => connection.close("it is taken", frame("snapshot-done")),
        (error) => connection.close("it was not taken", frame("snapshot-failed", encodeReason(reasonOf(error)))),
      );
    } else if (type === "snapshot-chunk" && taking && !complete) {
      if (!chunks.push(payload.slice())) connection.close("the sender ignores the window");
    } else if (type === "snapshot-end" && taking && !complete) {
      complete = true;
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
      if (!complete) chunks.end(new Error(`Receive a snapshot: the connection broke (${reason})`));
    },
  };
}
