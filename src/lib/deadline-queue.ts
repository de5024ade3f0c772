/**
 * Many deadlines behind one timer: the earliest is armed, the rest wait in a heap.
 *
 * Idea. A deadline that is pushed back (the usual case: something was renewed) costs one map write; its heap entry is
 * found out of date when it comes to the top, and sinks again. So the heap holds about one entry a key, and a renewal
 * never touches the timer.
 *
 * Invariants.
 * - Every key has exactly one live heap entry, at or before its deadline; other entries of it are ignored on the way out.
 * - At most one timer is armed, and none after clear().
 *
 * @module
 */
import type { Clock, Timer } from "./clock.ts";

interface Entry<K> {
  readonly key: K;
  readonly atMs: number;
}
interface Slot<K> {
  deadlineMs: number;
  live: Entry<K>;
}

export class DeadlineQueue<K> {
  readonly #clock: Clock;
  readonly #onDue: (keys: readonly K[], lateMs: number) => void;
  readonly #slots = new Map<K, Slot<K>>();
  readonly #heap: Entry<K>[] = [];
  #timer: Timer | null = null;
  #armedForMs = 0;

  /** @param onDue Gets all keys that are due, removed already, and how late the earliest of them is. */
  constructor(clock: Clock, onDue: (keys: readonly K[], lateMs: number) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#slots.size;
  }

  keys(): Iterable<K> {
    return this.#slots.keys();
  }

  /** When this key is due, or undefined. */
  deadline(key: K): number | undefined {
    return this.#slots.get(key)?.deadlineMs;
  }

  set(key: K, atMs: number): void {
    const slot = this.#slots.get(key);
    if (slot !== undefined && slot.live.atMs <= atMs) {
      slot.deadlineMs = atMs;
      return;
    }
    const live = { key, atMs };
    this.#slots.set(key, { deadlineMs: atMs, live });
    this.#push(live);
    this.#arm();
  }

  delete(key: K): void {
    this.#slots.delete(key);
    if (this.#slots.size === 0) this.clear();
  }

  clear(): void {
    this.#slots.clear();
    this.#heap.length = 0;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #arm(): void {
    const first = this.#heap[0];
    if (first === undefined) return;
    if (this.#timer !== null) {
      if (this.#armedForMs <= first.atMs) return;
      this.#timer.cancel();
    }
    this.#armedForMs = first.atMs;
    this.#timer = this.#clock.after(Math.max(0, first.atMs - this.#clock.now()), () => this.#fire());
  }

  #fire(): void {
    this.#timer = null;
    const nowMs = this.#clock.now();
    const due: K[] = [];
    let lateMs = 0;
    for (let first = this.#heap[0]; first !== undefined && first.atMs <= nowMs; first = this.#heap[0]) {
      this.#pop();
      const slot = this.#slots.get(first.key);
      if (slot?.live !== first) continue;
      if (slot.deadlineMs > nowMs) {
        slot.live = { key: first.key, atMs: slot.deadlineMs };
        this.#push(slot.live);
        continue;
      }
      this.#slots.delete(first.key);
      due.push(first.key);
      lateMs = Math.max(lateMs, nowMs - slot.deadlineMs);
    }
    this.#arm();
    if (due.length > 0) this.#onDue(due, lateMs);
  }

  #push(entry: Entry<K>): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up] as Entry<K>;
      if (parent.atMs <= entry.atMs) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const right = heap[child + 1];
      if (right !== undefined && right.atMs < (heap[child] as Entry<K>).atMs) child++;
      const least = heap[child];
      if (least === undefined || least.atMs >= last.atMs) break;
      heap[at] = least;
      at = child;
    }
    heap[at] = last;
  }
}
