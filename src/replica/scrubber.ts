/**
 * Scrubber: has the store scrub itself, again and again, a slice at a time.
 *
 * Idea. Slices of a millisecond or two with a long pause between them: four hundredths of a core while a pass runs, and nothing until
 * the next one is due. 300,000 changes or 300 MB go through within one pass; what is larger takes longer than PASS_MS.
 *
 * @module
 */
import type { Clock, Timer } from "../lib/clock.ts";
import type { Scrub } from "../store/scrub.ts";
import type { Store } from "../store/store.ts";

export interface ScrubberPorts {
  readonly clock: Clock;
  readonly store: Store;
  /** What is held is not what was applied. */
  readonly onDamage: () => void;
}

const SLICE_PAUSE_MS = 50;

export class Scrubber {
  readonly #ports: ScrubberPorts;
  readonly #passMs: number;
  #passes = 0;
  #scrub: Scrub | null = null;
  #nextPassAt = 0;
  #timer: Timer | null = null;

  /** @param passMs From the beginning of one pass to that of the next, unless it takes longer. */
  constructor(ports: ScrubberPorts, passMs: number) {
    this.#ports = ports;
    this.#passMs = passMs;
  }

  /** Passes that went through everything since the start. */
  get passes(): number {
    return this.#passes;
  }

  start(): void {
    this.#wait(this.#passMs);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#scrub?.end();
    this.#scrub = null;
  }

  #wait(ms: number): void {
    this.#timer = this.#ports.clock.after(ms, () => this.#step());
  }

  #step(): void {
    const { clock, store, onDamage } = this.#ports;
    if (this.#scrub === null) this.#nextPassAt = clock.now() + this.#passMs;
    this.#scrub ??= store.scrub();
    const result = this.#scrub.step();
    if (result === "more") return this.#wait(SLICE_PAUSE_MS);
    this.#scrub = null;
    this.#wait(Math.max(SLICE_PAUSE_MS, this.#nextPassAt - clock.now()));
    if (result === "damaged") onDamage();
    else if (result === "sound") this.#passes += 1;
  }
}
