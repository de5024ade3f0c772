/**
 * Lease ids: etcd's have 63 bits, the port's are JavaScript numbers.
 *
 * Problem. Leases that we grant have ids below 2^53. Those of other clients, which etcd chose, may hang on keys that we read:
 * rounded they would name another lease, and refusing the key would let a foreign one break a whole listing.
 * Idea. An id that no number can hold gets an alias: a negative number, the same for as long as this table lives. What comes back
 * under the alias (a compare, a put, a status) is sent with the real id.
 * Invariants.
 * - No id is ever rounded. Ids below 2^53 are themselves.
 * - The table is bounded; an alias that fell out of it is refused, never taken for another lease.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { KvError, type LeaseId } from "../store/kv.ts";

const ALIASES_MAX = 65_536;

/** An id for a lease of ours: 48 bits of chance; etcd refuses one that is taken. */
export function randomLeaseId(): LeaseId {
  return randomBytes(6).readUIntBE(0, 6) + 1;
}

export class LeaseIds {
  readonly #aliases = new Map<bigint, LeaseId>();
  readonly #ids = new Map<LeaseId, bigint>();
  readonly #max: number;
  #last = 0;

  constructor(max = ALIASES_MAX) {
    this.#max = max;
  }

  fromWire(id: bigint): LeaseId {
    if (id >= 0n && id <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(id);
    const known = this.#aliases.get(id);
    if (known !== undefined) return known;
    const alias = --this.#last;
    this.#aliases.set(id, alias);
    this.#ids.set(alias, id);
    if (this.#ids.size > this.#max) this.#dropOldest();
    return alias;
  }

  toWire(action: string, id: LeaseId): bigint {
    if (id >= 0) return BigInt(id);
    const real = this.#ids.get(id);
    if (real === undefined) throw new KvError("lease-not-found", `${action} failed: lease ${id} is not known`);
    return real;
  }

  #dropOldest(): void {
    for (const [alias, id] of this.#ids) {
      this.#ids.delete(alias);
      this.#aliases.delete(id);
      return;
    }
  }
}
