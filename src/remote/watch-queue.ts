/**
 * What a watch has received and its consumer has not yet taken.
 *
 * Invariants.
 * - Bounded: it says when it is full, and when there is room again; whoever fills it stops reading meanwhile.
 * - Somebody waits only while it is empty. An error is delivered once, after everything that came before it; then it is over.
 *
 * @module
 */
import type { KvError, WatchBatch } from "../store/kv.ts";

/** In bytes of messages: about what the server sends ahead of a sleeping reader anyway. */
const QUEUED_BYTES_MAX = 1_048_576;
const DONE: IteratorResult<WatchBatch> = { done: true, value: undefined };

type Waiter = PromiseWithResolvers<IteratorResult<WatchBatch>>;

export class WatchQueue {
  readonly #onRoom: () => void;
  readonly #entries: { readonly batch: WatchBatch; readonly bytes: number }[] = [];
  readonly #waiters: Waiter[] = [];
  #bytes = 0;
  #isFull = false;
  #end: "open" | "over" | KvError = "open";

  /** @param onRoom The queue was full and is no longer. */
  constructor(onRoom: () => void) {
    this.#onRoom = onRoom;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  /** @param bytes What it weighs: its message's length, told with the message's first batch. */
  push(batch: WatchBatch, bytes: number): void {
    if (this.#end !== "open") return;
    this.#entries.push({ batch, bytes });
    this.#bytes += bytes;
    this.#isFull = this.#bytes >= QUEUED_BYTES_MAX;
    this.#serve();
  }

  fail(error: KvError): void {
    if (this.#end !== "open") return;
    this.#end = error;
    this.#serve();
  }

  /** Quietly, and without what is left. */
  close(): void {
    this.#end = "over";
    this.#entries.length = 0;
    this.#serve();
  }

  next(): Promise<IteratorResult<WatchBatch>> {
    const waiter: Waiter = Promise.withResolvers();
    this.#waiters.push(waiter);
    this.#serve();
    return waiter.promise;
  }

  #serve(): void {
    for (let waiter = this.#waiters[0]; waiter !== undefined; waiter = this.#waiters[0]) {
      const entry = this.#entries.shift();
      if (entry === undefined && this.#end === "open") return;
      this.#waiters.shift();
      if (entry !== undefined) {
        this.#took(entry.bytes);
        waiter.resolve({ done: false, value: entry.batch });
      } else if (this.#end === "over") {
        waiter.resolve(DONE);
      } else {
        const error = this.#end;
        this.#end = "over";
        waiter.reject(error);
      }
    }
  }

  #took(bytes: number): void {
    this.#bytes -= bytes;
    if (!this.#isFull || this.#bytes > QUEUED_BYTES_MAX / 2) return;
    this.#isFull = false;
    this.#onRoom();
  }
}
