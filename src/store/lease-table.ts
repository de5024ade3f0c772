/**
 * Leases and the keys that hang on them.
 *
 * Idea. A lease here is a number with a duration, and nothing expires: time is the leader's business, and the end of a
 * lease reaches every replica as a command.
 *
 * Invariants.
 * - A key hangs on the lease of its present version, or on none.
 * - Ids chosen here never repeat, also across snapshots: a late keep-alive must not meet another lease of that number.
 *
 * @module
 */
import type { Key } from "./key.ts";
import { compareKeys } from "./key.ts";
import { KvError, type Lease, type LeaseId } from "./kv.ts";

/** etcd's limit, 9,000,000,000 seconds, so that deadlines stay exact numbers. */
export const LEASE_TTL_MAX_MS = 9_000_000_000_000;

interface Held extends Lease {
  readonly keys: Set<Key>;
}

export class LeaseTable {
  readonly #leases = new Map<LeaseId, Held>();
  #lastChosen: LeaseId;

  constructor(lastChosen: LeaseId = 0) {
    this.#lastChosen = lastChosen;
  }

  get lastChosen(): LeaseId {
    return this.#lastChosen;
  }

  get(id: LeaseId): Lease | undefined {
    return this.#leases.get(id);
  }

  all(): readonly Lease[] {
    return Array.from(this.#leases.values(), ({ id, ttlMs }) => ({ id, ttlMs })).sort((a, b) => a.id - b.id);
  }

  holds(id: LeaseId, key: Key): boolean {
    return this.#leases.get(id)?.keys.has(key) ?? false;
  }

  /** In key order: revoking deletes them in this order on every replica. */
  keys(id: LeaseId): readonly Key[] {
    return [...(this.#leases.get(id)?.keys ?? [])].sort(compareKeys);
  }

  /** @param id 0: choose one. */
  grant(id: LeaseId, ttlMs: number): Lease {
    if (!Number.isSafeInteger(ttlMs) || ttlMs < 1 || ttlMs > LEASE_TTL_MAX_MS) {
      const message = `Lease grant failed: ttl ${ttlMs} ms is not a whole number between 1 and ${LEASE_TTL_MAX_MS}`;
      throw new KvError("lease-ttl-invalid", message);
    }
    if (!Number.isSafeInteger(id) || id < 0) {
      throw new KvError("invalid-request", `Lease grant failed: id ${id} is not a positive whole number`);
    }
    if (this.#leases.has(id)) throw new KvError("lease-exists", `Lease grant failed: lease ${id} exists`);
    const lease = { id: id === 0 ? this.#choose() : id, ttlMs };
    this.restore(lease);
    return lease;
  }

  restore({ id, ttlMs }: Lease): void {
    this.#leases.set(id, { id, ttlMs, keys: new Set() });
  }

  /** The caller has deleted its keys. */
  revoke(id: LeaseId): void {
    this.#leases.delete(id);
  }

  /** Moves a key from one lease to another; 0 is none. */
  move(key: Key, from: LeaseId, to: LeaseId): void {
    if (from === to) return;
    this.#leases.get(from)?.keys.delete(key);
    this.#leases.get(to)?.keys.add(key);
  }

  #choose(): LeaseId {
    do {
      this.#lastChosen++;
    } while (this.#leases.has(this.#lastChosen));
    return this.#lastChosen;
  }
}
