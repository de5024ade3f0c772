/**
 * No lease early: none ends before its time is over since it was granted, or renewed for the last time that the holder knows of.
 *
 * Idea. The end of a lease is a log entry; so its moment is seen. The holder may count on its time from the moment at which it sent the
 * last renewal that was answered. The leader's clock may run fast, and may have jumped: that much is allowed.
 *
 * @module
 */
import type { LeaseId } from "../../../src/store/kv.ts";
import { Violation } from "../violation.ts";

interface Held {
  readonly ttlMs: number;
  renewedAtMs: number;
}

/** A jump above this is noticed as a stall (lease-clock.ts: a beat and the election timeout), so that it takes nothing away. */
const UNNOTICED_JUMP_MS = 1_500;

export class LeaseCheck {
  readonly #held = new Map<LeaseId, Held>();
  readonly #given = new Set<LeaseId>();
  /** An answer may come when all is over. */
  readonly #ended = new Set<LeaseId>();
  readonly #jumps: { readonly atMs: number; readonly ms: number }[] = [];
  /** How fast a clock may run: 0.05 is 5 %. */
  readonly #skew: number;
  expired = 0;

  constructor(skew: number) {
    this.#skew = skew;
  }

  granted(id: LeaseId, ttlMs: number, nowMs: number): void {
    if (!this.#ended.has(id)) this.#held.set(id, { ttlMs, renewedAtMs: nowMs });
  }

  /** An answer reached the holder. */
  renewed(id: LeaseId, sentAtMs: number): void {
    const held = this.#held.get(id);
    if (held !== undefined) held.renewedAtMs = Math.max(held.renewedAtMs, sentAtMs);
  }

  /** Somebody asks for its end: from now on it may end at any time. */
  givenUp(id: LeaseId): void {
    this.#given.add(id);
  }

  jumped(atMs: number, ms: number): void {
    this.#jumps.push({ atMs, ms: Math.min(ms, UNNOTICED_JUMP_MS) });
  }

  revoked(ids: readonly LeaseId[], nowMs: number): void {
    for (const id of ids) {
      const held = this.#held.get(id);
      this.#held.delete(id);
      this.#ended.add(id);
      if (held === undefined || this.#given.has(id)) continue;
      this.expired += 1;
      let allowedMs = 0;
      for (const { atMs, ms } of this.#jumps) if (atMs >= held.renewedAtMs) allowedMs += ms;
      const earliest = held.renewedAtMs + held.ttlMs / (1 + this.#skew) - allowedMs - 0.001;
      if (nowMs < earliest) {
        const earlyMs = Math.round(earliest - nowMs);
        throw new Violation("lease", `lease ${id} of ${held.ttlMs} ms ended ${earlyMs} ms before its time`);
      }
    }
  }
}
