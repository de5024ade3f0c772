/**
 * One running watch: a queue between the hub and whoever iterates.
 *
 * Invariants.
 * - The queue is bounded in events; beyond it the watch falls behind and reads history instead (watch-hub.ts).
 * - Somebody waits only while the queue is empty and the watch has caught up.
 * - A failure is delivered after everything that came before it.
 *
 * @module
 */
import { type Key, type KeySpan, spanHolds, toSpan } from "./key.ts";
import { KvError, type Revision, type Watch, type WatchBatch, type WatchRequest } from "./kv.ts";
import { compactedError } from "./range.ts";

/** The hub, as one watch sees it. */
export interface WatchFeed {
  readonly revision: Revision;
  readonly compactRevision: Revision;
  read(watch: StoreWatch): readonly WatchBatch[];
  release(watch: StoreWatch): void;
}

/** Events that wait for a consumer before it has to read them from history: a burst of some hundred transactions. */
const QUEUED_EVENTS_MAX = 4_096;

type Waiter = PromiseWithResolvers<IteratorResult<WatchBatch>>;
const DONE: IteratorResult<WatchBatch> = { done: true, value: undefined };

export class StoreWatch implements Watch {
  readonly request: WatchRequest;
  readonly span: KeySpan;
  /** Nothing before it is delivered. */
  readonly startRevision: Revision;
  readonly ready: Promise<Revision>;
  /** First revision that it has to read for itself; undefined while it is pushed to. The hub's to set. */
  behindFrom: Revision | undefined;
  readonly #feed: WatchFeed;
  #queue: WatchBatch[] = [];
  #queuedEvents = 0;
  #progressWanted = false;
  #ended: "no" | "closed" | KvError = "no";
  readonly #waiters: Waiter[] = [];

  constructor(request: WatchRequest, feed: WatchFeed, revision: Revision) {
    // etcd's server takes the empty key for the smallest one.
    this.request = request.key.length === 0 ? { ...request, key: new Uint8Array([0]) } : request;
    this.span = toSpan(this.request);
    this.startRevision = request.startRevision || revision + 1;
    this.ready = Promise.resolve(revision);
    this.#feed = feed;
  }

  holds(key: Key): boolean {
    return spanHolds(this.span, key);
  }

  /** Takes a batch; false when the queue is full and the batch was not taken. */
  push(batch: WatchBatch): boolean {
    if (this.#queuedEvents > 0 && this.#queuedEvents + batch.events.length > QUEUED_EVENTS_MAX) return false;
    this.#enqueue(batch);
    this.wake();
    return true;
  }

  requestProgress(): void {
    if (this.#ended !== "no") return;
    this.#progressWanted = true;
    this.wake();
  }

  close(): void {
    if (this.#ended === "closed") return;
    this.#end("closed");
    this.#queue = [];
    this.wake();
  }

  fail(error: KvError): void {
    if (this.#ended !== "no") return;
    this.#end(error);
    this.wake();
  }

  /** Serves those who wait, as far as it goes. */
  wake(): void {
    for (let waiter = this.#waiters[0]; waiter !== undefined; waiter = this.#waiters[0]) {
      const next = this.#take();
      if (next === undefined) return;
      this.#waiters.shift();
      if (next instanceof KvError) waiter.reject(next);
      else waiter.resolve(next);
    }
  }

  [Symbol.asyncIterator](): AsyncIterator<WatchBatch> {
    return {
      next: () => this.#next(),
      return: () => {
        this.close();
        return Promise.resolve(DONE);
      },
    };
  }

  #next(): Promise<IteratorResult<WatchBatch>> {
    const waiter: Waiter = Promise.withResolvers();
    this.#waiters.push(waiter);
    this.wake();
    return waiter.promise;
  }

  #take(): IteratorResult<WatchBatch> | KvError | undefined {
    this.#fill();
    const batch = this.#queue.shift();
    if (batch !== undefined) {
      this.#queuedEvents -= batch.events.length;
      return { done: false, value: batch };
    }
    if (this.#ended === "closed") return DONE;
    if (this.#ended !== "no") {
      const error = this.#ended;
      this.#ended = "closed";
      return error;
    }
    if (!this.#progressWanted) return undefined;
    this.#progressWanted = false;
    return { done: false, value: { revision: this.#feed.revision, events: [] } };
  }

  /** Reads history until there is something to deliver or nothing left to read. */
  #fill(): void {
    while (this.#ended === "no" && this.#queue.length === 0 && this.behindFrom !== undefined) {
      if (this.behindFrom < this.#feed.compactRevision) {
        this.#end(compactedError("Watch", this.behindFrom, this.#feed.compactRevision));
        return;
      }
      for (const batch of this.#feed.read(this)) this.#enqueue(batch);
    }
  }

  #enqueue(batch: WatchBatch): void {
    this.#queue.push(batch);
    this.#queuedEvents += batch.events.length;
  }

  #end(how: "closed" | KvError): void {
    this.#ended = how;
    this.#feed.release(this);
  }
}
