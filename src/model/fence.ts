/**
 * Fence=strict in numbers: when a machine stops such units by itself, and when another one may start them.
 *
 *   heartbeat sent ──── lease ttl ────┬─ slack ─┬─ stop ─┬─ margin ─┐
 *                                     │         │        │          └ the engine places the unit elsewhere
 *                                     │         │        └ what still runs is killed
 *                                     │         └ the host's systemd stops the unit, whether its daemon lives or not
 *                                     └ the lease is over, at the earliest
 *
 * Idea. Nobody compares clocks. The host counts from the moment it *sent* a heartbeat that was answered, the leader from a
 * later one, when it took it; both count the same stretch of time. So the host is always done before the engine begins.
 *
 * Not here. The timer (agent/systemd/fence.ts), its renewal (agent/fence.ts), the engine's patience (engine/fences.ts).
 *
 * @module
 */

/** A daemon that is restarted, or that has lost its leader, is back within it: a restart takes 2 s, an election as long. */
export const FENCE_SLACK_MS = 3_000;
/** How long a fenced unit may take to stop before it is killed. */
export const FENCE_STOP_MS = 5_000;
/** For a host whose systemd is slow, and for clocks that do not tick alike: a hundredth of the rest would be much. */
const FENCE_MARGIN_MS = 2_000;

/** How long after the end of a machine's lease its fenced units surely have stopped. */
export const FENCE_OVER_MS = FENCE_SLACK_MS + FENCE_STOP_MS + FENCE_MARGIN_MS;
