/**
 * The adversary: what goes wrong, how badly, and when; all of it drawn from the seed.
 *
 * @module
 */
import type { Membership, Message, NodeId, RaftNode } from "#raft";
import type { SeededRandom } from "../random.ts";
import type { VirtualTime } from "../virtual-time.ts";
import { drawRemoval, drawWish } from "../wishes.ts";
import type { Member } from "./member.ts";

/** How bad the world is in one seed. */
export interface Weather {
  readonly lossChance: number;
  readonly duplicateChance: number;
  readonly delayMs: number;
  /** Chance of a delay far above the usual: that is what reorders. */
  readonly lateChance: number;
  readonly lateMs: number;
  readonly diskMs: number;
  readonly slowDiskChance: number;
  readonly slowDiskMs: number;
  readonly calmMs: number;
  /** Leaders' own entries are lost for whole periods, and no leader lasts: the time sequence of thesis figure 3.7. */
  readonly isBarren: boolean;
}

export function drawWeather(random: SeededRandom): Weather {
  const often = (chance: number, high: number) => (random.chance(chance) ? random.between(0, high) : 0);
  return {
    lossChance: often(0.7, 0.15),
    duplicateChance: often(0.5, 0.1),
    delayMs: random.between(0.5, 20),
    lateChance: often(0.5, 0.1),
    lateMs: random.between(20, 1500),
    diskMs: random.between(0.1, 8),
    slowDiskChance: often(0.3, 0.05),
    slowDiskMs: random.between(20, 800),
    calmMs: random.between(200, 2500),
    isBarren: random.chance(0.15),
  };
}

interface Leader {
  readonly id: NodeId;
  readonly node: RaftNode;
}

/** Long enough for three leaders, each of whom finds what the one before it left. */
const BARREN_MS = 6_000;
const LEADER_LASTS_MS = 1_500;

export interface FaultsOptions {
  readonly random: SeededRandom;
  readonly time: VirtualTime;
  readonly weather: Weather;
  readonly members: readonly Member[];
  readonly reset: (id: NodeId, delayMs: number) => void;
  readonly note: (line: string) => void;
}

export class Faults {
  readonly #options: FaultsOptions;
  /** Directed links that carry nothing: "from>to". Each partition has a set of its own, and heals no other. */
  #cut = new Set<string>();
  #over = false;
  /** Entries reach nobody in the term that they are of. */
  #barren = false;
  /** Whether the membership changes in this seed. */
  changing = false;

  constructor(options: FaultsOptions) {
    this.#options = options;
  }

