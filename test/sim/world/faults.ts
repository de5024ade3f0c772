/**
 * The adversary: strikes at moments that the seed draws, and decides each message's and each write's fate.
 *
 * @module
 */
import type { NodeId } from "#raft";
import type { SeededRandom } from "../random.ts";
import type { VirtualTime } from "../virtual-time.ts";
import type { Host } from "./host.ts";
import { MembershipChanges } from "./membership.ts";
import type { FaultKind, Strike, Weather } from "./weather.ts";

/** A message that takes longer than this counts as delayed; without that fault none takes above 1 ms. */
const SLOW_MS = 5;

export interface FaultsOptions {
  readonly random: SeededRandom;
  readonly time: VirtualTime;
  readonly weather: Weather;
  readonly hosts: readonly Host[];
  readonly reset: (id: NodeId, delayMs: number) => void;
  /** Makes the operators give orders now: what the engine then decides is under way when the office changes hands. */
  readonly hurry: () => void;
  readonly note: (line: string) => void;
}

export class Faults {
  readonly counts = new Map<FaultKind, number>();
  readonly #options: FaultsOptions;
  readonly #strikes: Readonly<Record<Strike, () => void>> = this.#table();
  /** Directed links that carry nothing: "from>to". */
  readonly #cut = new Set<string>();
  readonly #membership: MembershipChanges;
  #over = false;

  constructor(options: FaultsOptions) {
    this.#options = options;
    const { random, time, hosts, note, weather } = options;
    this.#membership = new MembershipChanges({
      random,
      time,
      hosts,
      note,
      count: () => this.#count("membership"),
      votersMin: weather.on.has("corruption") ? 3 : 1,
      tearApart: (side) => {
        if (!this.#over) this.#partition("partition", (from, to) => side.includes(from.id) !== side.includes(to.id));
      },
      crash: (victim) => {
        if (!this.#over) this.#crash("crash-of-the-leader", [victim]);
      },
    });
  }

  begin(): void {
    const { random, time, weather } = this.#options;
    if (weather.strikes.length === 0) return;
    time.after(random.between(50, weather.calmMs), () => {
      if (this.#over) return;
      this.#strikes[random.pick(weather.strikes)]();
      this.begin();
    });
  }

  /** Everything is repaired and stays so; what is lost is lost. */
  end(): void {
    this.#over = true;
    this.#cut.clear();
    this.#options.note("calm");
    for (const host of this.#options.hosts) {
      host.disk.full = false;
      host.resume();
      host.start();
    }
    this.#membership.end();
  }

  /** Delays of the copies of one message. */
  plan(from: NodeId, to: NodeId): readonly number[] {
    const { random, weather } = this.#options;
    if (this.#cut.has(`${from}>${to}`)) return [];
    if (this.#over) return [random.between(0.2, 2)];
    if (weather.lossChance > 0 && random.chance(weather.lossChance)) {
      this.#count("loss");
      return [];
    }
    if (weather.duplicateChance > 0 && random.chance(weather.duplicateChance)) {
      this.#count("duplication");
      return [this.#delayMs(), this.#delayMs()];
    }
    return [this.#delayMs()];
  }

  diskDelayMs(): number {
    const { random, weather } = this.#options;
    const isSlow = !this.#over && weather.slowDiskChance > 0 && random.chance(weather.slowDiskChance);
    if (isSlow) this.#count("slow-disk");
    return random.between(0.05, isSlow ? weather.slowDiskMs : weather.diskMs);
  }

  /** How fast a process's clock runs. */
  clockRate(): number {
    const { random, weather } = this.#options;
    if (weather.skew === 0) return 1;
    this.#count("clock-skew");
    return 1 + random.between(-weather.skew, weather.skew);
  }

  /** Whether a host's kernel can be heard by another host's. */
  connected(one: NodeId, other: NodeId): boolean {
    return !this.#cut.has(`${one}>${other}`) && !this.#cut.has(`${other}>${one}`);
  }

  #delayMs(): number {
    const { random, weather } = this.#options;
    const isLate = weather.lateChance > 0 && random.chance(weather.lateChance);
    if (isLate) this.#count("reordering");
    const delayMs = random.between(0.2, weather.delayMs);
    if (delayMs > SLOW_MS) this.#count("delay");
    return delayMs + (isLate ? weather.lateMs : 0);
  }

  /** One line a strike. */
  #table(): Readonly<Record<Strike, () => void>> {
    const side = () => new Set(this.#options.hosts.filter(() => this.#options.random.chance(0.5)));
    return {
      "one-way-cut": () => this.#oneWay(this.#victim()),
      partition: () => {
        const one = side();
        this.#partition("partition", (from, to) => one.has(from) !== one.has(to));
      },
      isolation: () => {
        const victim = this.#victim();
        this.#partition("isolation", (from, to) => (from === victim) !== (to === victim));
      },
      reset: () => this.#reset(this.#victim()),
      "clock-jump": () => this.#jump(this.#victim()),
      pause: () => this.#pause(this.#victim()),
      crash: () => this.#crash("crash", [this.#victim()]),
      "crash-of-the-leader": () => this.#crash("crash-of-the-leader", this.#leaders()),
      "crash-of-many": () => {
        const { hosts, random } = this.#options;
        this.#crash("crash-of-many", random.chance(0.5) ? hosts : hosts.filter(() => random.chance(0.6)));
      },
      "power-off": () => this.#powerOff(this.#victim()),
      "full-disk": () => this.#fillDisk(this.#victim()),
      corruption: () => this.#damage(this.#victim()),
      snapshot: () => this.#snapshot(this.#victim()),
      transfer: () => this.#transfer(this.#victim()),
      membership: () => this.#membership.strike(),
    };
  }

  /** Every third time the leader: what happens to it hurts most. */
  #victim(): Host {
    const { random, hosts } = this.#options;
    const leaders = this.#leaders();
    return leaders.length > 0 && random.chance(0.3) ? random.pick(leaders) : random.pick(hosts);
  }

  #leaders(): readonly Host[] {
    return this.#options.hosts.filter((host) => host.leads);
  }

  #oneWay(victim: Host): void {
    const isOutward = this.#options.random.chance(0.5);
    this.#partition("one-way-cut", (from, to) => (isOutward ? from : to) === victim);
  }

  #partition(kind: FaultKind, isCut: (from: Host, to: Host) => boolean): void {
    const { hosts, note } = this.#options;
    this.#count(kind);
    this.#cut.clear();
    for (const from of hosts) {
      for (const to of hosts) {
        if (from !== to && isCut(from, to)) this.#cut.add(`${from.id}>${to.id}`);
      }
    }
    note(`cut ${[...this.#cut].join(" ")}`);
    this.#later(100, 5000, () => this.#cut.clear());
  }

