/**
 * Linearizability of one key's history: is there an order of its operations that a register could have answered so?
 *
 * Idea. Wing and Gong's search with Lowe's memory: take, among the operations that had begun before any open one returned, one that
 * the register could do next; go on with the rest; step back when nothing fits. A set of done operations together with the register's
 * value is never tried twice. Keys are independent, so that a history is checked key by key (Herlihy and Wing's locality).
 *
 * An operation whose fate nobody knows may have happened at any later moment, or never.
 *
 * Three rules keep the search from growing with every operation that is under way at once; none of them loses an order:
 * - What only looks, and fits, is done at once: later it could at best fit again.
 * - A write whose value nobody saw is done only right before one that overwrites it, and then at once.
 * - What has an unknown fate is done only right before one that saw its value, since nothing hurries it; if nobody sees its value it is
 *   left out, and of several that are alike the first goes first.
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

/** A choice, all that was done with it, and what to go back to. */
interface Step {
  readonly choice: number;
  readonly done: readonly number[];
  readonly value: string | null;
  readonly low: number;
  readonly mustBeSeen: boolean;
}

/** Whether it leaves the register as it is and could have been answered so. */
function looks(action: Action, value: string | null): boolean {
  const isLook = action.kind === "read" || (action.kind === "swap" && action.done === false);
  return isLook && after(action, value) === value;
}

/** Whether it could only have been done so with this value. */
function sees(action: Action, value: string | null): boolean {
  if (action.kind === "swap") return action.expected === value;
  return action.kind === "write" && action.before === value;
}

function isBlind(action: Action): boolean {
  return action.kind === "write" && action.before === undefined;
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
  /** Answered writes whose value nobody saw. */
  readonly #unseen: readonly number[];
  /** Of each whose fate nobody knows: the one before it that is alike. */
  readonly #twins: readonly (number | undefined)[];
  readonly #tried = new Set<string>();
  /** Every answered operation below it is done. */
  #low = 0;
  #value: string | null;
  /** The last step was one of those whose fate nobody knows: the next must see what it left. */
  #mustBeSeen = false;

  constructor(history: readonly Operation[], initial: string | null) {
    const sorted = [...history].sort((a, b) => a.callAt - b.callAt);
    const answered = sorted.filter(({ returnAt }) => returnAt !== Number.POSITIVE_INFINITY);
    // A swap of unknown fate may rest on a write of unknown fate.
    const observed = new Set(sorted.flatMap(({ action }) => observedBy(action)));
    const open = sorted.filter(
      ({ action, returnAt }) =>
        returnAt === Number.POSITIVE_INFINITY && action.kind !== "read" && observed.has(action.value),
    );
    this.#operations = [...answered, ...open];
    this.#answered = answered.length;
    this.#unseen = answered.flatMap(({ action }, at) =>
      action.kind === "write" && isBlind(action) && !observed.has(action.value) ? [at] : [],
    );
    this.#twins = twinsOf(open).map((twin) => (twin === undefined ? twin : answered.length + twin));
    this.#done = new Uint8Array(this.#operations.length);
    this.#value = initial;
  }

  run(): Operation | null {
    const path: Step[] = [];
    this.#look([]);
    let from = 0;
    let furthest = 0;
    for (;;) {
      furthest = Math.max(furthest, this.#low);
      if (this.#isOver()) return null;
      let step = this.#step(from);
      if (step !== null && !this.#isNew()) this.#undo(step);
      else if (step !== null) {
        path.push(step);
        from = 0;
        continue;
      } else {
        step = path.pop() ?? null;
        if (step === null) return this.#operations[furthest] ?? null;
        this.#undo(step);
      }
      from = step.choice + 1;
    }
  }

  /** What is left can only be writes that nobody saw: they go to the end. */
  #isOver(): boolean {
    let left = 0;
    for (let at = this.#low; at < this.#answered; at++) left += 1 - (this.#done[at] as number);
    return left === this.#unseen.filter((at) => this.#done[at] === 0).length;
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

  /** Takes the first choice from this one on that the register could do next, with all that follows from it. */
  #step(from: number): Step | null {
    const before = { value: this.#value, low: this.#low, mustBeSeen: this.#mustBeSeen };
    const overwritten = this.#mustBeSeen ? [] : this.#hide();
    const laterLimit = this.#limit();
    this.#restore(overwritten, before);
    const limit = this.#limit();
    for (let choice = from; choice < this.#operations.length; choice++) {
      const { action, callAt } = this.#operations[choice] as Operation;
      const blind = isBlind(action);
      if (this.#done[choice] === 1 || callAt > (blind ? laterLimit : limit) || overwritten.includes(choice)) continue;
      if (this.#mustBeSeen && !sees(action, this.#value)) continue;
      const isOpen = choice >= this.#answered;
      if (isOpen && this.#isNeedless(choice, action)) continue;
      const value = after(action, this.#value);
      if (value === undefined) continue;
      const done = blind ? [...overwritten, choice] : [choice];
      for (const at of done) this.#mark(at);
      this.#value = value;
      this.#mustBeSeen = isOpen;
      this.#look(done);
      return { choice, done, ...before };
    }
    return null;
  }

  /** Does whatever only looks and fits; adds it to what was done. */
  #look(done: number[]): void {
    for (let again = true; again; ) {
      again = false;
      const limit = this.#limit();
      for (let at = this.#low; at < this.#answered; at++) {
        const { action, callAt } = this.#operations[at] as Operation;
        if (callAt > limit) break;
        if (this.#done[at] === 1 || !looks(action, this.#value)) continue;
        this.#mark(at);
        done.push(at);
        again = true;
        this.#mustBeSeen = false;
      }
    }
  }

  /** Does all writes that nobody saw and that can be done by now. */
  #hide(): number[] {
    const hidden: number[] = [];
    for (let again = true; again; ) {
      again = false;
      const limit = this.#limit();
      for (const at of this.#unseen) {
        if (this.#done[at] === 1 || (this.#operations[at] as Operation).callAt > limit) continue;
        this.#mark(at);
        hidden.push(at);
        again = true;
      }
    }
    return hidden;
  }

  #mark(at: number): void {
    this.#done[at] = 1;
    while (this.#low < this.#answered && this.#done[this.#low] === 1) this.#low++;
  }

  #undo({ done, ...before }: Step): void {
    this.#restore(done, before);
  }

  #restore(done: readonly number[], { value, low, mustBeSeen }: Pick<Step, "value" | "low" | "mustBeSeen">): void {
    for (const at of done) this.#done[at] = 0;
    this.#value = value;
    this.#low = low;
    this.#mustBeSeen = mustBeSeen;
  }

  /** A swap that finds another value does nothing: as good as never. */
  #isNeedless(at: number, action: Action): boolean {
    const twin = this.#twins[at - this.#answered];
    if (twin !== undefined && this.#done[twin] === 0) return true;
    return action.kind === "swap" && action.expected !== this.#value;
  }

  /** Whether the set of done operations, with the value that it left, was not tried before. */
  #isNew(): boolean {
    const state = `${this.#value} ${this.#mustBeSeen} ${this.#low} ${this.#done.subarray(this.#low).join("")}`;
    if (this.#tried.has(state)) return false;
    this.#tried.add(state);
    return true;
  }
}

function twinsOf(open: readonly Operation[]): (number | undefined)[] {
  const last = new Map<string, number>();
  return open.map(({ action }, at) => {
    const name = JSON.stringify(action);
    const twin = last.get(name);
    last.set(name, at);
    return twin;
  });
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
