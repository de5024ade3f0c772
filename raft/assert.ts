/**
 * Assertions that stay on in production.
 *
 * Idea. A broken invariant in consensus is worse than a stopped node: the others go on without it, while a node that
 * computes with a wrong log can make every copy wrong. So the process ends, and says what was broken.
 *
 * Not here. What a peer or a caller may do wrong: that is answered, refused or ignored, never asserted.
 *
 * @module
 */

/** A rule that this library promises to itself does not hold: the node must stop. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
  readonly code = "invariant";
}

/** @param rule What must hold, said as a fact, with the values that matter. */
export function assert(condition: boolean, rule: string): asserts condition {
  if (!condition) throw new InvariantError(`Raft invariant broken: ${rule}`);
}
