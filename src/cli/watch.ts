/**
 * The event stream as commands use it: a picture that is always whole, and the news since one last looked.
 *
 * Idea. One stream for all units of a command, opened before anything is changed, so that nothing is missed between the
 * change and the wait.
 *
 * Invariants.
 * - news() is only answered from a picture that is complete (after `synced`).
 *
 * Not here. Connections that are lost and found (event-stream.ts).
 *
 * @module
 */
import type { FleetEvent } from "../model/events.ts";
import type { CommandContext } from "./command.ts";
import { followEvents } from "./event-stream.ts";
import { Picture } from "./picture.ts";

export class UnitWatch {
  readonly picture = new Picture();
  readonly #context: CommandContext;
  readonly #names: readonly string[];
  readonly #abort = new AbortController();
  readonly #onInterrupt = (): void => this.#abort.abort();
  #synced = false;
  #changed = new Set<string>();
  #failure: unknown = null;
  #ended: Promise<void> = Promise.resolve();
  #wake: (() => void) | null = null;

  private constructor(context: CommandContext, names: readonly string[]) {
    this.#context = context;
    this.#names = names;
  }

  /** Resolves with the first whole picture. */
  static async open(context: CommandContext, names: readonly string[]): Promise<UnitWatch> {
    const watch = new UnitWatch(context, names);
    context.world.signal.addEventListener("abort", watch.#onInterrupt, { once: true });
    if (context.world.signal.aborted) watch.#abort.abort();
    watch.#ended = watch.#run();
    await watch.news(null);
    return watch;
  }

  /** Names that changed since the last call; null when `deadlineMs` (on the clock) has come first. */
  async news(deadlineMs: number | null): Promise<ReadonlySet<string> | null> {
    const { clock } = this.#context.world;
    while (!this.#synced || this.#changed.size === 0) {
      if (this.#failure !== null) throw this.#failure;
      if (deadlineMs !== null && clock.now() >= deadlineMs) return null;
      await this.#untilWoken(deadlineMs);
    }
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  async close(): Promise<void> {
    this.#context.world.signal.removeEventListener("abort", this.#onInterrupt);
    this.#abort.abort();
    await this.#ended;
  }

  #untilWoken(deadlineMs: number | null): Promise<void> {
    const { clock } = this.#context.world;
    return new Promise((resolve) => {
      const timer = deadlineMs === null ? null : clock.after(Math.max(0, deadlineMs - clock.now()), resolve);
      this.#wake = () => {
        timer?.cancel();
        resolve();
      };
    });
  }

  async #run(): Promise<void> {
    try {
      for await (const event of followEvents(this.#context, this.#names, this.#abort.signal)) this.#take(event);
    } catch (error) {
      this.#fail(error);
    }
  }

  #take(event: FleetEvent): void {
    if (event.type === "reset") {
      this.#synced = false;
      this.picture.forget();
    } else if (event.type === "synced") {
      this.#synced = true;
      this.picture.complete(event.revision);
      for (const name of this.#names) this.#changed.add(name);
    } else {
      const name = this.picture.apply(event);
      if (name !== null) this.#changed.add(name);
    }
    if (this.#synced && this.#changed.size > 0) this.#wake?.();
  }

  #fail(error: unknown): void {
    this.#failure = error;
    this.#synced = false;
    this.#wake?.();
  }
}
