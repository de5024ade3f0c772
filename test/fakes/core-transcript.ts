/**
 * Runs a transcript: commands to a cluster of cores, each followed by what came of it.
 *
 *     # A line of prose.
 *     > campaign 1
 *     > work 1
 *     1: pre-candidate term=0 leader=0
 *     1: send 1->2 pre-vote term=1 last=0/0
 *
 * Idea. The file is its own expectation: replay() drops the output lines, runs the commands again and writes the whole
 * text anew. A test compares; regenerating means to save the new text and to read the difference.
 *
 * Commands: nodes, campaign, tick, propose, change, join, read, transfer, work, ready, advance, deliver, drop, settle, isolate, heal, status,
 * messages, compact, restart, damage, suspect, unreachable, snapshot-sent, inject. What they take is said at each below.
 *
 * @module
 */
import type { CoreConfig, Membership, Message, NodeId, Ready } from "../../raft/types.ts";
import { CoreCluster, encode, logOfTerms } from "./core-cluster.ts";
import { printMessage, printReady, printStatus } from "./core-print.ts";

const NOBODY: Membership = { voters: [], learners: [] };

type Command = (words: readonly string[]) => readonly string[];

export function replay(text: string): string {
  const run = new TranscriptRun();
  const lines: string[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("> ")) lines.push(line, ...run.command(line.slice(2)));
    else if (line.startsWith("#") || line === "") lines.push(line);
  }
  return lines.join("\n");
}

class TranscriptRun {
  #cluster = new CoreCluster({ voters: [1], learners: [] });
  readonly #open = new Map<NodeId, Ready>();
  readonly #commands: Readonly<Record<string, Command>> = {
    /** nodes 1 2 3 [learners 4] [maxInflightMessages=2 ...] */
    nodes: (words) => this.#nodes(words),
    /** disk 2 terms 1,1,4 [term 5] [commit 1]: the node starts from a disk with entries of these terms */
    disk: ([node, , terms, , term, , commit]) => this.#disk(number(node), terms ?? "", Number(term), Number(commit)),
    campaign: ([node]) => this.#on(node, ({ core }) => core.campaign()),
    /** tick 1 [times], tick all [times] */
    tick: ([which, times]) => this.#tick(which, Number(times ?? 1)),
    /** propose 1 text, propose 1 *300: as many bytes */
    propose: ([node, text]) => this.#propose(number(node), text ?? ""),
    /** change 1 to 1 2 3 [learners 4] */
    change: ([node, , ...words]) => this.#change(number(node), membershipOf(words)),
    /** join 4: a node that was told nothing */
    join: ([node]) => this.#quiet(() => this.#cluster.add(number(node), NOBODY, this.#cluster.options)),
    read: ([node, context]) => [this.#cluster.core(number(node)).readIndex(number(context))],
    transfer: ([node, to]) => [this.#cluster.core(number(node)).transferLeader(number(to)) ? "begun" : "refused"],
    work: ([node]) => this.#work(number(node)),
    ready: ([node]) => this.#ready(number(node)),
    /** early 1: what a leader may send while its Ready is outstanding */
    early: ([node]) => this.#early(number(node)),
    /** advance 1 [unwritten] */
    advance: ([node, how]) => this.#advance(number(node), how !== "unwritten"),
    /** deliver [1->2] [kind] */
    deliver: (words) => this.#take(words).map((message) => this.#deliver(message)),
    drop: (words) => this.#take(words).map((message) => `lost ${printMessage(message)}`),
    /** Everything that is under way arrives once more, later. */
    duplicate: (words) => this.#duplicate(words),
    /** settle [quiet] */
    settle: ([how]) => this.#settle(how === "quiet"),
    isolate: (words) => this.#quiet(() => this.#cluster.isolate(words.map(number))),
    heal: () => this.#quiet(() => this.#cluster.heal()),
    status: ([node]) => printStatus(this.#cluster.core(number(node)).status()),
    applied: ([node]) => [this.#cluster.node(number(node)).applied.join(" ")],
    messages: () => this.#cluster.network.map(printMessage),
    /** compact 1 [index]: a snapshot at the applied index, entries up to index are dropped */
    compact: ([node, index]) => this.#on(node, (it) => it.compact(index === undefined ? undefined : number(index))),
    restart: ([node]) => this.#on(node, (it) => it.restart()),
    /** damage 3 77 [kept 2]: recovery number 77; entries up to 2 are sound */
    damage: ([node, recovery, , kept]) => this.#on(node, (it) => it.damage(number(recovery), number(kept ?? "0"))),
    suspect: ([node]) => this.#on(node, ({ core }) => core.suspect()),
    unreachable: ([node, peer]) => this.#on(node, ({ core }) => core.unreachable(number(peer))),
    "snapshot-sent": ([node, peer, how]) => this.#on(node, ({ core }) => core.snapshotSent(number(peer), how === "ok")),
    /** inject {"kind":"vote",...}: a message from nowhere */
    inject: (words) => this.#quiet(() => this.#cluster.deliver(parseMessage(words.join(" ")))),
  };

  command(line: string): readonly string[] {
    const [name, ...words] = line.split(" ");
    const command = this.#commands[name ?? ""];
    if (command === undefined) throw new Error(`Unknown transcript command "${line}"`);
    return command(words);
  }

  #nodes(words: readonly string[]): readonly string[] {
    const options: Partial<Record<string, number>> = {};
    for (const word of words.filter((each) => each.includes("="))) {
      const [key, value] = word.split("=");
      options[key ?? ""] = number(value);
    }
    const membership = membershipOf(words.filter((word) => !word.includes("=")));
    this.#cluster = new CoreCluster(membership, options as Partial<CoreConfig>);
    return [];
  }

  #change(id: NodeId, target: Membership): readonly string[] {
    const result = this.#cluster.core(id).changeMembership(target);
    if (result.kind === "appended") return [`appended ${result.index}/${result.term}`];
    return [`refused: ${result.reason}${result.node === undefined ? "" : ` (node ${result.node})`}`];
  }

  #disk(id: NodeId, terms: string, term: number, commit: number): readonly string[] {
    const { config } = this.#cluster.node(id);
    const list = terms.split(",").map(number);
    const disk = logOfTerms(list, Number.isNaN(term) ? undefined : term, Number.isNaN(commit) ? 0 : commit);
    this.#cluster.add(id, config.membership, config, disk);
    return [];
  }

