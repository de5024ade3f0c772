/**
 * The event stream as commands use it: a picture that is always whole, and the news since one last looked.
 *
 * Idea. One stream for all units of a command, opened before anything is changed, so that nothing is missed between the
 * change and the wait. The stream says what is, not what happened; so when the connection breaks it is simply opened again.
 *
 * Invariants.
 * - news() is only answered from a picture that is complete (after `synced`).
 * - A lost connection is tried again for RETRY_FOR_MS, then it is an error. Ctrl-C ends everything at once.
 *
 * @module
 */
import { ClientError } from "../client/index.ts";
import type { CommandContext } from "./command.ts";
import { note } from "./command.ts";
import { Picture } from "./picture.ts";

const RETRY_FOR_MS = 60_000;
const RETRY_FIRST_MS = 100;
const RETRY_MOST_MS = 2_000;

const CANCELLED = new ClientError("cancelled", "The wait was cancelled");

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
    const { clock } = this.#context.world;
    let isFirst = true;
    let delayMs = RETRY_FIRST_MS;
    let lostAt = clock.now();
    while (!this.#abort.signal.aborted) {
      try {
        await this.#read(() => {
          isFirst = false;
          delayMs = RETRY_FIRST_MS;
          lostAt = Number.POSITIVE_INFINITY;
        });
        throw new ClientError("unreachable", "The event stream has ended");
      } catch (error) {
        if (lostAt === Number.POSITIVE_INFINITY) {
          lostAt = clock.now();
          if (!this.#abort.signal.aborted) note(this.#context, `${(error as Error).message}. Trying again`);
        }
        const isOver = this.#abort.signal.aborted || isFirst || !isWorthRetrying(error);
        if (isOver || clock.now() - lostAt > RETRY_FOR_MS) {
          this.#fail(this.#abort.signal.aborted ? CANCELLED : error);
          return;
        }
      }
      await this.#sleep(delayMs);
      delayMs = Math.min(delayMs * 2, RETRY_MOST_MS);
    }
    this.#fail(CANCELLED);
  }

  async #read(onSynced: () => void): Promise<void> {
    this.#synced = false;
    this.picture.forget();
    for await (const event of this.#context.client.events(this.#names, this.#abort.signal)) {
      if (event.type === "reset") {
        this.#synced = false;
        this.picture.forget();
      } else if (event.type === "synced") {
        this.#synced = true;
        for (const name of this.#names) this.#changed.add(name);
        onSynced();
      } else {
        const name = this.picture.apply(event);
        if (name !== null) this.#changed.add(name);
      }
      if (this.#synced && this.#changed.size > 0) this.#wake?.();
    }
  }

  #fail(error: unknown): void {
    this.#failure = error;
    this.#synced = false;
    this.#wake?.();
  }

  #sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#context.world.clock.after(delayMs, resolve);
      const wake = (): void => {
        timer.cancel();
        resolve();
      };
      this.#abort.signal.addEventListener("abort", wake, { once: true });
    });
  }
}

/** A refusal by rule stays a refusal; a connection, a leader or a quorum may come back. */
function isWorthRetrying(error: unknown): boolean {
  if (!(error instanceof ClientError)) return false;
  return error.code === "unreachable" || error.code === "timeout" || error.status === 503;
}
