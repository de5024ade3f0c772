/**
 * At most one machine runs a fenced unit, whatever any daemon believes: seen at the hosts' systemd, not in the registry.
 *
 * Idea. A unit runs from its start until it has stopped. A host without power runs nothing. Who waits for another machine's fence waits
 * by his own clock, so a clock that jumped ahead excuses what happens within such a time. Each lost machine and each daemon that begins to
 * look makes somebody wait; when that is over a fenced unit runs as any other.
 *
 * @module
 */
import { FENCE_OVER_MS } from "../../../src/model/fence.ts";
import { Violation } from "../violation.ts";

/** By a slow clock; and then it is placed, and started. */
const LONGEST_WAIT_MS = FENCE_OVER_MS * 1.1 + 1_000;

/** Units whose file says Fence=strict, in every version of it. */
export function isFenced(name: string): boolean {
  return name.startsWith("f");
}

export class FenceCheck {
  readonly #running = new Map<string, Set<number>>();
  #jumpedAtMs = Number.NEGATIVE_INFINITY;
  #disturbedAtMs = Number.NEGATIVE_INFINITY;
  starts = 0;

  /** @param ms By so much a clock went ahead. */
  jumped(atMs: number, ms: number): void {
    this.#jumpedAtMs = Math.max(this.#jumpedAtMs, atMs + ms);
  }

  /** A machine was lost, or a daemon has started, which may have been away itself. */
  disturbed(nowMs: number): void {
    this.#disturbedAtMs = nowMs;
  }

  /** Whether somebody may still wait for a fence. */
  mayWait(nowMs: number): boolean {
    return nowMs < this.#disturbedAtMs + LONGEST_WAIT_MS;
  }

  changed(host: number, name: string, active: string, nowMs: number): void {
    if (!isFenced(name)) return;
    const running = this.#running.get(name) ?? new Set<number>();
    this.#running.set(name, running);
    if (active === "inactive" || active === "failed") {
      running.delete(host);
      return;
    }
    if (!running.has(host)) this.starts += 1;
    running.add(host);
    if (running.size === 1 || nowMs < this.#jumpedAtMs + FENCE_OVER_MS) return;
    throw new Violation("fence", `${name} runs on hosts ${[...running].join(" and ")}`);
  }

  poweredOff(host: number): void {
    for (const running of this.#running.values()) running.delete(host);
  }
}
