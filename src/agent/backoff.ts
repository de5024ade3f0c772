/**
 * Growing pauses between tries that failed, so that a store or a systemd that is away is not hammered.
 *
 * @module
 */
export class Backoff {
  readonly #firstMs: number;
  readonly #lastMs: number;
  #nextMs: number;

  constructor(firstMs: number, lastMs: number) {
    this.#firstMs = firstMs;
    this.#lastMs = lastMs;
    this.#nextMs = firstMs;
  }

  /** The pause before the next try; the one after that is twice as long, up to the last. */
  next(): number {
    const delayMs = this.#nextMs;
    this.#nextMs = Math.min(this.#lastMs, delayMs * 2);
    return delayMs;
  }

  reset(): void {
    this.#nextMs = this.#firstMs;
  }
}
