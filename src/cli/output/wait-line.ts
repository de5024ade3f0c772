/**
 * The line that shows how a long wait is going; on a terminal only.
 *
 * @module
 */
import type { Timer } from "../../lib/clock.ts";
import type { CommandContext } from "../command.ts";

/** A shorter wait needs no words. */
const SHOW_AFTER_MS = 1_000;
const REFRESH_MS = 1_000;

export class WaitLine {
  readonly #context: CommandContext;
  readonly #describe: () => string;
  readonly #beganAtMs: number;
  #timer: Timer | null = null;

  /** @param describe What is waited for, as it is at that moment. */
  constructor(context: CommandContext, describe: () => string) {
    this.#context = context;
    this.#describe = describe;
    const { clock } = context.world;
    this.#beganAtMs = clock.now();
    if (context.progress !== null) this.#timer = clock.after(SHOW_AFTER_MS, () => this.#show());
  }

  end(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#context.progress?.(null);
  }

  #show(): void {
    const { clock } = this.#context.world;
    const seconds = Math.round((clock.now() - this.#beganAtMs) / 1_000);
    this.#context.progress?.(`${this.#describe()} (${seconds} s)`);
    this.#timer = clock.after(REFRESH_MS, () => this.#show());
  }
}
