/**
 * The consensus core among liars: members that send any message at any time, as no Raft would.
 *
 * Checked of each: no input throws, every Ready can be carried out and every message sent; what this node has committed stays as
 * it was, its term and its commit index never go back, and it votes once a term.
 *
 * @module
 */
import fc from "fast-check";
import { RaftCore } from "../../raft/core/raft-core.ts";
import { decodeMessage, encodeMessage } from "../../raft/driver/codec.ts";
import type { Entry, Message, NodeId, Ready } from "../../raft/types.ts";
import { PEERS, raftMessage, SELF } from "./peer-words.ts";

export type Step =
  | { readonly kind: "message"; readonly message: Message }
  | { readonly kind: "tick" | "duty" | "campaign" | "propose" | "read" | "disk full" | "stand still" };

export const coreSteps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: raftMessage.map((message): Step => ({ kind: "message", message })) },
    { weight: 3, arbitrary: fc.constant<Step>({ kind: "duty" }) },
    {
      weight: 2,
      arbitrary: fc
        .constantFrom("tick", "tick", "tick", "campaign", "propose", "read", "disk full", "stand still")
        .map((kind): Step => ({ kind }) as Step),
    },
  ),
  { minLength: 5, maxLength: 60, size: "max" },
);

const TICKS = 10;

export function checkCore(steps: readonly Step[]): void {
  const core = new RaftCore(
    {
      id: SELF,
      membership: { voters: [SELF, ...PEERS], learners: [] },
      electionTicks: TICKS,
      electionJitterTicks: TICKS,
      heartbeatTicks: 1,
      maxAppendBytes: 64,
      maxInflightMessages: 4,
      maxInflightBytes: 256,
      maxCommittedBytes: 64,
      promotionLagEntries: 100,
      maxUncommittedBytes: 256,
      random: () => 0.5,
    },
    { hardState: { term: 0, vote: 0, commit: 0 }, snapshot: null, entries: [] },
  );
  const witness = new Witness();
  for (const step of steps) {
    take(core, step, witness);
    witness.look(core);
  }
  for (let turn = 0; turn < 5; turn++) carryOut(core, true, witness);
}

function take(core: RaftCore, step: Step, witness: Witness): void {
  switch (step.kind) {
    case "message":
      // Only what a stream of bytes can bring, and only in the name of the connection's peer, comes so far.
      if (step.message.to === SELF && PEERS.some((id) => id === step.message.from)) core.step(step.message);
      return;
    case "tick":
      for (let count = 0; count < TICKS; count++) core.tick();
      return;
    case "duty":
      return carryOut(core, true, witness);
    case "disk full":
      return carryOut(core, false, witness);
    case "campaign":
      return core.campaign();
    case "propose":
      core.propose(new Uint8Array([1]));
      return;
    case "read":
      core.readIndex(1);
      return;
    case "stand still":
      return core.suspect();
  }
}

function carryOut(core: RaftCore, hasRoom: boolean, witness: Witness): void {
  const ready = core.ready();
  if (ready === null) return;
  witness.carriedOut(ready, hasRoom);
  for (const message of ready.messages) decodeMessage(encodeMessage(message));
  core.advance(hasRoom || ready.entries.length === 0);
}

class Witness {
  readonly #committed = new Map<number, string>();
  readonly #votes = new Map<number, NodeId>();
  #term = 0;
  #commit = 0;

  carriedOut({ committed, entries, hardState }: Ready, hasRoom: boolean): void {
    const firstMissing = hasRoom ? undefined : entries[0]?.index;
    for (const entry of committed) {
      if (firstMissing !== undefined && entry.index >= firstMissing) break;
      const known = this.#committed.get(entry.index);
      if (known !== undefined && known !== shown(entry))
        throw new Error(`Entry ${entry.index} was applied, and is another one now`);
      this.#committed.set(entry.index, shown(entry));
    }
    if (hardState === null || hardState.vote === 0) return;
    const vote = this.#votes.get(hardState.term) ?? hardState.vote;
    if (vote !== hardState.vote) throw new Error(`Two votes in term ${hardState.term}`);
    this.#votes.set(hardState.term, vote);
  }

  look(core: RaftCore): void {
    if (core.term < this.#term) throw new Error(`The term went back from ${this.#term} to ${core.term}`);
    if (core.commit < this.#commit)
      throw new Error(`The commit index went back from ${this.#commit} to ${core.commit}`);
    this.#term = core.term;
    this.#commit = core.commit;
  }
}

function shown({ index, term, kind, data }: Entry): string {
  return `${index} ${term} ${kind} ${Buffer.from(data).toString("hex")}`;
}
