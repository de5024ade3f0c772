/**
 * Takes up the election at once when the connection to the leader is gone.
 *
 * Problem. The kernel of a host whose daemon died resets its connections within a millisecond; waiting for the election
 * timeout would waste a second. But all followers see it together, and candidates that start together split the vote.
 * Idea. Each waits a small random moment, then asks for pre-votes, again and again at growing random distances while no leader is
 * known: whoever asks too early is refused by those who have not noticed yet, and a node with a short log by those with a longer one.
 *
 * Invariants.
 * - Only pre-votes are asked for: if the leader lives and just this connection broke, the others refuse and nothing
 *   is disturbed (thesis 9.6).
 *
 * @module
 */
import type { Clock, Timer } from "./ports.ts";

/** Wide against the few milliseconds that an election takes, narrow against the aim of 600 ms without a leader. */
const SPREAD_MS = 100;
const SPREAD_MAX_MS = 400;
/**
 * The first try is the one that counts. The others cover the refusals named above, and what slow disks make of it: words that were held
 * back come all at once, two win their pre-votes and split the vote. Nobody else takes it up: each try restarts the election timeout.
 */
const ATTEMPTS = 8;

export interface SuccessionOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly campaign: () => void;
}

export class Succession {
  readonly #options: SuccessionOptions;
  #timer: Timer | null = null;

  constructor(options: SuccessionOptions) {
    this.#options = options;
  }

  /** The leader's connection closed. */
  begin(): void {
    if (this.#timer === null) this.#schedule(1);
  }

  /** A leader is known, or the node stops. */
  end(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #schedule(attempt: number): void {
    const pauseMs = attempt === 1 ? 0 : SPREAD_MS;
    const spreadMs = Math.min(SPREAD_MS * 2 ** (attempt - 1), SPREAD_MAX_MS);
    this.#timer = this.#options.clock.after(pauseMs + this.#options.random() * spreadMs, () => {
      this.#timer = null;
      if (attempt < ATTEMPTS) this.#schedule(attempt + 1);
      this.#options.campaign();
    });
  }
}
