/**
 * Jobs: how the jobs that systemd accepted from us end.
 *
 * Idea. StartUnit answers with the job's path, JobRemoved names that path with a result. The signal can be read before
 * the answer's promise settles, so results are kept while an order is on its way.
 *
 * @module
 */
import type { JobResult, Order, UnitManagerError } from "../unit-manager.ts";

interface Waiting {
  readonly resolve: (result: JobResult) => void;
  readonly reject: (error: UnitManagerError) => void;
}

export class Jobs {
  readonly #waiting = new Map<string, Waiting>();
  readonly #early = new Map<string, JobResult>();
  #ordering = 0;

  /** Gives an order; `give` resolves with the job's path. */
  async order(give: () => Promise<string>): Promise<Order> {
    this.#ordering++;
    try {
      const path = await give();
      const early = this.#early.get(path);
      if (early !== undefined) return { done: Promise.resolve(early) };
      const done = new Promise<JobResult>((resolve, reject) => this.#waiting.set(path, { resolve, reject }));
      // Whoever gave the order may be gone when the connection is lost.
      done.catch(() => {});
      return { done };
    } finally {
      if (--this.#ordering === 0) this.#early.clear();
    }
  }

  ended(path: string, result: JobResult): void {
    const waiting = this.#waiting.get(path);
    if (waiting !== undefined) {
      this.#waiting.delete(path);
      waiting.resolve(result);
    } else if (this.#ordering > 0) this.#early.set(path, result);
  }

  lost(error: UnitManagerError): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
    this.#early.clear();
  }
}