  #reset(victim: Host): void {
    this.#count("reset");
    this.#options.note(`reset ${victim.id}`);
    this.#options.reset(victim.id, this.#options.random.between(0, 5));
  }

  #jump(victim: Host): void {
    this.#count("clock-jump");
    victim.jump(this.#options.random.between(10, 8000));
  }

  #pause(victim: Host): void {
    this.#count("pause");
    victim.pause();
    this.#later(50, 6000, () => victim.resume());
  }

  #crash(kind: FaultKind, victims: readonly Host[]): void {
    const { random, reset } = this.#options;
    for (const victim of victims) {
      this.#count(kind);
      victim.kill();
      // Only a host that lives resets its dead process's connections, and they may be lost.
      if (random.chance(0.5)) reset(victim.id, random.between(0, 3));
      this.#later(10, 4000, () => victim.start());
    }
  }

  #powerOff(victim: Host): void {
    this.#count("power-off");
    victim.powerOff();
    this.#later(500, 8000, () => victim.start());
  }

  #fillDisk(victim: Host): void {
    this.#count("full-disk");
    this.#options.note(`full disk ${victim.id}`);
    victim.disk.full = true;
    this.#later(100, 4000, () => {
      victim.disk.full = false;
    });
  }

  /** A bit flips on a host's disk, which its next start finds. One host at a time, until it is whole again: a majority stays so. */
  #damage(victim: Host): void {
    const { hosts, random } = this.#options;
    if (hosts.some((host) => host.isSick)) return;
    this.#count("corruption");
    victim.damage(random.next());
    this.#later(10, 1000, () => victim.start());
  }

  #snapshot(victim: Host): void {
    this.#count("snapshot");
    victim.snapshot();
    // In the middle of it, sometimes.
    if (this.#options.random.chance(0.4)) this.#later(0, 20, () => this.#crash("crash", [victim]));
  }

  #transfer(to: Host): void {
    this.#options.hurry();
    this.#later(0, 15, () => {
      const [leader] = this.#leaders();
      if (leader === undefined) return;
      this.#count("transfer");
      this.#options.note(`transfer ${leader.id} to ${to.id}`);
      leader.transferTo(to.id);
    });
  }

  #later(low: number, high: number, run: () => void): void {
    const { random, time } = this.#options;
    time.after(random.between(low, high), run);
  }

  #count(kind: FaultKind): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
  }
}
