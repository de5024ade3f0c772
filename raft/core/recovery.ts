/**
 * Recovery: how a member whose disk was damaged takes part again without breaking what it promised and does not remember.
 *
 * Problem. A vote and an acknowledged entry are promises that others rely on. A member that lost them and votes as if it were new can
 * give its vote twice, or elect a leader that lacks a committed entry (two leaders, lost writes). It does not even know in
 * which term it made its last promise, and asking the others does not help: whom it voted for may be cut off right now.
 * Idea. It comes back under a number that is above those of earlier damages, and counts for nothing: it votes for nobody, stands for no election,
 * confirms no read, and its replies only steer what is sent to it. A leader that hears the number appends an entry of its own term, the
 * barrier. Once that is committed by a majority without this member, and this member has it, the leader ends the recovery.
 *
 *     R: recovering 77 ──▶ leader: barrier 205 ──▶ committed by the others, R has 205 ──▶ recovered 77 ──▶ R: whole
 *
 * Why that is enough. Let the barrier be committed in term T. Every majority that R's forgotten promises ever help to form shares a
 * member other than R with those who committed it (n/2 + 1 of them and n/2 others of n - 1). So:
 * - A candidate of a later term that R had voted for needs one of them, who votes only for a log with the barrier. That log was
 *   written after the damage, the candidacy before it: it cannot win. Nor was there a leader of a later term, or the barrier would
 *   have been refused. Hence R may vote in every term after T. In T itself its vote counts as given to the leader.
 * - An entry that R had acknowledged, and that is committed, is in the log of T's leader below the barrier: R has it again.
 * The same number tells what R said before the damage, which may still be under way, from what it says now.
 *
 * What is repaired: any damage on fewer members than would leave the others without a majority; sound parts of the log are kept, the
 * rest comes from the leader. What stops: a majority of voters is damaged (nobody can say what was committed), or the member has no
 * others: then someone has to restore a copy.
 *
 * Not here. Finding damage and setting it aside (driver/start-up.ts, driver/disk-check.ts, adapters/); the barrier and the replies (leader.ts, replication.ts).
 *
 * @module
 */
import type { NodeId } from "../types.ts";
import { isUnknown, type Members } from "./membership.ts";
import { hasQuorum } from "./quorum.ts";

/** Election timeouts without a leader after which it is called hopeless. */
const HOPELESS_ROUNDS = 4;
/** For so many somebody's "recovering" is believed; it is said again in each. Less than it takes: one that comes late, from somebody who is
 *  whole again meanwhile, must not be the end. */
const BELIEVED_ROUNDS = 3;

/** What a recovering node knows of its fellow sufferers while nobody leads. */
export class Sufferers {
  /** Rounds for which each is still believed to recover. */
  readonly #others = new Map<NodeId, number>();
  #hopelessRounds = 0;

  get nodes(): readonly NodeId[] {
    return [...this.#others.keys()];
  }

  /** Those who are sound are no majority, and have not been for a while: waiting helps nobody. */
  get isHopeless(): boolean {
    return this.#hopelessRounds >= HOPELESS_ROUNDS;
  }

  heard(node: NodeId): void {
    this.#others.set(node, BELIEVED_ROUNDS);
  }

  /** A leader is there: a majority must be sound. */
  leaderHeard(): void {
    this.#others.clear();
    this.#hopelessRounds = 0;
  }

  /** An election timeout passed and nobody leads. */
  roundPassed(self: NodeId, { voterSets, membership }: Members): void {
    for (const [node, rounds] of this.#others) {
      if (rounds > 0) this.#others.set(node, rounds - 1);
      else this.#others.delete(node);
    }
    // Whoever lost all that it knew waits for a leader to write to it, as a newcomer does.
    const canRecover =
      isUnknown(membership) || hasQuorum(voterSets, (node) => node !== self && !this.#others.has(node));
    this.#hopelessRounds = canRecover ? 0 : this.#hopelessRounds + 1;
  }
}