  #on(node: string | undefined, act: (node: ReturnType<CoreCluster["node"]>) => void): readonly string[] {
    act(this.#cluster.node(number(node)));
    return [];
  }

  #quiet(act: () => void): readonly string[] {
    act();
    return [];
  }

  #tick(which: string | undefined, times: number): readonly string[] {
    const cores = which === "all" ? [...this.#cluster.nodes.keys()] : [number(which)];
    for (let i = 0; i < times; i++) for (const id of cores) this.#cluster.core(id).tick();
    return [];
  }

  #propose(id: NodeId, text: string): readonly string[] {
    const size = text.startsWith("*") ? number(text.slice(1)) : null;
    const result = this.#cluster.core(id).propose(size === null ? encode(text) : new Uint8Array(size));
    return [result.kind === "appended" ? `appended ${result.index}/${result.term}` : `refused: ${result.reason}`];
  }

  #work(id: NodeId): readonly string[] {
    const lines = this.#ready(id);
    if (this.#open.has(id)) this.#advance(id, true);
    return lines;
  }

  /** Takes a Ready and sends; writing and applying wait for `advance`. */
  #ready(id: NodeId): readonly string[] {
    const node = this.#cluster.node(id);
    const ready = node.core.ready();
    if (ready === null) return [`${id}: nothing to do`];
    this.#open.set(id, ready);
    this.#cluster.network.push(...ready.messages);
    return printReady(ready).map((line) => `${id}: ${line}`);
  }

  #early(id: NodeId): readonly string[] {
    const messages = this.#cluster.core(id).leaderMessages();
    this.#cluster.network.push(...messages);
    return messages.map((message) => `${id}: send ${printMessage(message)}`);
  }

  #advance(id: NodeId, isWritten: boolean): readonly string[] {
    const node = this.#cluster.node(id);
    const ready = this.#open.get(id);
    if (ready === undefined) throw new Error(`Node ${id} has no Ready outstanding`);
    this.#open.delete(id);
    if (isWritten) {
      node.write(ready);
      node.apply(ready);
    }
    node.core.advance(isWritten);
    return [];
  }

  #duplicate(words: readonly string[]): readonly string[] {
    const messages = this.#take(words);
    this.#cluster.network.push(...messages, ...messages);
    return messages.map((message) => `twice ${printMessage(message)}`);
  }

  /** Takes messages out of the network: all, or those of a link, or of a kind. */
  #take(words: readonly string[]): readonly Message[] {
    const link = words.find((word) => word.includes("->"));
    const kind = words.find((word) => !word.includes("->"));
    const isMeant = (message: Message) =>
      (link === undefined || `${message.from}->${message.to}` === link) &&
      (kind === undefined || message.kind === kind);
    const taken = this.#cluster.network.filter(isMeant);
    this.#cluster.network = this.#cluster.network.filter((message) => !isMeant(message));
    return taken;
  }

  #deliver(message: Message): string {
    return `${this.#cluster.deliver(message) ? "arrived" : "lost"} ${printMessage(message)}`;
  }

  #settle(isQuiet: boolean): readonly string[] {
    const lines: string[] = [];
    for (let round = 0; round < 100; round++) {
      let isDone = this.#cluster.network.length === 0;
      for (const message of this.#cluster.network.splice(0)) {
        const arrived = this.#cluster.deliver(message);
        if (!arrived) lines.push(`lost ${printMessage(message)}`);
      }
      for (const id of this.#cluster.nodes.keys()) {
        const worked = this.#work(id);
        if (worked[0] === `${id}: nothing to do`) continue;
        isDone = false;
        lines.push(...worked);
      }
      if (isDone) return isQuiet ? [] : lines;
    }
    throw new Error("The cluster does not come to rest");
  }
}

/** A message as JSON, an entry's data as text. Nothing checks it: wrong ones are what transcripts are for. */
function parseMessage(json: string): Message {
  return JSON.parse(json, (key, value: unknown) => (key === "data" ? encode(String(value)) : value)) as Message;
}

/** 1 2 3 [learners 4] */
function membershipOf(words: readonly string[]): Membership {
  const split = words.indexOf("learners");
  const voters = (split < 0 ? words : words.slice(0, split)).map(number);
  return { voters, learners: split < 0 ? [] : words.slice(split + 1).map(number) };
}

function number(word: string | undefined): number {
  const value = Number(word);
  if (word === undefined || word === "" || Number.isNaN(value)) throw new Error(`Expected a number, got "${word}"`);
  return value;
}
