/**
 * Bugs that others have shipped, or nearly, each as a change of production's text that is made when a simulation loads it.
 *
 * Idea. No switch in production code: a bug is a place in a file and what to write there instead. When the code changes and the place is
 * gone, bugs.test.ts says so, and the bug is to be written anew.
 *
 * @module
 */

export interface Bug {
  readonly name: string;
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  /**
   * Of whole clusters; of raft alone, which goes through elections five times as quickly; or blind: of whole clusters, where the checkers
   * outside are deaf and production's own comparison of its members has to find it, within the 30 s that a seed lasts.
   */
  readonly simulation?: "raft" | "blind";
  /** It is found within so many seeds, from 1 on. */
  readonly seeds: number;
}

const RAFT: readonly Bug[] = [
  {
    name: "a vote is forgotten in a crash",
    file: "raft/driver/ready-loop.ts",
    find: "await storage.append({ hardState, entries: ready.entries, mustSync: true });",
    replace: "await storage.append({ hardState: { ...hardState, vote: 0 }, entries: ready.entries, mustSync: true });",
    simulation: "raft",
    seeds: 400,
  },
  {
    name: "a second vote in one term",
    file: "raft/core/roles.ts",
    find: "const isFree = vote === message.from || (vote === NO_NODE && leader === NO_NODE);",
    replace: "const isFree = vote >= NO_NODE && leader === NO_NODE;",
    simulation: "raft",
    seeds: 100,
  },
  {
    name: "a vote for a log that lacks entries",
    file: "raft/core/log.ts",
    find: "return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);",
    replace: "return lastTerm >= 0 && lastIndex >= 0;",
    seeds: 50,
  },
  {
    name: "half of the voters are a majority",
    file: "raft/core/quorum.ts",
    find: "return Math.floor(size / 2) + 1;",
    replace: "return Math.floor(size / 2);",
    seeds: 50,
  },
  {
    name: "a joint membership decides by one majority only",
    file: "raft/core/membership.ts",
    find: "this.voterSets = outgoing === undefined ? [voters] : [voters, outgoing];",
    replace: "this.voterSets = outgoing === undefined ? [voters] : [voters];",
    simulation: "raft",
    seeds: 300,
  },
  {
    name: "an older term's entry is committed by counting",
    file: "raft/core/leader.ts",
    find: "if (index <= log.commit || log.termAt(index) !== term) return;",
    replace: "if (index <= log.commit || term < 0) return;",
    simulation: "raft",
    seeds: 1000,
  },
  {
    name: "an append is answered before it is on disk",
    file: "raft/driver/ready-loop.ts",
    find: 'const early = this.#core.role === "leader" && ready.snapshot === null && !this.#electionStateUnsaved();',
    replace: "const early = ready.snapshot === null;",
    simulation: "raft",
    seeds: 300,
  },
  {
    name: "what found no room on the disk counts as written",
    file: "raft/driver/ready-loop.ts",
    find: "      this.#savedHardState = reserved;\n    }\n    return false;",
    replace: "      this.#savedHardState = reserved;\n    }\n    return true;",
    simulation: "raft",
    seeds: 200,
  },
  {
    name: "a late append cuts off what came after it",
    file: "raft/core/log.ts",
    find: "if (conflict === undefined) return true;",
    replace:
      "if (conflict === undefined) { this.#truncateFrom(Math.max(this.#commit, prevIndex + entries.length) + 1); return true; }",
    simulation: "raft",
    seeds: 200,
  },
  {
    name: "a heartbeat commits what the follower may not have",
    file: "raft/core/replication.ts",
    find: "const commit = Math.min(progress.match, this.#state.log.commit);",
    replace: "const commit = Math.max(0, this.#state.log.commit);",
    simulation: "raft",
    seeds: 500,
  },
  {
    name: "a read without asking a quorum",
    file: "raft/core/read-index.ts",
    find: "const done = this.#rounds.filter((round) => round.number <= upTo);",
    replace: "const done = this.#rounds.filter((round) => round.number >= 0 || upTo < 0);",
    simulation: "raft",
    seeds: 200,
  },
  {
    name: "a leader that was paused serves reads by its lease",
    file: "raft/core/leader.ts",
    find: "    if (!this.#reads.add({ requester, context })) this.#state.answerRead(requester, context, null);",
    replace:
      "    if (this.#state.log.termAt(this.#state.log.commit) === this.#state.term) this.#state.answerRead(requester, context, this.#state.log.commit);\n" +
      "    else if (!this.#reads.add({ requester, context })) this.#state.answerRead(requester, context, null);",
    seeds: 300,
  },
  {
    name: "a new leader serves reads before it committed an entry",
    file: "raft/core/leader.ts",
    find: "if (this.#reads.hasWaiting && log.termAt(log.commit) === term) {",
    replace: "if (this.#reads.hasWaiting && term >= 0) {",
    simulation: "raft",
    seeds: 500,
  },
  {
    name: "a reader joins a round that began before it asked",
    file: "raft/driver/reads.ts",
    find: "this.#gathering.push(reader);\n    this.#options.wake();",
    replace: "(this.#round?.readers ?? this.#gathering).push(reader);\n    this.#options.wake();",
    simulation: "raft",
    seeds: 100,
  },
  {
    name: "a snapshot with a wrong index",
    file: "raft/driver/snapshots.ts",
    find: "const writer = await storage.createSnapshot(meta);\n      const isWhole",
    replace: "const writer = await storage.createSnapshot({ ...meta, index: meta.index - 1 });\n      const isWhole",
    seeds: 50,
  },
  {
    name: "apply and index are not atomic: a snapshot's state is of a later moment than its index",
    file: "raft/driver/snapshots.ts",
    find: "this.#run(this.#write(meta, this.#options.machine.snapshot(), taking));",
    replace:
      "const { machine } = this.#options;\n" +
      "      this.#run(this.#write(meta, (async function* () { yield* machine.snapshot(); })(), taking));",
    seeds: 200,
  },
  {
    name: "a snapshot is installed, the state is not",
    file: "raft/driver/snapshot-receiver.ts",
    find: "offer.replaceState();",
    replace: "",
    seeds: 50,
  },
];

