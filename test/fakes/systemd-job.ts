/**
 * A job of the fake systemd: whoever asked for it is told of its end, or that the connection is gone over which he would hear.
 *
 * @module
 */
import { type JobResult, type Order, UnitManagerError } from "../../src/agent/unit-manager.ts";

export class FakeJob {
  readonly kind: "start" | "stop";
  readonly #onEnd: (job: FakeJob) => void;
  #waiting: PromiseWithResolvers<JobResult>[] = [];

  constructor(kind: "start" | "stop", onEnd: (job: FakeJob) => void) {
    this.kind = kind;
    this.#onEnd = onEnd;
  }

  /** For one more who wants to know. */
  join(): Order {
    const waiter = Promise.withResolvers<JobResult>();
    // An order's end is not always waited for.
    waiter.promise.catch(() => {});
    this.#waiting.push(waiter);
    return { done: waiter.promise };
  }

  end(result: JobResult): void {
    this.#onEnd(this);
    for (const { resolve } of this.#waiting.splice(0)) resolve(result);
  }

  /** It goes on, but those who have asked so far hear nothing more of it. */
  forget(): void {
    const lost = new UnitManagerError("disconnected", "Lost the connection to systemd while a job was running");
    for (const { reject } of this.#waiting.splice(0)) reject(lost);
  }
}
