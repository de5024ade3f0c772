/**
 * What bench:snapshot reads off a member: how long its loop stood still, how regularly its peers were heard, how long writes took.
 *
 * @module
 */
import type { NodeId } from "#raft";

const LOOP_EVERY_MS = 5;
/** raft's heartbeat interval, which the members leave at its default. */
const HEARTBEAT_MS = 100;

export interface Writes {
  readonly count: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface Beats {
  readonly peer: NodeId;
  readonly count: number;
  /** Longest time without one. */
  readonly gapMs: number;
  /** Intervals in which one was due and none came. */
  readonly missed: number;
}

export interface Stall {
  /** By how much a timer that should come every 5 ms was late, at worst. */
  readonly ms: number;
  /** The most processor time that this process, all its threads, used between two of them: on a busy machine the better measure. */
  readonly ownMs: number;
}

export class LoopGauge {
  #lastAt = performance.now();
  #lastCpuMs = cpuMs();
  #ms = 0;
  #ownMs = 0;

  constructor() {
    setInterval(() => this.#look(), LOOP_EVERY_MS).unref();
  }

  begin(): void {
    this.#look();
    this.#ms = 0;
    this.#ownMs = 0;
  }
  end(): Stall {
    this.#look();
    return { ms: this.#ms, ownMs: this.#ownMs };
  }

  #look(): void {
    const [now, cpu] = [performance.now(), cpuMs()];
    this.#ms = Math.max(this.#ms, now - this.#lastAt - LOOP_EVERY_MS);
    this.#ownMs = Math.max(this.#ownMs, cpu - this.#lastCpuMs);
    this.#lastAt = now;
    this.#lastCpuMs = cpu;
  }
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

export class BeatGauge {
  #last = performance.now();
  #count = 0;
  #gapMs = 0;
  #missed = 0;

  begin(): void {
    this.#last = performance.now();
    this.#count = 0;
    this.#gapMs = 0;
    this.#missed = 0;
  }
  heard(): void {
    this.#count++;
    this.#gapEnded();
  }
  end(peer: NodeId): Beats {
    this.#gapEnded();
    return { peer, count: this.#count, gapMs: this.#gapMs, missed: this.#missed };
  }

  #gapEnded(): void {
    const gapMs = performance.now() - this.#last;
    this.#last += gapMs;
    this.#gapMs = Math.max(this.#gapMs, gapMs);
    // It comes with a tick, and ticks are half an interval apart: only what is later than that was missed.
    this.#missed += Math.max(0, Math.ceil((gapMs - 1.5 * HEARTBEAT_MS) / HEARTBEAT_MS));
  }
}

export class WriteGauge {
  #latencies: number[] = [];
  #failed = 0;

  begin(): void {
    this.#latencies = [];
    this.#failed = 0;
  }
  measure(write: Promise<unknown>): void {
    const startedAt = performance.now();
    write.then(
      () => this.#latencies.push(performance.now() - startedAt),
      () => this.#failed++,
    );
  }
  end(): Writes {
    const sorted = [...this.#latencies].sort((one, other) => one - other);
    const at = (share: number) => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
    return { count: sorted.length, failed: this.#failed, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
  }
}
