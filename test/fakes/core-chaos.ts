/**
 * A cluster of cores that lives dangerously: everything that may go wrong does, by the draw of one seed.
 *
 * Idea. Each step one thing happens: a message arrives, twice, late or never; a clock ticks; a node does the next duty of
 * its Ready, so that crashes fall between any two of them; somebody proposes, reads, campaigns, compacts, changes who takes part; a
 * link breaks.
 * After each the checks look on from outside. `seed` alone decides the run, so a failing one can be replayed.
 *
 * Checks (thesis figure 3.2): election safety, log matching, leader completeness, state machine safety; and that a read is
 * never older than what anybody had applied when it was asked for.
 *
 * @module
 */
import { membershipOf } from "../../raft/core/config-entry.ts";
import type { Configuration, Entry, LogIndex, Membership, Message, NodeId, Ready, Term } from "../../raft/types.ts";
import { CoreCluster, type CoreNode, decode, encode } from "./core-cluster.ts";

interface Work {
  readonly ready: Ready;
  /** How many duties are done: 1 written, 2 sent. */
  stage: number;
  readonly isEarly: boolean;
  readonly hasRoom: boolean;
}

interface Action {
  readonly weight: number;
  readonly run: () => void;
}

const NETWORK_MAX = 150;

/** Numbers in [0, 1), the same for the same seed. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class CoreChaos {
  readonly cluster: CoreCluster;
  readonly #random: () => number;
  readonly #work = new Map<NodeId, Work>();
  readonly #leaders = new Map<Term, NodeId>();
  readonly #entries = new Map<string, string>();
  readonly #committed = new Map<LogIndex, Term>();
  readonly #reads = new Map<number, LogIndex>();
  readonly #actions: readonly Action[];
  #lastCommitted: LogIndex = 0;
  /** The newest that anybody applied. */
  #configuration: Configuration;
  #counter = 0;
  /** How often each thing was seen, to know that the run was worth something. */
  readonly seen = {
    leaders: 0,
    committed: 0,
    snapshots: 0,
    restarts: 0,
    reads: 0,
    fullDisks: 0,
    /** Changes of membership that were applied; joint ones count once. */
    simpleChanges: 0,
    jointChanges: 0,
  };

  /** @param spares Nodes that are no members at first. */
  constructor(seed: number, size: number, learners = 0, spares = 0) {
    this.#random = randomOf(seed);
    const ids = Array.from({ length: size + learners + spares }, (_, i) => i + 1);
    const founders: Membership = { voters: ids.slice(0, size), learners: ids.slice(size, size + learners) };
    this.cluster = new CoreCluster(founders, {
      electionTicks: 8,
      electionJitterTicks: 8,
      heartbeatTicks: 2,
      maxAppendBytes: 12,
      maxInflightMessages: 3,
      maxInflightBytes: 24,
      maxCommittedBytes: 16,
      maxUncommittedBytes: 60,
      random: this.#random,
    });
    this.#configuration = { index: 0, membership: founders };
    for (const id of ids.slice(size + learners)) this.cluster.add(id, founders, this.cluster.options);
    this.#actions = this.#drawActions();
  }

  /** What every run does, and faults that each seed has more of, or less, or none: calm seas find other bugs than storms. */
  #drawActions(): readonly Action[] {
    const work: readonly Action[] = [
      { weight: 300, run: () => this.#arrive() },
      { weight: 120, run: () => this.#any().core.tick() },
      { weight: 400, run: () => this.#labour(this.#any()) },
      { weight: 60, run: () => void this.#any().core.propose(encode(`p${this.#counter++}`)) },
      { weight: 20, run: () => this.#read(this.#any()) },
      { weight: 15, run: () => this.#compact(this.#any()) },
    ];
    const faults: readonly Action[] = [
      { weight: 20, run: () => this.#repeat() },
      { weight: 20, run: () => this.#lose() },
      { weight: 4, run: () => this.#any().core.campaign() },
      { weight: 4, run: () => void this.#any().core.transferLeader(this.#any().id) },
      { weight: 4, run: () => this.#any().core.unreachable(this.#any().id) },
      { weight: 2, run: () => this.#any().core.suspect() },
      { weight: 25, run: () => this.#changeMembership(this.#any()) },
      { weight: 4, run: () => this.#crash(this.#any()) },
      { weight: 1, run: () => this.cluster.isolate([this.#any().id]) },
      { weight: 2, run: () => this.cluster.cut.add(`${this.#any().id}->${this.#any().id}`) },
    ];
    const drawn = faults.map((fault) => ({ ...fault, weight: fault.weight * Math.floor(this.#random() * 4) }));
    return [...work, ...drawn, { weight: 4, run: () => this.cluster.heal() }];
  }

  run(steps: number): void {
    const total = this.#actions.reduce((sum, action) => sum + action.weight, 0);
    for (let i = 0; i < steps; i++) {
      let draw = this.#random() * total;
      for (const action of this.#actions) {
        draw -= action.weight;
        if (draw >= 0) continue;
        action.run();
        break;
      }
      while (this.cluster.network.length > NETWORK_MAX) this.#lose();
    }
  }

  /** Faults end; within a few elections' time everybody must have the same log, and a new proposal must commit. */
  recover(): void {
    this.cluster.heal();
    for (const node of this.cluster.nodes.values()) while (this.#work.has(node.id)) this.#labour(node);
    const last = `last${this.#counter++}`;
    let proposedIn: Term = 0;
    const hasLast = () => proposedIn > 0 && this.#members().every((node) => node.applied.at(-1) === last);
    for (let tick = 0; tick < 200 && !hasLast(); tick++) {
      for (const node of this.cluster.nodes.values()) node.core.tick();
      this.#settle();
      const [leader] = this.cluster.leaders();
      if (leader === undefined) continue;
      const { core } = this.cluster.node(leader);
      // A change that ends may end the term of its leader with it: then the next one is asked.
      if (core.term > proposedIn && core.propose(encode(last)).kind === "appended") proposedIn = core.term;
    }
    if (!hasLast()) throw new Error(`No recovery: ${this.#describe()}`);
  }

  #settle(): void {
    for (let round = 0; round < 500; round++) {
      let isQuiet = this.cluster.network.length === 0;
      for (const message of this.cluster.network.splice(0)) this.cluster.deliver(message);
      for (const node of this.cluster.nodes.values()) {
        const ready = node.core.ready();
        if (ready === null) continue;
        isQuiet = false;
        this.#write(node, ready);
        this.cluster.network.push(...ready.messages);
        this.#apply(node, ready);
        node.core.advance();
      }
      if (isQuiet) return;
    }
    throw new Error(`The cluster does not come to rest: ${this.#describe()}`);
  }

  #members(): readonly CoreNode[] {
    const { voters, learners } = this.#configuration.membership;
    return [...voters, ...learners].map((id) => this.cluster.node(id));
  }

  /** A voter or a learner comes, goes or changes its place; or all places are drawn anew, which takes a joint membership. */
  #changeMembership(node: CoreNode): void {
    if (node.core.role !== "leader") return;
    const places = new Map<NodeId, number>();
    const { voters, learners } = node.core.membership;
    const isRedrawn = this.#random() < 0.6;
    for (const id of this.cluster.nodes.keys()) {
      const place = voters.includes(id) ? 0 : learners.includes(id) ? 1 : 2;
      // Whoever is nobody becomes a learner first: anything else is refused.
      const another = place === 2 ? 1 : Math.floor(this.#random() * 3);
      places.set(id, isRedrawn && this.#random() < 0.6 ? another : place);
    }
    if (!isRedrawn) places.set(this.#any().id, Math.floor(this.#random() * 3));
    const at = (place: number) => [...places.keys()].filter((id) => places.get(id) === place);
    node.core.changeMembership({ voters: at(0), learners: at(1) });
  }

  #configured(entry: Entry): void {
    if (entry.index <= this.#configuration.index) return;
    const membership = membershipOf(entry);
    const endsJoint = this.#configuration.membership.outgoing !== undefined;
    if (membership.outgoing !== undefined) this.seen.jointChanges++;
    else if (!endsJoint) this.seen.simpleChanges++;
    this.#configuration = { index: entry.index, membership };
  }

  #any(): CoreNode {
    return this.cluster.node(1 + Math.floor(this.#random() * this.cluster.nodes.size));
  }

  #takeMessage(): Message | undefined {
    const { network } = this.cluster;
    // Mostly in order, sometimes not.
    const at = this.#random() < 0.7 ? 0 : Math.floor(this.#random() * network.length);
    return network.splice(at, 1)[0];
  }

  #arrive(): void {
    const message = this.#takeMessage();
    if (message !== undefined) this.cluster.deliver(message);
  }

  #repeat(): void {
    const { network } = this.cluster;
    const message = network[Math.floor(this.#random() * network.length)];
    if (message !== undefined && message.kind !== "snapshot") network.push(message);
  }

  #lose(): void {
    const message = this.#takeMessage();
    if (message?.kind === "snapshot") this.cluster.core(message.from).snapshotSent(message.to, false);
  }

  /** The next of a node's duties: take, write, send, apply and advance. */
  #labour(node: CoreNode): void {
    const work = this.#work.get(node.id);
    if (work === undefined) this.#take(node);
    else if (work.stage === 0) {
      this.#writeWhatFits(node, work);
      work.stage = 1;
      // A leader may talk although its Ready is not advanced.
      if (this.#random() < 0.3) this.cluster.network.push(...node.core.leaderMessages());
    } else if (work.stage === 1) {
      if (!work.isEarly) this.#send(work);
      work.stage = 2;
    } else this.#finish(node, work);
  }

  #take(node: CoreNode): void {
    const ready = node.core.ready();
    if (ready === null) return;
    const { role, term } = node.core;
    if (role === "leader") this.#checkLeader(node, ready, term);
    const isEarly = role === "leader" && this.#random() < 0.7;
    const hasRoom = ready.snapshot !== null || ready.entries.length === 0 || this.#random() < 0.95;
    const work: Work = { ready, stage: 0, isEarly, hasRoom };
    if (isEarly) this.#send(work);
    this.#work.set(node.id, work);
  }

  #send({ ready, hasRoom, isEarly }: Work): void {
    const keepsBack = !hasRoom && !isEarly;
    const mayLeave = (message: Message) => !keepsBack || message.kind !== "append-reply" || message.rejected;
    this.cluster.network.push(...ready.messages.filter(mayLeave));
  }

  #writeWhatFits(node: CoreNode, { ready, hasRoom }: Work): void {
    // Without mustSync there is only a commit index, which may be forgotten.
    if (!ready.mustSync && this.#random() < 0.5) return;
    if (hasRoom) {
      this.#write(node, ready);
      return;
    }
    this.seen.fullDisks++;
    const hardState = ready.hardState ?? node.disk.hardState;
    const { commit } = node.disk.hardState;
    node.disk = { ...node.disk, hardState: { ...hardState, commit } };
  }

  #finish(node: CoreNode, work: Work): void {
    this.#work.delete(node.id);
    const firstMissing = work.hasRoom ? Number.POSITIVE_INFINITY : (work.ready.entries[0]?.index ?? 0);
    const committed = work.ready.committed.filter((entry) => entry.index < firstMissing);
    this.#apply(node, { ...work.ready, committed });
    node.core.advance(work.hasRoom);
  }

  #write(node: CoreNode, ready: Ready): void {
    node.write(ready);
    if (ready.snapshot !== null) this.seen.snapshots++;
    const { entries, snapshot } = node.disk;
    let prevTerm = snapshot !== null && entries[0]?.index === snapshot.index + 1 ? snapshot.term : undefined;
    for (const entry of entries) {
      this.#checkEntry(node, entry, prevTerm);
      prevTerm = entry.term;
    }
  }

  #apply(node: CoreNode, ready: Ready): void {
    node.apply(ready);
    for (const entry of ready.committed) {
      const known = this.#committed.get(entry.index);
      if (known !== undefined && known !== entry.term) throw new Error(`Two entries applied at ${entry.index}`);
      this.#committed.set(entry.index, entry.term);
      this.#lastCommitted = Math.max(this.#lastCommitted, entry.index);
      this.seen.committed++;
      if (entry.kind === "config") this.#configured(entry);
    }
    for (const { context, index } of ready.readStates) {
      const floor = this.#reads.get(context);
      if (index === null || floor === undefined) continue;
      if (index < floor) throw new Error(`Read ${context} may read at ${index}, but ${floor} was applied before it`);
      this.seen.reads++;
    }
  }

  #read(node: CoreNode): void {
    const context = ++this.#counter;
    this.#reads.set(context, this.#lastCommitted);
    node.core.readIndex(context);
  }

  #crash(node: CoreNode): void {
    this.#work.delete(node.id);
    this.seen.restarts++;
    node.restart();
  }

  #compact(node: CoreNode): void {
    if (this.#work.has(node.id) || node.core.pendingSnapshot !== null) return;
    const { applied, firstIndex } = node.core;
    if (applied < firstIndex) return;
    node.compact(firstIndex + Math.floor(this.#random() * (applied - firstIndex + 1)));
  }

  /** Election safety and leader completeness: one leader a term, and it holds everything committed. */
  #checkLeader(node: CoreNode, ready: Ready, term: Term): void {
    const known = this.#leaders.get(term);
    if (known === node.id) return;
    if (known !== undefined) throw new Error(`Two leaders in term ${term}: ${known} and ${node.id}`);
    this.#leaders.set(term, node.id);
    this.seen.leaders++;
    const log = new Map([...node.disk.entries, ...ready.entries].map((entry) => [entry.index, entry.term]));
    for (const [index, entryTerm] of this.#committed) {
      if (index <= (node.disk.snapshot?.index ?? 0) || log.get(index) === entryTerm) continue;
      throw new Error(`Leader ${node.id} of term ${term} lacks committed entry ${index}/${entryTerm}`);
    }
  }

  /** Log matching: an index and a term name one entry, and what lies before it. */
  #checkEntry(node: CoreNode, entry: Entry, prevTerm: Term | undefined): void {
    const key = `${entry.index}/${entry.term}`;
    const claims: [string, string][] = [[`${key} is`, `${entry.kind} ${decode(entry.data)}`]];
    if (prevTerm !== undefined) claims.push([`${key} follows`, String(prevTerm)]);
    for (const [claim, value] of claims) {
      const known = this.#entries.get(claim);
      if (known !== undefined && known !== value)
        throw new Error(`Node ${node.id}: ${claim} "${value}", not "${known}"`);
      this.#entries.set(claim, value);
    }
  }

  #describe(): string {
    return JSON.stringify([...this.cluster.nodes.values()].map((node) => node.core.status()));
  }
}
