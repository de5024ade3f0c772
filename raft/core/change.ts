/**
 * Which change of membership a leader may begin, and which entry begins it.
 *
 * Idea. A change that adds or removes one voter at most, or only learners, is one entry: majorities before and after overlap
 * (thesis 4.1). Any other goes through a joint membership (thesis 4.3), whose majorities overlap with both; the leader
 * leaves it by itself when it is committed. So a simple change is the joint one with nothing in between.
 *
 * Refused, with nothing appended:
 * - before an entry of the leader's own term is committed: a simple change could otherwise pass by one of an older term that
 *   may yet commit, and two majorities that do not overlap would decide (Ongaro's correction of 2015);
 * - while another one is not committed, or a joint one is not left;
 * - for a voter that is no learner who has nearly all of the log: a quorum would wait for it (thesis 4.2.1).
 *
 * @module
 */
import type { Membership, NodeId } from "../types.ts";
import { encodeMembership } from "./config-entry.ts";
import { isSameMembership, membershipProblem } from "./membership.ts";
import type { Replication } from "./replication.ts";
import type { SharedState } from "./state.ts";

export type ChangeRefusal =
  | "change-in-flight"
  | "invalid-membership"
  | "learner-lags"
  | "no-change"
  /** Nothing of this leader's term is committed yet. */
  | "not-ready";

export type ChangePlan =
  | { readonly kind: "append"; readonly data: Uint8Array }
  | { readonly kind: "refused"; readonly reason: ChangeRefusal; readonly node?: NodeId };

export function planChange(state: SharedState, replication: Replication, target: Membership): ChangePlan {
  const { log, term, members } = state;
  const refused = (reason: ChangeRefusal): ChangePlan => ({ kind: "refused", reason });
  const wanted: Membership = { voters: target.voters, learners: target.learners };
  if (membershipProblem(wanted) !== null || target.outgoing !== undefined) return refused("invalid-membership");
  if (log.configuration.index > log.commit || members.isJoint) return refused("change-in-flight");
  if (log.termAt(log.commit) !== term) return refused("not-ready");
  const { membership } = members;
  if (isSameMembership(membership, wanted)) return refused("no-change");
  const added = wanted.voters.filter((node) => !membership.voters.includes(node));
  const removed = membership.voters.filter((node) => !wanted.voters.includes(node));
  const laggard = added.find((node) => !replication.isCaughtUp(node));
  if (laggard !== undefined) return { kind: "refused", reason: "learner-lags", node: laggard };
  const isSimple = added.length + removed.length <= 1;
  const next: Membership = isSimple ? wanted : { ...wanted, outgoing: membership.voters };
  return { kind: "append", data: encodeMembership(next) };
}

/** Second half of a joint change: the voters before it have no say any more. */
export function leaveJoint({ voters, learners }: Membership): Uint8Array {
  return encodeMembership({ voters, learners });
}
