/**
 * Which membership is in force: the newest in the log, committed or not (thesis 4.1).
 *
 * Problem. etcd puts a change in force when it is applied. There a node must know what is committed before it may count votes, and
 * the commit index is the one thing that this library writes without a sync: after a crash a node could count by a
 * membership that the others left two changes ago, and elect a second leader.
 * Idea. As the thesis has it, an entry counts from the moment it is in the log. What a node acts on is then a function of what it
 * promised to keep, snapshot and log, and a restart finds it there. The price: a change can be taken back when its entry is replaced.
 *
 *     base (snapshot 7: 1 2 3)   9: 1 2 3 + learner 4   15: 1 2 3 4      truncate from 12 -> 9 is in force again
 *
 * Invariants.
 * - Indexes rise; the first one is at or below the log's offset, so that every index of the log has a membership.
 *
 * @module
 */
import { assert } from "../assert.ts";
import type { Configuration, Entry, LogIndex } from "../types.ts";
import { membershipOf } from "./config-entry.ts";
import { assertMembership, isUnknown } from "./membership.ts";

export class Configurations {
  #known: Configuration[];

  constructor(base: Configuration) {
    if (!isUnknown(base.membership)) assertMembership(base.membership);
    this.#known = [base];
  }

  /** In force. */
  get latest(): Configuration {
    return this.#at(this.#known.length - 1);
  }

  /** What was in force when the log ended at `index`. */
  upTo(index: LogIndex): Configuration {
    let at = this.#known.length - 1;
    while (at > 0 && this.#at(at).index > index) at--;
    return this.#at(at);
  }

  /** The same, and all that came later. */
  from(index: LogIndex): readonly Configuration[] {
    return this.#known.slice(this.#known.indexOf(this.upTo(index)));
  }

  appended(entry: Entry): void {
    if (entry.kind === "config") this.#known.push({ index: entry.index, membership: membershipOf(entry) });
  }

  truncatedFrom(index: LogIndex): void {
    while (this.#known.length > 1 && this.latest.index >= index) this.#known.pop();
  }

  /** Nothing at or below `index` will be taken back. */
  compactedTo(index: LogIndex): void {
    const base = this.upTo(index);
    this.#known = this.#known.slice(this.#known.indexOf(base));
  }

  restored(base: Configuration): void {
    this.#known = [base];
  }

  #at(position: number): Configuration {
    const found = this.#known[position];
    assert(found !== undefined, "there is always a membership in force");
    return found;
  }
}
