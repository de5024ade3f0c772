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
import type { CoreConfig, HardState, LogIndex, Message, NodeId, ReadState, Role, Term } from "../types.ts";
import { NO_NODE } from "../types.ts";
import type { RaftLog } from "./log.ts";
import { Members } from "./membership.ts";

type WithoutEnvelope<M> = M extends Message ? Omit<M, "from" | "to" | "term"> : never;
/** No recovery is under way. */
export const SOUND = 0;
/** A message before it is addressed. */
export type Body = WithoutEnvelope<Message>;

export class SharedState {
  readonly config: CoreConfig;
  readonly log: RaftLog;
  term: Term;
  vote: NodeId;
  /** Of the damage that this node recovers from, SOUND otherwise (recovery.ts). */
  recovery: number;
  role: Role = "follower";
  leader: NodeId = NO_NODE;
  outbox: Message[] = [];
  readStates: ReadState[] = [];
  /** An entry that this node confirmed to its leader and does not have: its disk was replaced, or put back to an older state. */
  forgotten: LogIndex | null = null;
  /** Messages that no correct peer sends. The caller may watch it grow; nothing else happens to them. */
  protocolViolations = 0;
  #members: Members;

  constructor(config: CoreConfig, log: RaftLog, { term, vote, recovery }: HardState) {
    this.config = config;
    this.log = log;
    this.#members = new Members(config.id, log.configuration.membership);
    this.term = term;
    this.vote = vote;
    this.recovery = recovery ?? SOUND;
  }

  get isRecovering(): boolean {
    return this.recovery !== SOUND;
  }

  get id(): NodeId {
    return this.config.id;
  }

  /** Who takes part by the newest membership in the log. */
  get members(): Members {
    const { membership } = this.log.configuration;
    if (this.#members.membership !== membership) this.#members = new Members(this.id, membership);
    return this.#members;
  }

  /** Whether this node may stand for election: not while its disk lacks what it may have promised. One that is being removed may, until
   *  that is committed: its log may be the only one that can win (thesis 4.2.2 and figure 4.6). Its own vote counts only where it is a
   *  voter. */
  get electable(): boolean {
    if (this.isRecovering) return false;
    return this.log.possiblyCommittedConfigurations.some(
      ({ membership: { voters, outgoing } }) => voters.includes(this.id) || outgoing?.includes(this.id) === true,
    );
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
