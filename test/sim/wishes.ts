/**
 * Memberships to ask a leader for: what its members are now, with some of them in other places.
 *
 * Idea. Any wish may be asked for; what is unsafe the leader refuses. The ones that matter most are those whose two majorities overlap least.
 *
 * @module
 */
import type { Membership, NodeId } from "#raft";
import type { SeededRandom } from "./random.ts";

/** @param nodes All that there are, members or not. @param leader Who is asked. */
export function drawWish(random: SeededRandom, membership: Membership, nodes: readonly NodeId[], leader: NodeId) {
  const isSwap = membership.learners.length > 1 && random.chance(0.6);
  return { isSwap, ...(isSwap ? swapped(membership, leader) : shuffled(random, membership, nodes)) };
}

/** One voter less, who is not the leader: so often that the leader would be alone. */
export function drawRemoval(random: SeededRandom, { voters, learners }: Membership, leader: NodeId): Membership {
  const others = voters.filter((voter) => voter !== leader);
  if (others.length === 0) return { voters, learners };
  const removed = random.pick(others);
  return { voters: voters.filter((voter) => voter !== removed), learners };
}

/** Learners and voters change places but for the leader: the joint change whose halves overlap least. */
function swapped({ voters, learners }: Membership, leader: NodeId): Membership {
  const stays = voters.filter((voter) => voter === leader);
  return { voters: [...stays, ...learners], learners: voters.filter((voter) => voter !== leader) };
}

/** Any node in any place: most wishes are refused, since only learners that have the log become voters. */
function shuffled(random: SeededRandom, { voters, learners }: Membership, nodes: readonly NodeId[]): Membership {
  for (let moves = random.pick([1, 1, 2, 3]); moves > 0; moves--) {
    const moved = random.pick(nodes);
    const isVoter = voters.includes(moved);
    const isLearner = learners.includes(moved);
    voters = voters.filter((other) => other !== moved);
    learners = learners.filter((other) => other !== moved);
    if (isLearner && random.chance(0.8)) voters = [...voters, moved];
    else if (!isVoter || random.chance(0.7)) learners = [...learners, moved];
  }
  return { voters, learners };
}
