/**
 * Watch hub: hands each revision's changes to those who watch the keys.
 *
 * Idea. A watch that keeps up gets its batches pushed into a short queue, found by key (span-index.ts). One that starts
 * in the past, or lets its queue fill, holds no events at all: it knows the revision it has reached and reads on in
 * the history when its consumer asks, a slice at a time, until it has caught up and is pushed to again. So a consumer
 * that sleeps costs memory for one queue, and ends with `compacted` when history moves on without it.
 *
 * Invariants.
 * - Every watch is either pushed to (in the index) or reads for itself (`behindFrom` is set), never both.
 * - Batches of a watch have rising revisions, and each holds all events of its revision that the watch asked for.
 *
 * Not here. Promises and iteration (store-watch.ts).
 *
 * @module
 */
import { type Change, isVersion, toKeyValue } from "./change.ts";
import type { History } from "./history.ts";
import type { KeyIndex } from "./key-index.ts";
import type { KvError, Revision, WatchBatch, WatchEvent, WatchRequest } from "./kv.ts";
import { SpanIndex } from "./span-index.ts";
import { StoreWatch, type WatchFeed } from "./store-watch.ts";

/** What the hub reads; the store is it. */
export interface WatchSource {
  readonly revision: Revision;
  readonly compactRevision: Revision;
  readonly history: History;
  readonly index: KeyIndex;
}

/** Changes looked at for one slice of history: some milliseconds of work. */
const SLICE_CHANGES_MAX = 5_000;

export class WatchHub implements WatchFeed {
  readonly #source: WatchSource;
  readonly #watches = new Set<StoreWatch>();
  readonly #spans = new SpanIndex<StoreWatch>();
  /** Everything up to here has been pushed. */
  #published: Revision;

  constructor(source: WatchSource) {
    this.#source = source;
    this.#published = source.revision;
  }

  get revision(): Revision {
    return this.#published;
  }

  get compactRevision(): Revision {
    return this.#source.compactRevision;
  }

  get size(): number {
    return this.#watches.size;
  }

  open(request: WatchRequest): StoreWatch {
    const watch = new StoreWatch(request, this, this.#published);
    this.#watches.add(watch);
    this.#follow(watch);
    return watch;
  }

  publish(revision: Revision, changes: readonly Change[]): void {
    this.#published = revision;
    const batches = new Map<StoreWatch, WatchEvent[]>();
    for (const change of changes) {
      const event = new LazyEvent(change, this.#source.index);
      this.#spans.visit(change.key, (watch) => {
        if (revision < watch.startRevision || !wants(watch.request, change)) return;
        const events = batches.get(watch);
        if (events === undefined) batches.set(watch, [event.of(watch.request)]);
        else events.push(event.of(watch.request));
      });
    }
    for (const [watch, events] of batches) {
      if (!watch.push({ revision, events })) this.fallBehind(watch, revision);
    }
  }

  /** The store's whole state was replaced by a later one: nobody was pushed what lies between. */
  reset(): void {
    const reached = this.#published;
    this.#published = this.#source.revision;
    for (const watch of [...this.#watches]) {
      if (watch.behindFrom === undefined) this.fallBehind(watch, Math.max(reached + 1, watch.startRevision));
      watch.wake();
    }
  }

  closeAll(error: KvError): void {
    for (const watch of [...this.#watches]) watch.fail(error);
  }

  release(watch: StoreWatch): void {
    this.#watches.delete(watch);
    this.#spans.remove(watch.span, watch);
  }

  /** The next slice of history for a watch that is behind; empty when it has caught up, or found nothing yet. */
  read(watch: StoreWatch): readonly WatchBatch[] {
    const from = watch.behindFrom;
    if (from === undefined) return [];
    const batches: WatchBatch[] = [];
    let seen = 0;
    for (const [revision, changes] of this.#changesFor(watch, from)) {
      if (seen >= SLICE_CHANGES_MAX) {
        watch.behindFrom = revision;
        return batches;
      }
      seen += changes.length;
      const events = changes
        .filter((change) => watch.holds(change.key) && wants(watch.request, change))
        .map((change) => new LazyEvent(change, this.#source.index).of(watch.request));
      if (events.length > 0) batches.push({ revision, events });
    }
    watch.behindFrom = undefined;
    this.#spans.add(watch.span, watch);
    return batches;
  }

  fallBehind(watch: StoreWatch, from: Revision): void {
    watch.behindFrom = from;
    this.#spans.remove(watch.span, watch);
  }

  #follow(watch: StoreWatch): void {
    if (watch.startRevision <= this.#published) watch.behindFrom = watch.startRevision;
    else this.#spans.add(watch.span, watch);
  }

  /** A single key has its own list, which spares it everyone else's history. */
  #changesFor(watch: StoreWatch, from: Revision): Iterable<[Revision, readonly Change[]]> {
    if (!watch.span.single) return this.#source.history.since(from);
    const byRevision = new Map<Revision, Change[]>();
    for (const change of this.#source.index.since(watch.span.from, from)) {
      const changes = byRevision.get(change.revision);
      if (changes === undefined) byRevision.set(change.revision, [change]);
      else changes.push(change);
    }
    return byRevision;
  }
}

function wants(request: WatchRequest, change: Change): boolean {
  return isVersion(change) ? !request.noPut : !request.noDelete;
}

/** One change as an event, made once for all watches that see it. */
class LazyEvent {
  readonly #change: Change;
  readonly #index: KeyIndex;
  #plain: WatchEvent | undefined;
  #withPrev: WatchEvent | undefined;

  constructor(change: Change, index: KeyIndex) {
    this.#change = change;
    this.#index = index;
  }

  of(request: WatchRequest): WatchEvent {
    return request.prevKv ? this.#previous() : this.#simple();
  }

  #simple(): WatchEvent {
    this.#plain ??= { type: isVersion(this.#change) ? "put" : "delete", kv: toKeyValue(this.#change) };
    return this.#plain;
  }

  #previous(): WatchEvent {
    if (this.#withPrev === undefined) {
      const prev = this.#index.at(this.#change.key, this.#change.revision - 1);
      this.#withPrev = prev === undefined ? this.#simple() : { ...this.#simple(), prevKv: toKeyValue(prev) };
    }
    return this.#withPrev;
  }
}