const STORE: readonly Bug[] = [
  {
    name: "a snapshot goes on changing while it is written",
    file: "src/store/store.ts",
    find: "history: this.#history.pin(),",
    replace: "history: this.#history,",
    seeds: 200,
  },
  {
    name: "lease ids begin anew after a snapshot",
    file: "src/store/snapshot.ts",
    find: "this.#leases = new LeaseTable(reader.varint());",
    replace: "this.#leases = new LeaseTable(reader.varint() * 0);",
    seeds: 50,
  },
  {
    name: "a restored store forgets which keys hang on a lease",
    file: "src/store/snapshot.ts",
    find: "this.#leases.move(change.key, this.#index.latest(change.key)?.lease ?? 0, change.lease);",
    replace: "",
    seeds: 100,
  },
  {
    name: "a watch does not hear of a restored state",
    file: "src/store/store.ts",
    find: "this.#hub.reset();",
    replace: "",
    seeds: 500,
  },
  {
    name: "a watch loses an event at compaction",
    file: "src/store/store-watch.ts",
    find: '        this.#end(compactedError("Watch", this.behindFrom, this.#feed.compactRevision));\n        return;',
    replace: "        this.behindFrom = this.#feed.compactRevision;",
    seeds: 500,
  },
  {
    name: "a watch that begins at the present misses it",
    file: "src/store/watch-hub.ts",
    find: "if (watch.startRevision <= this.#published) watch.behindFrom",
    replace: "if (watch.startRevision < this.#published) watch.behindFrom",
    seeds: 100,
  },
  {
    name: "a compare in a transaction is passed over",
    file: "src/store/txn.ts",
    find: "const path = choosePath(request, tables);",
    replace: "const path = choosePath({ ...request, compare: [] }, tables);",
    seeds: 20,
  },
];

const REPLICA: readonly Bug[] = [
  {
    name: "leases end when the leader changes",
    file: "src/replica/lease-clock.ts",
    find: "for (const lease of this.#ports.store.leases.all()) this.#renew(lease);",
    replace: "for (const lease of this.#ports.store.leases.all()) this.#dueIn(lease.id, 0);",
    seeds: 20,
  },
  {
    name: "leases end in a burst after a pause",
    file: "src/replica/lease-clock.ts",
    find: "if (!this.#active || this.#beat === null || sinceBeatMs <= BEAT_MS + this.#config.stallMs) return false;",
    replace: "if (sinceBeatMs > Number.NEGATIVE_INFINITY) return false;",
    seeds: 200,
  },
  {
    name: "a write is sent again although its fate is unknown",
    file: "src/replica/leader-route.ts",
    find: "if (isUndone || repeatable) return",
    replace: "if (isUndone || repeatable || reason !== null) return",
    seeds: 100,
  },
  {
    name: "an unknown fate is told as nothing done",
    file: "src/replica/leader-service.ts",
    find: 'return { kind: "failed", code: "unknown-fate", message };',
    replace: 'return { kind: "failed", code: "unavailable", message };',
    seeds: 200,
  },
];

