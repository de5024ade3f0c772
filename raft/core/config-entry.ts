/**
 * Membership as the data of a `config` entry.
 *
 *     {"v":1,"voters":[1,2,3],"learners":[4]}      {"v":1,"voters":[1,4,5],"learners":[],"outgoing":[1,2,3]}
 *
 * Idea. An entry carries the whole membership that it puts in force, not a difference: whoever reads one needs to know none
 * before it, and an operator can read it in the log.
 *
 * @module
 */
import { assert } from "../assert.ts";
import type { Entry, Membership, NodeId } from "../types.ts";
import { membershipProblem } from "./membership.ts";

const VERSION = 1;

export function encodeMembership({ voters, learners, outgoing }: Membership): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ v: VERSION, voters, learners, outgoing }));
}

/** @returns null when these bytes name no membership that this release knows. */
export function decodeMembership(data: Uint8Array): Membership | null {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data));
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { v, voters, learners, outgoing } = value as Record<string, unknown>;
  if (v !== VERSION || !isIds(voters) || !isIds(learners)) return null;
  if (outgoing !== undefined && !isIds(outgoing)) return null;
  const membership = outgoing === undefined ? { voters, learners } : { voters, learners, outgoing };
  return membershipProblem(membership) === null ? membership : null;
}

/** The membership of a `config` entry of this node's own log, which was checked before it came in. */
export function membershipOf(entry: Entry): Membership {
  const membership = decodeMembership(entry.data);
  assert(membership !== null, `config entry ${entry.index} names a membership that this release knows`);
  return membership;
}

function isIds(value: unknown): value is NodeId[] {
  return Array.isArray(value) && value.every((id) => typeof id === "number");
}