  begin(): void {
    if (this.#options.weather.isBarren) this.#barrenTimes();
    else this.#next();
    if (this.changing) this.#changeNext();
  }

  #changeNext(): void {
    const { random, time } = this.#options;
    time.after(random.between(100, 1500), () => {
      if (this.#over) return;
      if (random.chance(0.2)) this.#changesOfTheForlorn();
      else this.#change();
      this.#changeNext();
    });
  }

  /** A leader that nobody hears is asked for one change after the other: none may count before the one before it is committed. */
  #changesOfTheForlorn(): void {
    const { random, members } = this.#options;
    const leader = this.#leaders()[0];
    if (leader === undefined || members.some((member) => member.isSick)) return;
    this.#partition((from, to) => (from.id === leader.id) !== (to.id === leader.id));
    let wish = leader.node.status().membership;
    for (let wishes = random.int(2, 6); wishes > 0; wishes--) {
      this.#later(0, 300, () => {
        if (leader.node.role !== "leader" || this.#over) return;
        wish = drawRemoval(random, wish, leader.id);
        this.#ask(leader, wish);
      });
    }
  }

  #change(): void {
    const { random, members } = this.#options;
    const leader = this.#leaders()[0];
    // What it could choose might be no majority without the sick.
    if (leader === undefined || members.some((member) => member.isSick)) return;
    const nodes = members.map((member) => member.id);
    const { isSwap, ...wish } = drawWish(random, leader.node.status().membership, nodes, leader.id);
    this.#ask(leader, wish);
    if (isSwap && random.chance(0.5)) this.#tearApart(wish.voters);
  }

  #ask({ id, node }: Leader, { voters, learners }: Membership): void {
    const { note } = this.#options;
    note(`change by ${id} to ${voters} learners ${learners}`);
    node.changeMembership({ voters, learners }).then(
      () => note(`changed to ${voters} learners ${learners}`),
      (error: Error & { reason?: string }) => note(`change refused: ${error.reason ?? error.message}`),
    );
  }

  /** In an order that is drawn. */
  #leaders(): readonly Leader[] {
    const { random, members } = this.#options;
    const leaders = members.flatMap(({ id, node, running }) =>
      running && node?.role === "leader" ? [{ id, node }] : [],
    );
    return leaders.length > 1 && random.chance(0.5) ? leaders.reverse() : leaders;
  }

  /** While a change is under way, those who vote after it lose sight of the others: each side may believe that it decides alone. */
  #tearApart(voters: readonly NodeId[]): void {
    const { random, time } = this.#options;
    time.after(random.between(0, 60), () => {
      if (!this.#over) this.#partition((from, to) => voters.includes(from.id) !== voters.includes(to.id));
    });
  }

  /** A leader's entries get to the others under a later leader at most, and that one is replaced by who has newer ones. */
  #barrenTimes(): void {
    const { random, time, note } = this.#options;
    this.#barren = random.chance(0.8);
    note(this.#barren ? "barren" : "fertile");
    for (let at = 0; at < BARREN_MS; at += LEADER_LASTS_MS)
      time.after(at + random.between(0, LEADER_LASTS_MS), () => this.#depose());
    time.after(BARREN_MS, () => {
      if (!this.#over) this.#barrenTimes();
    });
  }

  #depose(): void {
    const { random, members } = this.#options;
    if (this.#over) return;
    const leaders = members.filter((member) => member.running && member.node?.role === "leader");
    if (random.chance(0.3)) this.#crash(leaders);
    else this.#partition((from, to) => leaders.includes(from) !== leaders.includes(to));
  }

  /** Everything is repaired and stays so; what is lost is lost. */
  end(): void {
    this.#over = true;
    this.#barren = false;
    this.#cut.clear();
    this.#options.note("calm");
    for (const member of this.#options.members) {
      member.disk.full = false;
      member.resume();
      member.start();
    }
  }

  /** Delays of the copies of one message. */
  plan(from: NodeId, to: NodeId, message?: Message): readonly number[] {
    const { random, weather } = this.#options;
    if (this.#cut.has(`${from}>${to}`)) return [];
    if (this.#barren && message?.kind === "append" && message.entries.at(-1)?.term === message.term) return [];
    if (this.#over) return [random.between(0.5, 5)];
    if (random.chance(weather.lossChance)) return [];
    const delay = () => random.between(0.2, weather.delayMs) + (random.chance(weather.lateChance) ? weather.lateMs : 0);
    return random.chance(weather.duplicateChance) ? [delay(), delay()] : [delay()];
  }

  diskDelayMs(): number {
    const { random, weather } = this.#options;
    const slow = !this.#over && random.chance(weather.slowDiskChance);
    return random.between(0.05, slow ? weather.slowDiskMs : weather.diskMs);
  }

  #next(): void {
    const { random, time, weather } = this.#options;
    time.after(random.between(50, weather.calmMs), () => {
      if (this.#over) return;
      this.#strike();
      this.#next();
    });
  }

  #strike(): void {
    const { random, members } = this.#options;
    const victim = random.pick(members);
    switch (random.int(0, 11)) {
      case 0:
      case 1:
        return this.#crash([victim]);
      case 2:
        return this.#crash(members.filter((member) => member.node?.role === "leader"));
      case 3:
        return this.#crash(random.chance(0.5) ? members : members.filter(() => random.chance(0.6)));
      case 4:
        return this.#partition((from, to) => (from === victim) !== (to === victim));
      case 5:
        return this.#partition((from) => from === victim);
      case 6:
        return this.#partition((_from, to) => to === victim);
      case 7: {
        const side = new Set(members.filter(() => random.chance(0.5)));
        return this.#partition((from, to) => side.has(from) !== side.has(to));
      }
      case 8:
        return this.#pause(random.chance(0.5) ? victim : (members.find((m) => m.node?.role === "leader") ?? victim));
      case 9:
        return this.#fillDisk(victim);
      case 10:
        this.#options.note(`reset ${victim.id}`);
        return this.#options.reset(victim.id, random.between(0, 5));
      case 11:
        return this.#transfer(victim);
    }
  }

  #crash(victims: readonly Member[]): void {
    const { random, time, reset } = this.#options;
    for (const victim of victims) {
      victim.kill();
      // Only a host that lives resets its dead process's connections.
      if (random.chance(0.5)) reset(victim.id, random.between(0, 3));
      time.after(random.between(10, 4000), () => victim.start());
    }
  }

  #partition(isCut: (from: Member, to: Member) => boolean): void {
    const { members, note } = this.#options;
    const cut = new Set<string>();
    for (const from of members) {
      for (const to of members) {
        if (from !== to && isCut(from, to)) cut.add(`${from.id}>${to.id}`);
      }
    }
    this.#cut = cut;
    note(`cut ${[...cut].join(" ")}`);
    this.#later(100, 5000, () => {
      note("heal");
      cut.clear();
    });
  }

  #pause(victim: Member): void {
    this.#options.note(`pause ${victim.id}`);
    victim.pause();
    this.#later(50, 4000, () => {
      this.#options.note(`resume ${victim.id}`);
      victim.resume();
    });
  }

  #fillDisk(victim: Member): void {
    this.#options.note(`fill disk ${victim.id}`);
    victim.disk.full = true;
    this.#later(100, 4000, () => {
      victim.disk.full = false;
    });
  }

  #transfer(to: Member): void {
    const { members, note } = this.#options;
    const leader = members.find((member) => member.running && member.node?.role === "leader");
    if (leader?.node == null) return;
    note(`transfer ${leader.id} to ${to.id}`);
    // A node that is killed or stopped meanwhile refuses: the next events show what came of it.
    leader.node.transferLeader(to.id).catch(() => {});
  }

  #later(low: number, high: number, run: () => void): void {
    const { random, time } = this.#options;
    time.after(random.between(low, high), run);
  }
}
