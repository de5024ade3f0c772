/**
 * The outgoing half of the conversation with one peer: connects, greets, sends, and begins again when it breaks.
 *
 *     waiting --due, or the peer called--> dialing --welcome--> open --closed, stalled--> waiting
 *
 * Idea. Everything sent in one turn of the event loop leaves in one write. What does not fit is dropped: raft repeats
 * itself, and a queue of stale appends would only delay the fresh ones. Entries that bring a laggard up are megabytes: while the
 * socket has enough of them they wait here, and heartbeats, votes and replies go past them.
 *
 * Invariants.
 * - The queue is bounded in bytes, whether the connection is slow, being made or gone.
 * - A peer that reads nothing for STALL_MS although something was sent is given up: TCP alone would try for minutes, and
 *   its growing pauses would outlive a short cut of the network.
 * - At most one timer and one socket at a time.
 * - Pauses between tries grow until a connection lasted: a peer that welcomes and hangs up is not dialed in a storm.
 *
 * @module
 */
import type { Socket } from "node:net";
import type { Clock, Timer } from "../driver/ports.ts";
import { Connection } from "./connection.ts";
import { decodeReason, type Frame, frame, joinFrames } from "./frames.ts";

/** Four full appends and the largest entry on top; beyond that the peer is too slow for what comes next anyway. */
const QUEUE_MAX_BYTES = 16 * 1024 * 1024;
/** Entries are handed to the socket up to so much more than the kernel takes: 20 ms on a link of 100 Mbit/s. */
const SOCKET_AHEAD_BYTES = 256 * 1024;
/** To the welcome: a dead host answers no SYN at all, and one second covers a lost packet. */
const CONNECT_TIMEOUT_MS = 2000;
const BACKOFF_FIRST_MS = 50;
const BACKOFF_LAST_MS = 1000;
/** Acks come twice a second; a process that does not run for so long cannot answer in time for anything. */
const STALL_MS = 3000;

export interface PeerLinkOptions {
  readonly clock: Clock;
  /** A connecting socket; may throw. */
  readonly dial: () => Socket;
  /** Magic and hello. */
  readonly greeting: Uint8Array;
  readonly connected: () => void;
  /** The connection was lost, or could not be made. */
  readonly lost: (reason: string) => void;
  readonly refused: (reason: string) => void;
}

interface Queued {
  readonly frame: Frame;
  /** Entries may be overtaken by whatever carries none: raft expects messages in any order. */
  readonly kind: "word" | "entries";
}

export class PeerLink {
  readonly #options: PeerLinkOptions;
  #connection: Connection | null = null;
  #welcome = false;
  #timer: Timer | null = null;
  #welcomedAt = 0;
  #backoffMs = BACKOFF_FIRST_MS;
  #queue: Queued[] = [];
  #queuedBytes = 0;
  #flushing = false;
  #stopped = false;

  constructor(options: PeerLinkOptions) {
    this.#options = options;
  }

  /** Dials unless it is dialing or open: at the start, and when the peer called, which proves that it is there. */
  connectNow(): void {
    if (this.#stopped || this.#connection !== null) return;
    this.#cancelTimer();
    this.#timer = this.#options.clock.after(CONNECT_TIMEOUT_MS, () =>
      this.#connection?.close("connecting took too long"),
    );
    try {
      const connection = new Connection(this.#options.dial(), {
        frame: (received) => this.#received(connection, received),
        closed: (reason) => this.#closed(reason),
        drained: () => this.#flush(),
      });
      this.#connection = connection;
      connection.write(this.#options.greeting);
    } catch (error) {
      this.#closed(String(error));
    }
  }

  send(payload: Uint8Array, kind: Queued["kind"]): void {
    const waiting = this.#queuedBytes + (this.#connection?.queuedBytes ?? 0);
    if (this.#connection === null || waiting + payload.length > QUEUE_MAX_BYTES) return;
    this.#queue.push({ frame: { type: "message", payload }, kind });
    this.#queuedBytes += payload.length;
    this.#flushSoon();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer();
    this.#connection?.close("this node is stopping");
  }

  #flushSoon(): void {
    if (this.#flushing || !this.#welcome) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  /** As much as the kernel takes at once, and a little more: with the rest of that it says when there is room again. */
  #flush(): void {
    while (this.#connection !== null && this.#welcome && this.#queue.length > 0) {
      if (!this.#flushSome(this.#connection)) return;
    }
  }

  /** @returns false when everything that is left has to wait. */
  #flushSome(connection: Connection): boolean {
    const [frames, held]: [Frame[], Queued[]] = [[], []];
    let ahead = connection.queuedBytes;
    for (const queued of this.#queue) {
      const { length } = queued.frame.payload;
      if (queued.kind === "entries" && ahead >= SOCKET_AHEAD_BYTES) held.push(queued);
      else {
        frames.push(queued.frame);
        ahead += length;
        this.#queuedBytes -= length;
      }
    }
    this.#queue = held;
    if (frames.length === 0) return false;
    this.#expectAck();
    connection.write(joinFrames(frames));
    return true;
  }

  #expectAck(): void {
    this.#timer ??= this.#options.clock.after(STALL_MS, () => this.#connection?.close("the peer reads nothing"));
  }

  #received(connection: Connection, { type, payload }: Frame): void {
    if (type === "ack") {
      if (!this.#welcome) return;
      this.#cancelTimer();
      if (connection.queuedBytes > 0 || this.#queuedBytes > 0) this.#expectAck();
    } else if (type === "welcome" && !this.#welcome) {
      this.#welcome = true;
      this.#welcomedAt = this.#options.clock.now();
      this.#cancelTimer();
      this.#options.connected();
      this.#flush();
    } else {
      if (type === "refused") this.#options.refused(decodeReason(payload));
      connection.close(type === "refused" ? "the peer refused it" : `unexpected frame "${type}"`);
    }
  }

  #closed(reason: string): void {
    const lasted = this.#welcome && this.#options.clock.now() - this.#welcomedAt >= BACKOFF_LAST_MS;
    if (lasted) this.#backoffMs = BACKOFF_FIRST_MS;
    this.#connection = null;
    this.#welcome = false;
    this.#clearQueue();
    this.#cancelTimer();
    if (this.#stopped) return;
    // Half of it is random, so that the members of a cluster that starts do not dial in step.
    const delayMs = this.#backoffMs * (0.5 + Math.random() / 2);
    this.#backoffMs = Math.min(this.#backoffMs * 2, BACKOFF_LAST_MS);
    this.#timer = this.#options.clock.after(delayMs, () => {
      this.#timer = null;
      this.connectNow();
    });
    this.#options.lost(reason);
  }

  #clearQueue(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  #cancelTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}

/** Tells the dialing side that its messages are read: at most every ACK_EVERY_MS, only when there was something. */
const ACK_EVERY_MS = 500;

export class AckTimer {
  readonly #clock: Clock;
  readonly #connection: Connection;
  #timer: Timer | null = null;

  constructor(clock: Clock, connection: Connection) {
    this.#clock = clock;
    this.#connection = connection;
  }

  due(): void {
    this.#timer ??= this.#clock.after(ACK_EVERY_MS, () => {
      this.#timer = null;
      this.#connection.write(frame("ack"));
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}
