/**
 * What every role shares: term, vote, log, membership, and the two boxes that a Ready empties.
 *
 * Idea. One plain object, changed by roles.ts, follower.ts and leader.ts, read by the door. Nothing here decides.
 *
 * Invariants.
 * - `term` never shrinks; `vote` changes only together with it, or from nobody to somebody.
 * - A message in `outbox` may rest on unwritten state: it leaves only in a Ready that carries this state, or a later one.
 *
 * @module
 */
import type { CoreConfig, LogIndex, Message, NodeId, ReadState, Role, Term } from "../types.ts";
import { NO_NODE } from "../types.ts";
import type { RaftLog } from "./log.ts";
import type { Members } from "./membership.ts";

type WithoutEnvelope<M> = M extends Message ? Omit<M, "from" | "to" | "term"> : never;
/** A message before it is addressed. */
export type Body = WithoutEnvelope<Message>;

export class SharedState {
  readonly config: CoreConfig;
  readonly log: RaftLog;
  members: Members;
  term: Term;
  vote: NodeId;
  role: Role = "follower";
  leader: NodeId = NO_NODE;
  outbox: Message[] = [];
  readStates: ReadState[] = [];
  /** Messages that no correct peer sends. The caller may watch it grow; nothing else happens to them. */
  protocolViolations = 0;

  constructor(config: CoreConfig, log: RaftLog, members: Members, term: Term, vote: NodeId) {
    this.config = config;
    this.log = log;
    this.members = members;
    this.term = term;
    this.vote = vote;
  }

  get id(): NodeId {
    return this.config.id;
  }

  /** Whether this node may stand for election. */
  get electable(): boolean {
    return this.members.isVoter(this.id);
  }

  send(to: NodeId, body: Body, term: Term = this.term): void {
    // An envelope around any body is a message: the compiler cannot see that through the union.
    this.outbox.push({ ...body, from: this.id, to, term } as Message);
  }

  answerRead(requester: NodeId, context: number, index: LogIndex | null): void {
    if (requester === this.id) this.readStates.push({ context, index });
    else this.send(requester, { kind: "read-index-reply", context, index: index ?? 0, rejected: index === null });
  }
}
