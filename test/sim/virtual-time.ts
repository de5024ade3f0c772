/**
 * Virtual time for simulations: events in order of their moment, promises settled between two of them.
 *
 * Idea. Nothing of the real event loop takes part: after each event the microtask queue is drained on the spot, so a run is one
 * synchronous call whose order depends on the seed alone.
 *
 * @module
 */
import { drainMicrotasks } from "bun:jsc";
import type { Clock, Timer } from "../../src/lib/clock.ts";

interface Event {
  readonly at: number;
  readonly order: number;
  run: (() => void) | null;
}

export class VirtualTime implements Clock {
  #now = 0;
  #order = 0;
  #halted = false;
  /** Binary heap by (at, order). */
  readonly #heap: Event[] = [];

  now(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): Timer {
    const event: Event = { at: this.#now + Math.max(0, delayMs), order: this.#order++, run };
    this.#push(event);
    return {
      cancel: () => {
        event.run = null;
      },
    };
  }

  /** Nothing happens any more: what would follow is of no interest. */
  halt(): void {
    this.#halted = true;
  }

  /** Runs every event up to that moment, also those that events bring along. */
  runUntil(endMs: number): void {
    drainMicrotasks();
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.at > endMs || this.#halted) break;
      this.#pop();
      if (next.run === null) continue;
      this.#now = next.at;
      next.run();
      drainMicrotasks();
    }
    this.#now = endMs;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || isBefore(above, event)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = heap[2 * at + 1];
      const right = heap[2 * at + 2];
      if (left === undefined) break;
      const isRight = right !== undefined && isBefore(right, left);
      const child = isRight ? right : left;
      if (isBefore(last, child)) break;
      heap[at] = child;
      at = 2 * at + (isRight ? 2 : 1);
    }
    heap[at] = last;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
