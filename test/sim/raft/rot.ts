/**
 * Bits that flip: damage to what members wrote, found at their next start.
 *
 * Idea. Chance of its own, so that a seed without rot is the seed that it was. So many members may be sick at once that those who are
 * whole remain a majority, by every membership that anybody can believe in: beyond that the cluster has to stop, and does.
 *
 * @module
 */
import type { Membership } from "#raft";
import { SeededRandom } from "../random.ts";
import type { VirtualTime } from "../virtual-time.ts";
import type { Member } from "./member.ts";

const ROTTEN_SEEDS = 0.4;
/** Any number but 0 parts its chance from the rest of the seed's. */
const SALT = 2 ** 40;

export interface RotOptions {
  readonly seed: number;
  readonly time: VirtualTime;
  readonly members: readonly Member[];
  readonly note: (line: string) => void;
}

export class Rot {
  readonly #options: RotOptions;
  readonly #random: SeededRandom;
  readonly #everyMs: number;
  #over = false;

  constructor(options: RotOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed + SALT);
    this.#over = !this.#random.chance(ROTTEN_SEEDS);
    this.#everyMs = this.#random.between(500, 5000);
  }

  begin(): void {
    if (this.#over) return;
    this.#options.time.after(this.#random.between(0, 2 * this.#everyMs), () => {
      if (!this.#over) this.#strike();
      this.begin();
    });
  }

  end(): void {
    this.#over = true;
  }

  #strike(): void {
    const { members, note, time } = this.#options;
    const victim = this.#random.pick(members);
    const sick = members.filter((member) => member === victim || member.isSick).map((member) => member.id);
    const isAffordable = ({ voters, outgoing }: Membership) =>
      [voters, outgoing ?? voters].every((set) => set.filter((id) => !sick.includes(id)).length > set.length / 2);
    if (!members.flatMap((member) => member.memberships).every(isAffordable)) return;
    note(`rot ${victim.id}`);
    victim.kill();
    victim.disk.corrupt(this.#random.next());
    victim.isRotten = true;
    time.after(this.#random.between(10, 1500), () => victim.start());
  }
}
