/**
 * What must hold whatever happens (thesis figure 3.2), checked from outside with the knowledge of all nodes at once.
 *
 * Idea. Each checker keeps the first thing it was told and holds everyone else to it. Nothing here asks the nodes what they
 * think; it looks at what they sent, wrote, applied and answered.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import type { Configuration, Entry, Message, NodeId, Term } from "#raft";
import type { MemoryDisk } from "../../fakes/memory-disk.ts";

export class Violation extends Error {
  override readonly name = "Violation";
}

interface Applied {
  readonly term: Term;
  readonly text: string;
}

const decoder = new TextDecoder();

export class Checkers {
  readonly #leaderOf = new Map<Term, NodeId>();
  readonly #entries = new Map<string, { readonly prevTerm: Term; readonly crc: number }>();
  readonly #applied = new Map<number, Applied>();
  /** What was looked at is the same ever after; its predecessor's term is kept. */
  readonly #matched = new Map<Entry, Term>();
  /** By rising index. */
  readonly #memberships: { readonly index: number; readonly text: string }[] = [];
  #highestApplied = 0;
  #highestTerm = 0;
  /** Indexes of the commands alone, in order: what every machine's state is a prefix of. */
  readonly #commands: { readonly index: number; readonly text: string }[] = [];

  get highestApplied(): number {
    return this.#highestApplied;
  }
  get commands(): readonly { readonly index: number; readonly text: string }[] {
    return this.#commands;
  }

  /** Election safety: in one term, appends and heartbeats come from one node. Log matching, for what is sent. */
  sent(message: Message): void {
    if (message.kind !== "append" && message.kind !== "heartbeat") return;
    this.#leads(message.from, message.term);
    if (message.kind !== "append") return;
    let prevTerm = message.prevTerm;
    for (const entry of message.entries) prevTerm = this.#matches(entry, prevTerm, `sent by node ${message.from}`);
  }

  /** Log matching, for what is on disk: an index and a term name one entry with one predecessor (thesis 3.5). */
  disk(id: NodeId, disk: MemoryDisk): void {
    const base = disk.snapshot?.meta;
    let prevTerm: Term | null = null;
    for (const entry of disk.entries) {
      if (base !== undefined && entry.index <= base.index) {
        prevTerm = entry.term;
        continue;
      }
      prevTerm ??= entry.index === (base?.index ?? 0) + 1 ? (base?.term ?? 0) : null;
      if (prevTerm === null) throw new Violation(`node ${id}: entry ${entry.index} follows nothing on its disk`);
      prevTerm = this.#matches(entry, prevTerm, `on the disk of node ${id}`);
    }
    if (base === undefined) return;
    const applied = this.#applied.get(base.index);
    if (applied !== undefined && applied.term !== base.term) {
      throw new Violation(`node ${id}: its snapshot ${base.index} has term ${base.term}, applied was ${applied.term}`);
    }
  }

  /** Leader completeness: a new leader's log holds everything that was committed before (thesis 3.6.3). */
  elected(id: NodeId, term: Term, disk: MemoryDisk, hadNoRoom: boolean): void {
    this.#leads(id, term);
    if (term < this.#highestTerm) return;
    this.#highestTerm = term;
    // What found no room is in its memory only; whatever is lost by that shows in what is applied.
    if (hadNoRoom) return;
    const base = disk.snapshot?.meta.index ?? 0;
    const terms = new Map(disk.entries.map((entry) => [entry.index, entry.term]));
    for (let index = base + 1; index <= this.#highestApplied; index++) {
      const applied = this.#applied.get(index);
      // Entries of its own term may commit on the others' disks while its own is still writing (thesis 10.2.1).
      if (applied !== undefined && applied.term < term && terms.get(index) !== applied.term) {
        throw new Violation(`leader completeness: node ${id} leads term ${term} without the committed entry ${index}`);
      }
    }
  }

  /** State machine safety: the same entry at the same index, on every node. */
  applied(id: NodeId, entry: Entry): void {
    const seen: Applied = { term: entry.term, text: decoder.decode(entry.data) };
    const first = this.#applied.get(entry.index);
    if (first === undefined) {
      if (entry.index <= this.#highestApplied) {
        throw new Violation(`node ${id} applied entry ${entry.index}, others ${this.#highestApplied} without it`);
      }
      this.#applied.set(entry.index, seen);
      this.#highestApplied = entry.index;
      this.#commands.push({ index: entry.index, text: seen.text });
    } else if (first.term !== seen.term || first.text !== seen.text) {
      throw new Violation(
        `state machine safety: node ${id} applied "${seen.text}" of term ${seen.term} at ${entry.index}, ` +
          `another one "${first.text}" of term ${first.term}`,
      );
    }
  }

  /** A machine's whole state is a prefix of what was applied. */
  state(id: NodeId, commands: readonly string[]): void {
    commands.forEach((text, position) => {
      const expected = this.#commands[position];
      if (expected?.text !== text) {
        throw new Violation(`node ${id} holds "${text}" as command ${position}, applied was "${expected?.text}"`);
      }
    });
  }

  /** After the same entries every node knows the same members, whether it applied them or got a snapshot. */
  membership(id: NodeId, { index, membership }: Configuration): void {
    const text = JSON.stringify(membership);
    const known = this.#memberships.findLast((earlier) => earlier.index <= index);
    if (known?.text === text) return;
    if (known?.index === index || this.#memberships.some((later) => later.index > index)) {
      throw new Violation(`node ${id} has the membership ${text} after ${index}, others ${known?.text}`);
    }
    this.#memberships.push({ index, text });
  }

  #leads(id: NodeId, term: Term): void {
    const leader = this.#leaderOf.get(term);
    if (leader === undefined) this.#leaderOf.set(term, id);
    else if (leader !== id) throw new Violation(`election safety: nodes ${leader} and ${id} both lead term ${term}`);
  }

  #matches(entry: Entry, prevTerm: Term, where: string): Term {
    if (this.#matched.get(entry) === prevTerm) return entry.term;
    const key = `${entry.index}/${entry.term}`;
    const crc = crc32(entry.data, entry.kind.length);
    const first = this.#entries.get(key);
    if (first === undefined) this.#entries.set(key, { prevTerm, crc });
    else if (first.prevTerm !== prevTerm || first.crc !== crc) {
      throw new Violation(`log matching: entry ${key} ${where} differs from another one of this index and term`);
    }
    this.#matched.set(entry, prevTerm);
    return entry.term;
  }
}
