/**
 * Replacement: the commands that were applied since another member was asked for its state, to be applied to that one, too.
 *
 * Problem. The state that arrives is that of some index; this member has gone on meanwhile, or is not yet there.
 * Idea. Keep what is applied from the question on. A state of an index behind which everything was kept can take the place of the
 * present one, whenever this member has come at least so far. So raft, which counts what it handed over, never notices.
 *
 * @module
 */
import type { Entry, LogIndex } from "#raft";
import type { ReadSnapshot } from "../store/snapshot.ts";

/** Why the state was not replaced; the next try may do better. */
export class RebuildError extends Error {
  readonly code = "rebuild";
}

/** A member that has so much to do cannot be rebuilt beside it; it is tried again. */
const KEPT_BYTES_MAX = 64 * 1024 * 1024;

export class Replacement {
  /** The state that is asked for must be of this index, or of a later one. */
  readonly from: LogIndex;
  readonly #done = Promise.withResolvers<void>();
  readonly #entries: Entry[] = [];
  #bytes = 0;
  #offered: ReadSnapshot | null = null;
  /** Something behind `from` may be missing: no state can be brought up to date any more. */
  #hasFailed = false;

  constructor(from: LogIndex) {
    this.from = from;
    // Whoever began may have gone away.
    this.#done.promise.catch(() => {});
  }

  /** Resolves when the state was replaced; rejects when it cannot be. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  keep(entry: Entry): void {
    if (this.#hasFailed) return;
    this.#bytes += entry.data.length;
    if (this.#bytes > KEPT_BYTES_MAX) this.fail(`more than ${KEPT_BYTES_MAX} bytes were written meanwhile`);
    else this.#entries.push(entry);
  }

  offer(state: ReadSnapshot): void {
    if (state.position >= this.from) this.#offered = state;
    else this.fail(`the state is of index ${state.position}, before ${this.from}`);
  }

  /** What to put in place, and what to apply after it, once this member has come to `position`. */
  dueAt(position: LogIndex): { readonly state: ReadSnapshot; readonly entries: readonly Entry[] } | null {
    const state = this.#offered;
    if (this.#hasFailed || state === null || state.position > position) return null;
    return { state, entries: this.#entries.filter(({ index }) => index > state.position) };
  }

  succeed(): void {
    this.#done.resolve();
  }

  fail(why: string): void {
    this.#hasFailed = true;
    this.#entries.length = 0;
    this.#done.reject(new RebuildError(`Replacing the state failed: ${why}`));
  }
}
