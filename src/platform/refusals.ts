/**
 * Refusals at the peer port, each told once: a daemon of another cluster, or a scanner, knocks again and again and is not to fill the journal.
 *
 * Invariants.
 * - Memory and lines are bounded, however many strangers there are: raft's own refusals are (raft/adapters/tcp-transport.ts).
 *
 * @module
 */
import type { Log } from "../lib/log.ts";

/** Refusals that are remembered as told; those beyond are not told any more. */
const TOLD_MAX = 64;

export class Refusals {
  readonly #log: Log;
  readonly #told = new Set<string>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** @param fields Who it was, and why. */
  tell(message: string, fields: { readonly from: string; readonly reason?: string }): void {
    const key = `${fields.from} ${message}: ${fields.reason ?? ""}`;
    if (this.#told.has(key) || this.#told.size >= TOLD_MAX) return;
    this.#told.add(key);
    this.#log.notice(message, fields);
  }
}