const REGISTRY: readonly Bug[] = [
  {
    name: "an engine writes without its fence",
    file: "src/registry/engine-session.ts",
    find: "compare: [this.#leadership], success",
    replace: "compare: this.#leadership === null ? [this.#leadership] : [], success",
    seeds: 500,
  },
  {
    name: "a placement does not look whether the unit changed",
    file: "src/registry/engine-session.ts",
    find: "const compare = [unchangedSince(this.#keys.job(name), job.modRevision)];",
    replace: "const compare = [exists(this.#keys.job(name))];",
    seeds: 1000,
  },
  {
    name: "an agent without a schedule takes it for an empty one",
    file: "src/agent/runner.ts",
    find: "#wanted: ReadonlyMap<string, GivenOrder> | null = null;",
    replace: "#wanted: ReadonlyMap<string, GivenOrder> | null = new Map();",
    seeds: 100,
  },
  {
    name: "a unit moves and its old schedule stays",
    file: "src/registry/engine-session.ts",
    find: "if (from !== null && from !== to) success.push(",
    replace: "if (from !== null && from === to) success.push(",
    seeds: 100,
  },
  {
    name: "a fenced unit is started before others can read that it is held here",
    file: "src/agent/reporter.ts",
    find: "if (this.#session !== null && this.#isPublished(name)) return this.#session;",
    replace: "if (this.#session !== null) return this.#session;",
    seeds: 1000,
  },
  {
    name: "a fenced unit starts as soon as nobody reports it",
    file: "src/agent/clearance.ts",
    find: "this.#fencedAtMs.set(id, now + FENCE_OVER_MS);",
    replace: "this.#fencedAtMs.set(id, now);",
    seeds: 1000,
  },
  {
    name: "a machine's fenced units are given away with its lease",
    file: "src/engine/fences.ts",
    find: "this.#clock.after(FENCE_OVER_MS, over)",
    replace: "this.#clock.after(FENCE_OVER_MS * 0, over)",
    seeds: 1000,
  },
  {
    name: "a fenced unit is started without a look at who reports it",
    file: "src/agent/clearance.ts",
    find: 'if (machineId !== selfId && jobState !== "inactive") {',
    replace: 'if (machineId !== selfId && jobState === "inactive") {',
    seeds: 200,
  },
];

/** Each is done by one member and not by the others, once in so many commands. */
const DIVERGENCE: readonly Bug[] = [
  {
    name: "one member passes over a command",
    file: "src/store/store.ts",
    find: "        const { response, changes } = runTxn(command.request, this);\n        this.#commit(changes);",
    replace:
      "        const { response, changes } = runTxn(command.request, this);\n" +
      `        const world = globalThis as { applied?: number };\n` +
      "        world.applied = (world.applied ?? 0) + 1;\n" +
      "        if (world.applied % 400 !== 0) this.#commit(changes);",
    simulation: "blind",
    seeds: 10,
  },
  {
    name: "one member keeps another value than it was given",
    file: "src/store/txn.ts",
    find: "put.ignoreValue && before !== undefined ? before.value : put.value.slice();",
    replace:
      "(((globalThis as { puts?: number }).puts = ((globalThis as { puts?: number }).puts ?? 0) + 1) % 1000 === 0) ? " +
      "put.value.slice(1) : put.ignoreValue && before !== undefined ? before.value : put.value.slice();",
    simulation: "blind",
    seeds: 10,
  },
  {
    name: "one member's memory loses a bit",
    file: "src/store/store.ts",
    find: "    for (const change of changes) {\n      this.#tally.add(change);",
    replace:
      "    for (const change of changes) {\n      this.#tally.add(change);\n" +
      "      const world = globalThis as { kept?: number };\n      world.kept = (world.kept ?? 0) + 1;\n" +
      "      if (world.kept % 400 === 0 && change.value) change.value.fill(255, 0, 1);",
    simulation: "blind",
    seeds: 10,
  },
  {
    name: "a restored member forgets what hangs on a lease",
    file: "src/store/snapshot.ts",
    find: "version: reader.varint(), lease: reader.varint() };",
    replace: "version: reader.varint(), lease: Math.min(0, reader.varint()) };",
    simulation: "blind",
    seeds: 40,
  },
];

export const BUGS: readonly Bug[] = [...RAFT, ...STORE, ...REPLICA, ...REGISTRY, ...DIVERGENCE];

/** Puts the bug into a file's text. */
export function withBug(text: string, { name, file, find, replace }: Bug): string {
  const [before, after, ...more] = text.split(find);
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`Planting "${name}" failed: its place is not found once in ${file}`);
  }
  return before + replace + after;
}
