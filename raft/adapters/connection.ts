/**
 * One socket that carries frames: what links and snapshot streams have in common.
 *
 * Invariants.
 * - `closed` is told exactly once, with a reason, whoever ended it.
 * - A malformed stream closes the connection; nothing after the bad frame is looked at.
 *
 * @module
 */
import type { Socket } from "node:net";
import { reasonOf } from "../driver/snapshots.ts";
import { FRAME_MAX_BYTES, type Frame, FrameReader, HELLO_MAX_BYTES } from "./frames.ts";

export interface ConnectionHandler {
  frame(frame: Frame): void;
  closed(reason: string): void;
  /** The kernel has taken everything, after it had not. */
  drained?(): void;
}

export class Connection {
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  #handler: ConnectionHandler;
  #open = true;

  /** @param from A stranger's frames are short, until {@link greeted}. */
  constructor(socket: Socket, handler: ConnectionHandler, from: "peer" | "stranger" = "peer") {
    this.#socket = socket;
    this.#reader = new FrameReader(from === "peer" ? FRAME_MAX_BYTES : HELLO_MAX_BYTES);
    this.#handler = handler;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.feed(chunk));
    socket.on("drain", () => this.#handler.drained?.());
    socket.on("error", (error) => this.close(reasonOf(error)));
    socket.on("close", () => this.close("the other side closed it"));
  }

  get open(): boolean {
    return this.#open;
  }
  /** Bytes that the kernel has not taken yet. */
  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  /** Another stage of the same conversation takes over. */
  set handler(handler: ConnectionHandler) {
    this.#handler = handler;
  }

  /** The stranger is a peer. */
  greeted(): void {
    this.#reader.maxBytes = FRAME_MAX_BYTES;
  }

  feed(chunk: Uint8Array): void {
    if (!this.#open) return;
    this.#reader.push(chunk);
    try {
      while (this.#open) {
        const frame = this.#reader.next();
        if (frame === null) return;
        this.#handler.frame(frame);
      }
    } catch (error) {
      this.close(reasonOf(error));
    }
  }

  write(bytes: Uint8Array): void {
    if (this.#open) this.#socket.write(bytes);
  }

  /** @param lastWords Sent before the end, if the other side reads them in time. */
  close(reason: string, lastWords?: Uint8Array): void {
    if (!this.#open) return;
    this.#open = false;
    if (lastWords === undefined) this.#socket.destroy();
    else this.#socket.end(lastWords, () => this.#socket.destroy());
    this.#handler.closed(reason);
  }
}
