/**
 * Linearizability of one key's history: is there an order of its operations that a register could have answered so?
 *
 * Idea. Wing and Gong's search with Lowe's memory: take, among the operations that had begun before any open one returned, one that
 * the register could do next; go on with the rest; step back when nothing fits. A set of done operations together with the register's
 * value is never tried twice. Keys are independent, so that a history is checked key by key (Herlihy and Wing's locality).
 *
 * An operation whose fate nobody knows may have happened at any later moment, or never.
 *
 * @module
 */

/** What one operation did with a register that holds a value, or nothing. */
export type Action =
  | { readonly kind: "read"; readonly found: string | null }
  /** `before`: what it replaced, when the answer told. */
  | { readonly kind: "write"; readonly value: string | null; readonly before?: string | null }
  /** `done` null: nobody knows. Not done: `found` is what stood in its way. */
  | {
      readonly kind: "swap";
      readonly expected: string;
      readonly value: string;
      readonly done: boolean | null;
      /** Told whenever it was not done. */
      readonly found?: string | null;
    };

export interface Operation {
  readonly action: Action;
  /** Moments in any unit that orders them; `returnAt` is infinite when its fate is not known. */
  readonly callAt: number;
  readonly returnAt: number;
}

/** What the register holds after the action; undefined: it cannot have been answered so. */
function after(action: Action, value: string | null): string | null | undefined {
  switch (action.kind) {
    case "read":
      return action.found === value ? value : undefined;
    case "write":
      return action.before === undefined || action.before === value ? action.value : undefined;
    case "swap": {
      const fits = value === action.expected;
      if (action.done !== null && action.done !== fits) return undefined;
      if (!fits && action.found !== undefined && action.found !== value) return undefined;
      return fits ? action.value : value;
    }
  }
}

interface Step {
  readonly at: number;
  readonly value: string | null;
  readonly low: number;
}

/** @returns null when the history is linearizable, else the operation that nothing explains. */
export function unexplained(history: readonly Operation[], initial: string | null = null): Operation | null {
  return new Search(history, initial).run();
}

class Search {
  /** Those that were answered by call, then those whose fate nobody knows. */
  readonly #operations: readonly Operation[];
  readonly #answered: number;
  readonly #done: Uint8Array;
  readonly #tried = new Set<string>();
  /** Every answered operation below it is done. */
  #low = 0;
  #value: string | null;

  constructor(history: readonly Operation[], initial: string | null) {
    const sorted = [...history].sort((a, b) => a.callAt - b.callAt);
    const answered = sorted.filter(({ returnAt }) => returnAt !== Number.POSITIVE_INFINITY);
    const observed = new Set(answered.flatMap(({ action }) => observedBy(action)));
    const open = sorted.filter(
      ({ action, returnAt }) =>
        returnAt === Number.POSITIVE_INFINITY && action.kind !== "read" && observed.has(action.value),
    );
    this.#operations = [...answered, ...open];
    this.#answered = answered.length;
    this.#done = new Uint8Array(this.#operations.length);
    this.#value = initial;
  }

  run(): Operation | null {
    const path: Step[] = [];
    let from = 0;
    let furthest = 0;
    for (;;) {
      furthest = Math.max(furthest, this.#low);
      if (this.#low === this.#answered) return null;
      const next = this.#candidate(Math.max(from, this.#low));
      if (next !== null) {
        path.push({ at: next.at, value: this.#value, low: this.#low });
        this.#done[next.at] = 1;
        this.#value = next.value;
        while (this.#low < this.#answered && this.#done[this.#low] === 1) this.#low++;
        from = 0;
        continue;
      }
      const last = path.pop();
      if (last === undefined) return this.#operations[furthest] ?? null;
      this.#done[last.at] = 0;
      this.#value = last.value;
      this.#low = last.low;
      from = last.at + 1;
    }
  }

  /** Whoever returned first must come before everything that began later. */
  #limit(): number {
    let first = Number.POSITIVE_INFINITY;
    for (let at = this.#low; at < this.#answered; at++) {
      const { callAt, returnAt } = this.#operations[at] as Operation;
      if (callAt > first) break;
      if (this.#done[at] === 0) first = Math.min(first, returnAt);
    }
    return first;
  }

  #candidate(from: number): { readonly at: number; readonly value: string | null } | null {
    const limit = this.#limit();
    for (let at = from; at < this.#operations.length; at++) {
      const { action, callAt } = this.#operations[at] as Operation;
      if (callAt > limit) {
        // Sorted by call, twice.
        if (at >= this.#answered) return null;
        at = this.#answered - 1;
        continue;
      }
      if (this.#done[at] === 1) continue;
      const value = after(action, this.#value);
      if (value === undefined) continue;
      const state = this.#stateWith(at, value);
      if (this.#tried.has(state)) continue;
      this.#tried.add(state);
      return { at, value };
    }
    return null;
  }

  /** Names the set of done operations with this one, and the value that follows. */
  #stateWith(also: number, value: string | null): string {
    let low = this.#low;
    while (low < this.#answered && (low === also || this.#done[low] === 1)) low++;
    let state = `${value} ${low}`;
    const limit = (this.#operations[low]?.returnAt ?? 0) as number;
    for (let at = low + 1; at < this.#answered; at++) {
      if ((this.#operations[at] as Operation).callAt > limit) break;
      if (at === also || this.#done[at] === 1) state += `,${at}`;
    }
    for (let at = this.#answered; at < this.#operations.length; at++) {
      if (at === also || this.#done[at] === 1) state += `,${at}`;
    }
    return state;
  }
}

/** What an answer tells of the register's value: an open operation whose value nobody ever saw explains nothing. */
function observedBy(action: Action): readonly (string | null)[] {
  switch (action.kind) {
    case "read":
      return [action.found];
    case "write":
      return action.before === undefined ? [] : [action.before];
    case "swap":
      return [action.expected, ...(action.found === undefined ? [] : [action.found])];
  }
}
