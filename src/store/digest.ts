/**
 * Digest: 64 bits that stand for all that replicas must agree on, kept with each change instead of computed.
 *
 * Problem. Replicas that parted, by a bug in apply or by memory that failed, go on without a word; to compare them, something has to
 * look at everything, and a store of 200 MB must not stop the loop for that.
 * Idea. Each change that can be read, and each lease, has a hash of its own; the tally is their sum. A sum knows no order, so a commit
 * adds, a compaction takes away what it forgets, and a restored store comes to the same number by another way.
 *
 *   tally = Σ hash(change) + Σ hash(lease)      digest = tally, stirred with revision, floor and the last lease id
 *
 * What it notices: a change that is missing, twice, or differs in key, value, revision, version or lease; another floor, another lease.
 * What it does not: memory that was damaged after its change was added (scrub.ts looks for that), and what all replicas do wrong alike.
 *
 * Invariants.
 * - The hash is a format: members compare it (replica/). Whoever changes it raises DIGEST_FORMAT.
 * - Chance alone decides what it misses, one in 2^32 for another value: it is no defence against an attacker.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import type { Change } from "./change.ts";
import type { Lease, LeaseId, Revision } from "./kv.ts";

/** Digests of different formats say nothing about each other. */
export const DIGEST_FORMAT = 1;

/** Two words of 32 bits. */
export interface Digest {
  readonly high: number;
  readonly low: number;
}

/** Beside what the tally counts. */
export interface DigestPosition {
  readonly revision: Revision;
  readonly compactRevision: Revision;
  readonly lastChosenLease: LeaseId;
}

const CHANGE_SEED = 0x2545f491;
const LEASE_SEED = 0x632be59b;
const POSITION_SEED = 0x7feb352d;
/** The two words are the same function from different seeds. */
const LOW_SEED = 0x9e3779b9;
const WORD = 0x1_0000_0000;

export class Tally {
  #high = 0;
  #low = 0;

  add(change: Change): void {
    this.#count(wordsOf(change), CHANGE_SEED, 1);
  }

  remove(change: Change): void {
    this.#count(wordsOf(change), CHANGE_SEED, -1);
  }

  addLease({ id, ttlMs }: Lease): void {
    this.#count([id, ttlMs], LEASE_SEED, 1);
  }

  removeLease({ id, ttlMs }: Lease): void {
    this.#count([id, ttlMs], LEASE_SEED, -1);
  }

  equals(other: Tally): boolean {
    return this.#high === other.#high && this.#low === other.#low;
  }

  digest({ revision, compactRevision, lastChosenLease }: DigestPosition): Digest {
    const words = [revision, compactRevision, lastChosenLease];
    return {
      high: (this.#high + hash(words, POSITION_SEED)) >>> 0,
      low: (this.#low + hash(words, POSITION_SEED ^ LOW_SEED)) >>> 0,
    };
  }

  #count(words: readonly number[], seed: number, sign: 1 | -1): void {
    this.#high = (this.#high + sign * hash(words, seed)) >>> 0;
    this.#low = (this.#low + sign * hash(words, seed ^ LOW_SEED)) >>> 0;
  }
}

export function digestText({ high, low }: Digest): string {
  return high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0");
}

function wordsOf({ key, value, revision, createRevision, version, lease }: Change): readonly number[] {
  // A deletion is no empty value.
  const length = value === null ? 0 : value.length + 1;
  return [crc32(key), length, value === null ? 0 : crc32(value), revision, createRevision, version, lease];
}

/** Whole numbers up to 2^53 each; MurmurHash3's steps on their halves. */
function hash(words: readonly number[], seed: number): number {
  let state = seed;
  for (const word of words) {
    state = stir(state, word >>> 0);
    state = stir(state, (word / WORD) >>> 0);
  }
  state ^= state >>> 16;
  state = Math.imul(state, 0x85ebca6b);
  state ^= state >>> 13;
  state = Math.imul(state, 0xc2b2ae35);
  return (state ^ (state >>> 16)) >>> 0;
}

function stir(state: number, word: number): number {
  let mixed = Math.imul(word, 0xcc9e2d51);
  mixed = Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
  const turned = state ^ mixed;
  return (Math.imul((turned << 13) | (turned >>> 19), 5) + 0xe6546b64) | 0;
}
