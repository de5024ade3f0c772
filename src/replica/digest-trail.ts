/**
 * Digest trail: what the store's digest was after each of the last commands, by log index.
 *
 * Idea. Members are never at the same place at the same moment. One asks "what did you have at index N", and the other one, which
 * has gone on meanwhile, still knows. A ring of numbers: nothing is allocated, whatever is applied.
 *
 * @module
 */
import type { LogIndex } from "#raft";
import type { Digest } from "../store/digest.ts";

/** Under a thousand writes a second a member may be four seconds behind another one. 16 bytes each. */
const ENTRIES = 4_096;
/** Of those that were asked for: a round takes as long as a silent member lets it wait, and its index must be known at its end. */
const ASKED_MAX = 16;

export class DigestTrail {
  readonly #indexes = new Float64Array(ENTRIES);
  readonly #words = new Uint32Array(2 * ENTRIES);
  #next = 0;
  readonly #asked = new Map<LogIndex, Digest>();

  record(index: LogIndex, { high, low }: Digest): void {
    const at = this.#next;
    this.#next = (at + 1) % ENTRIES;
    this.#indexes[at] = index;
    this.#words[2 * at] = high;
    this.#words[2 * at + 1] = low;
  }

  /** undefined: no command has this index, or it was too long ago and nobody asked in time. */
  at(index: LogIndex): Digest | undefined {
    const found = this.#asked.get(index) ?? this.#find(index);
    if (found === undefined || this.#asked.has(index)) return found;
    const [oldest] = this.#asked.keys();
    if (oldest !== undefined && this.#asked.size >= ASKED_MAX) this.#asked.delete(oldest);
    this.#asked.set(index, found);
    return found;
  }

  #find(index: LogIndex): Digest | undefined {
    // Indexes rise along the ring, from its oldest place on.
    let low = 0;
    let high = ENTRIES;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#indexAt(middle) < index) low = middle + 1;
      else high = middle;
    }
    if (index === 0 || low === ENTRIES || this.#indexAt(low) !== index) return undefined;
    const at = (this.#next + low) % ENTRIES;
    return { high: this.#words[2 * at] ?? 0, low: this.#words[2 * at + 1] ?? 0 };
  }

  /** The state was replaced: what was before it says nothing any more. */
  clear(): void {
    this.#indexes.fill(0);
    this.#next = 0;
    this.#asked.clear();
  }

  /** From the oldest on; 0 where nothing was recorded yet. */
  #indexAt(place: number): LogIndex {
    return this.#indexes[(this.#next + place) % ENTRIES] ?? 0;
  }
}
