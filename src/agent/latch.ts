/**
 * Latch: opens when as many have passed it as were expected.
 *
 * @module
 */
export class Latch {
  readonly opened: Promise<void>;
  readonly #open: () => void;
  #missing: number;

  constructor(expected: number) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.opened = promise;
    this.#open = resolve;
    this.#missing = expected;
    if (expected === 0) resolve();
  }

  pass(): void {
    if (--this.#missing === 0) this.#open();
  }
}
