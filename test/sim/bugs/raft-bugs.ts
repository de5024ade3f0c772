/**
 * Bugs of consensus: votes, logs, quorums, reads, members, snapshots.
 *
 * @module
 */
import type { Bug } from "./bug.ts";

export const RAFT_BUGS: readonly Bug[] = [
  {
    name: "a vote is forgotten in a crash",
    file: "raft/driver/ready-loop.ts",
    find: "await storage.append({ hardState, entries: ready.entries, mustSync: true });",
    replace: "await storage.append({ hardState: { ...hardState, vote: 0 }, entries: ready.entries, mustSync: true });",
    simulation: "raft",
    seeds: 1000,
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
    name: "a member that lost its disk votes as a new one",
    file: "raft/core/roles.ts",
    find: "const granted = mayVote && !isRecovering && log",
    replace: "const granted = mayVote && log",
    simulation: "raft",
    seeds: 400,
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
    seeds: 600,
  },
  {
    name: "an older term's entry is committed by counting",
    file: "raft/core/leader.ts",
    find: "if (index <= log.commit || log.termAt(index) !== term) return;",
    replace: "if (index <= log.commit || term < 0) return;",
    simulation: "raft",
    seeds: 1500,
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
    find: "      this.#saved(reserved);\n    }\n    return false;",
    replace: "      this.#saved(reserved);\n    }\n    return true;",
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
    name: "a read is answered before this member has applied so much",
    file: "raft/driver/reads.ts",
    find: "if (confirmed.index > index) return true;",
    replace: "if (confirmed.index < 0) return true;",
    simulation: "raft",
    seeds: 50,
  },
  {
    name: "a change of membership while another one is under way",
    file: "raft/core/change.ts",
    find: "if (log.configuration.index > log.commit || members.isJoint)",
    replace: "if (members.isJoint)",
    simulation: "raft",
    seeds: 100,
  },
  {
    name: "a leader that was removed stays in office",
    file: "raft/core/roles.ts",
    find: "if (this.#leadership?.isRemoved !== true) return;",
    replace: "if (this.#leadership?.isRemoved !== true || this.#state.term > 0) return;",
    simulation: "raft",
    seeds: 200,
  },
  {
    name: "a snapshot with a wrong index",
    file: "raft/driver/snapshots.ts",
    find: "const writer = await storage.createSnapshot(meta);\n      const isWhole",
    replace: "const writer = await storage.createSnapshot({ ...meta, index: meta.index - 1 });\n      const isWhole",
    seeds: 50,
  },
  {
    name: "a resumed snapshot begins a chunk too late",
    file: "raft/driver/snapshot-digest.ts",
    find: "  return digest.value() === prefix.digest",
    replace: "  await chunks.next();\n  return digest.value() === prefix.digest",
    simulation: "raft",
    seeds: 200,
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
