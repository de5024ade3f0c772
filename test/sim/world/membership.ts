/**
 * Changes of who takes part: asked for at bad moments while faults last, and put right once they are over.
 *
 * Idea. Any wish is put to a leader (wishes.ts). Half of the time the two halves lose sight of each other just then, or the leader dies.
 * In calm times somebody does what an operator would do: takes in who is missing, and gives the vote to those who had it at first.
 *
 * Invariants.
 * - Where a disk may be damaged, three voters at least are asked for: of two, the whole one is no majority that could help the other.
 *
 * @module
 */
import type { Membership, NodeId } from "#raft";
import type { SeededRandom } from "../random.ts";
import type { VirtualTime } from "../virtual-time.ts";
import { drawWish } from "../wishes.ts";
import type { Host } from "./host.ts";

export interface MembershipChangesOptions {
  readonly random: SeededRandom;
  readonly time: VirtualTime;
  readonly hosts: readonly Host[];
  readonly votersMin: number;
  /** Every link between these and the others breaks. */
  readonly tearApart: (side: readonly NodeId[]) => void;
  readonly crash: (victim: Host) => void;
  readonly count: () => void;
  readonly note: (line: string) => void;
}

const RESTORE_EVERY_MS = 150;

export class MembershipChanges {
  readonly #options: MembershipChangesOptions;
  #over = false;

  constructor(options: MembershipChangesOptions) {
    this.#options = options;
  }

  /** Several wishes, one after the other: who is to get a vote must have been a learner. */
  strike(): void {
    const { random, time } = this.#options;
    let atMs = 0;
    for (let wishes = random.int(1, 5); wishes > 0; wishes--) {
      time.after(atMs, () => this.#wish());
      atMs += random.between(50, 800);
    }
  }

  #wish(): void {
    const { random, hosts, time, votersMin, tearApart, crash, count } = this.#options;
    const leaders = hosts.filter((host) => host.leads && host.isRunning);
    if (this.#over || leaders.length === 0) return;
    const leader = random.pick(leaders);
    const { membership } = leader;
    if (membership === null) return;
    const nodes = hosts.map(({ id }) => id);
    const wish = drawWish(random, membership, nodes, leader.id);
    if (wish.voters.length < votersMin) return;
    count();
    this.#ask(leader, wish);
    const moment = random.between(0, 60);
    if (random.chance(isJoint(membership, wish) ? 0.6 : 0.1)) time.after(moment, () => tearApart(wish.voters));
    else if (random.chance(0.25)) time.after(moment, () => crash(leader));
  }

  /** No more wishes. Everybody takes part again: founders vote, newcomers learn. */
  end(): void {
    this.#over = true;
    this.#restore();
  }

  #restore(): void {
    const { hosts, time } = this.#options;
    const leader = hosts.find((host) => host.leads);
    const membership = leader?.membership ?? null;
    if (leader !== undefined && membership !== null && membership.outgoing === undefined) {
      const next = nextStep(membership, hosts);
      if (next !== null) this.#ask(leader, next);
    }
    // To the end: a wish of bad times may still wait in the leader's log, and come into force.
    time.after(RESTORE_EVERY_MS, () => this.#restore());
  }

  #ask(leader: Host, { voters, learners }: Membership): void {
    const { note } = this.#options;
    note(`change by ${leader.id} to ${voters} learners ${learners}`);
    leader.changeMembership({ voters, learners }).then(
      () => note(`changed to ${voters} learners ${learners}`),
      // What is refused, or lost with the leader, is seen in what comes next.
      (error: Error & { reason?: string }) => note(`change refused: ${error.reason ?? error.message}`),
    );
  }
}

/** More than one voter comes or goes. */
function isJoint(before: Membership, after: Membership): boolean {
  const coming = after.voters.filter((id) => !before.voters.includes(id));
  const going = before.voters.filter((id) => !after.voters.includes(id));
  return coming.length + going.length > 1;
}

/** What is to be asked for next on the way back, or null. Only who is whole is taken in. */
function nextStep({ voters, learners }: Membership, whole: readonly Host[]): Membership | null {
  const missing = whole.map(({ id }) => id).filter((id) => !voters.includes(id) && !learners.includes(id));
  if (missing.length > 0) return { voters, learners: [...learners, ...missing] };
  const founders = whole.filter(({ id, isNewcomer }) => !isNewcomer && !voters.includes(id)).map(({ id }) => id);
  if (founders.length > 0) {
    return { voters: [...voters, ...founders], learners: learners.filter((id) => !founders.includes(id)) };
  }
  const guests = whole.filter(({ id, isNewcomer }) => isNewcomer && voters.includes(id)).map(({ id }) => id);
  if (guests.length === 0) return null;
  return { voters: voters.filter((id) => !guests.includes(id)), learners: [...learners, ...guests] };
}
