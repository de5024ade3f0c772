/**
 * Reloader: as few reloads of systemd as will do.
 *
 * Problem. A reload stops PID 1 for 100 ms and more, and a pass may load hundreds of units.
 * Idea. Whoever needs a reload shares the next one: one that is running may have read the directory too early.
 *
 * @module
 */
export class Reloader {
  readonly #reload: () => Promise<void>;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(reload: () => Promise<void>) {
    this.#reload = reload;
  }

  /** Resolves after a reload that began after this call. Those who ask in the same turn share one. */
  reload(): Promise<void> {
    this.#next ??= (this.#running ?? Promise.resolve()).then(
      () => this.#begin(),
      () => this.#begin(),
    );
    return this.#next;
  }

  #begin(): Promise<void> {
    this.#next = null;
    const running = this.#reload().finally(() => {
      if (this.#running === running) this.#running = null;
    });
    this.#running = running;
    return running;
  }
}
