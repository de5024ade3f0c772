/**
 * Verdict: what the members' digests at one index say, and about whom.
 *
 * Idea. The majority of *all* members is right: the same rule by which raft decides what is committed. So with one member out of
 * reach two of three that agree still tell, and two that differ tell only that something is wrong.
 *
 * @module
 */
import type { NodeId } from "#raft";
import { digestText } from "../store/digest.ts";
import type { Reading } from "./consistency-codec.ts";

export interface Verdict {
  /** undecided: they differ, and no majority says who is right. */
  readonly kind: "equal" | "divergent" | "undecided";
  /** Whose state is wrong; undecided: whose may be. Lowest first. */
  readonly suspects: readonly NodeId[];
  /** A majority that agrees; empty when there is none. */
  readonly majority: readonly NodeId[];
}

/** @param memberCount All members, whether they were heard or not. */
export function judge(readings: ReadonlyMap<NodeId, Reading>, memberCount: number): Verdict {
  const groups = new Map<string, NodeId[]>();
  const suspects: NodeId[] = [];
  for (const [member, reading] of readings) {
    if (reading.kind === "distrusted") suspects.push(member);
    if (reading.kind !== "digest") continue;
    const text = digestText(reading.digest);
    groups.set(text, [...(groups.get(text) ?? []), member]);
  }
  const majority = [...groups.values()].find((group) => group.length > memberCount / 2) ?? [];
  const isUndecided = groups.size > 1 && majority.length === 0;
  for (const group of groups.values()) {
    if (groups.size > 1 && group !== majority) suspects.push(...group);
  }
  const kind = isUndecided ? "undecided" : suspects.length > 0 ? "divergent" : "equal";
  return { kind, suspects: suspects.sort((a, b) => a - b), majority };
}
