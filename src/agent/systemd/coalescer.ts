/**
 * Coalescer: one call for many names.
 *
 * Problem. systemd reads all its unit directories for each EnableUnitFiles and DisableUnitFiles: 11 ms with 500 units,
 * with PID 1 doing nothing else meanwhile. A list of names costs no more than one. LinkUnitFiles is cheaper, but not for a
 * hundred units one by one.
 * Idea. The first name goes at once; those that come while a call is on its way go together in the next.
 *
 * @module
 */
interface Entry {
  readonly name: string;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Coalescer {
  readonly #call: (names: readonly string[]) => Promise<void>;
  #next: Entry[] = [];
  #running = false;

  constructor(call: (names: readonly string[]) => Promise<void>) {
    this.#call = call;
  }

  add(name: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#next.push({ name, resolve, reject });
      if (!this.#running) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#next.length > 0) {
      const batch = this.#next;
      this.#next = [];
      await this.#send(batch);
    }
    this.#running = false;
  }

  /** When a batch fails, each name is tried alone: only the culprit is to fail. */
  async #send(batch: readonly Entry[]): Promise<void> {
    try {
      await this.#call(batch.map((entry) => entry.name));
      for (const entry of batch) entry.resolve();
    } catch (error) {
      const [only, second] = batch;
      if (only !== undefined && second === undefined) only.reject(error);
      else for (const entry of batch) await this.#send([entry]);
    }
  }
}
