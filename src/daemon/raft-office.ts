/**
 * The engine's office on flt's own store: whoever leads in raft takes the leadership key.
 *
 * Problem. Writes find their way to the leader from any member. The claim of a member that has lost the lead meanwhile would arrive at
 * its successor, too, and depose the engine there.
 * Idea. A claim that the leader itself proposed stands in the log before anything that its successor writes, so it can depose nobody
 * who came later. It must only not be sent on: it ends with the wish to lead, which raft's word ends. A compare of the key would not do:
 * whoever asks late reads the successor's revision, and a rightful one that asks early would be refused for the late one's sake.
 *
 * Not here. When to claim (leadership.ts); that a deposed engine's writes are refused (registry/engine-session.ts).
 *
 * @module
 */
import { becomeEngine, type EngineTerm } from "../registry/index.ts";
import type { Candidate } from "./store.ts";

export async function takeRaftOffice(candidate: Omit<Candidate, "identity" | "onLost">): Promise<EngineTerm> {
  const { kv, keys, machineId, view, signal } = candidate;
  return { session: await becomeEngine(kv, keys, machineId, view, { signal }), resign: () => Promise.resolve() };
}
