/**
 * Clients: propose and read all the time, remember each answer, and hold the cluster to it in the end.
 *
 * @module
 */
import { type NodeId, RaftNode } from "#raft";
import type { SeededRandom } from "../random.ts";
import type { VirtualTime } from "../virtual-time.ts";
import { type Checkers, Violation } from "./checkers.ts";
import type { Member } from "./member.ts";

/** What a client was told about one command. `open`: nothing yet, or that nobody knows. */
type Fate = "open" | "done" | "never";

export interface ClientsOptions {
  readonly random: SeededRandom;
  readonly time: VirtualTime;
  readonly members: readonly Member[];
  readonly checkers: Checkers;
  readonly note: (line: string) => void;
  readonly fail: (error: Error) => void;
}

const encoder = new TextEncoder();

export class Clients {
  readonly #options: ClientsOptions;
  readonly #fates = new Map<string, Fate>();
  #highestDone = 0;
  #reads = 0;
  #over = false;

  constructor(options: ClientsOptions) {
    this.#options = options;
  }

  get counts(): Record<Fate | "reads", number> {
    const counts = { open: 0, done: 0, never: 0, reads: this.#reads };
    for (const fate of this.#fates.values()) counts[fate] += 1;
    return counts;
  }

  begin(): void {
    const { random, time } = this.#options;
    time.after(random.between(1, 60), () => {
      if (this.#over) return;
      if (random.chance(0.25)) this.#read();
      else for (let burst = random.chance(0.05) ? 30 : 1; burst > 0; burst--) this.#write();
      this.begin();
    });
  }

  end(): void {
    this.#over = true;
  }

  #target(): { readonly id: NodeId; readonly node: RaftNode } | null {
    const { random, members } = this.#options;
    const running = members.filter((member) => member.running);
    // Mostly at one that says it leads: there may be two, and the deposed one is the interesting one.
    const leaders = running.filter((member) => member.node?.role === "leader");
    const candidates = leaders.length > 0 && random.chance(0.9) ? leaders : running;
    if (candidates.length === 0) return null;
    const { id, node } = random.pick(candidates);
    return node instanceof RaftNode ? { id, node } : null;
  }

  #write(): void {
    const { random, checkers, note, fail } = this.#options;
    const target = this.#target();
    if (target === null) return;
    const text = `c${this.#fates.size + 1}${"-".repeat(random.int(0, 40))}`;
    this.#fates.set(text, "open");
    target.node.propose<number>(encoder.encode(text), { timeoutMs: random.between(50, 4000) }).then(
      (index) => {
        this.#fates.set(text, "done");
        this.#highestDone = Math.max(this.#highestDone, index);
        note(`done ${text} at ${index} by ${target.id}`);
        if (index > checkers.highestApplied) fail(new Violation(`"${text}" was acknowledged before it was applied`));
      },
      (error: Error & { code?: string }) => {
        note(`${error.code} ${text}`);
        if (error.code === "unknown-fate") return;
        if (error.code === "not-leader" || error.code === "dropped" || error.code === "lost")
          this.#fates.set(text, "never");
        else fail(error);
      },
    );
  }

  /** Linearizability of the read point: it covers everything that was acknowledged before the read began. */
  #read(): void {
    const { random, members, note, fail } = this.#options;
    const running = members.filter((member) => member.running);
    if (running.length === 0) return;
    const { id, node } = random.pick(running);
    const before = this.#highestDone;
    node?.readIndex({ timeoutMs: random.between(100, 3000) }).then(
      (index) => {
        this.#reads += 1;
        note(`read ${index} by ${id}`);
        if (index < before) fail(new Violation(`node ${id} read at ${index}, but ${before} was acknowledged before`));
        if (node.applied < index) fail(new Violation(`node ${id} read at ${index} before it applied it`));
      },
      (error: Error & { code?: string }) => {
        if (error.code !== "dropped") fail(error);
      },
    );
  }

  /** After everything healed: what was acknowledged is there, once; what was refused or lost is nowhere. Whoever is no member any
   *  more holds a part of it, but nothing else. */
  settle(membership: readonly NodeId[]): void {
    const { members, checkers } = this.#options;
    for (const member of members) {
      checkers.state(member.id, member.commands);
      if (!membership.includes(member.id)) continue;
      if (member.commands.length !== checkers.commands.length) {
        throw new Violation(
          `liveness: node ${member.id} holds ${member.commands.length} of ${checkers.commands.length} commands`,
        );
      }
      const times = new Map<string, number>();
      for (const text of member.commands) times.set(text, (times.get(text) ?? 0) + 1);
      for (const [text, fate] of this.#fates) {
        const count = times.get(text) ?? 0;
        if (fate === "done" && count === 0) throw new Violation(`"${text}" was acknowledged and is lost`);
        if (fate === "never" && count > 0) throw new Violation(`"${text}" was said never to happen and is applied`);
        if (count > 1) throw new Violation(`"${text}" is applied ${count} times`);
      }
    }
  }
}
