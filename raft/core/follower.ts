/**
 * What a follower does with its leader's words: appends, heartbeats, snapshots.
 *
 * Idea. The term was checked before (roles.ts). Each of these changes the log and leaves one reply in the outbox; since
 * a reply leaves only with the Ready that carries the change, it speaks of what is on disk.
 *
 * @module
 */
import type { Message } from "../types.ts";
import type { SharedState } from "./state.ts";

type Of<K extends Message["kind"]> = Extract<Message, { readonly kind: K }>;

export function acceptAppend(state: SharedState, message: Of<"append">): void {
  const { log } = state;
  if (log.awaitsHandOut) return;
  if (message.prevIndex < log.commit) {
    // Late or repeated: what is committed agrees with every leader's log, so this much is certain.
    replyAccepted(state, message.from, log.commit);
    return;
  }
  // The disk takes nothing: what cannot be written is not piled up either. As if the message had been lost.
  if (message.entries.length > 0 && log.unstableBytes > state.config.maxUncommittedBytes) return;
  if (log.append(message.prevIndex, message.prevTerm, message.entries)) {
    const lastIndex = message.prevIndex + message.entries.length;
    log.commitTo(Math.min(message.commit, lastIndex));
    replyAccepted(state, message.from, lastIndex);
    return;
  }
  if (message.prevIndex === log.commit) {
    // No leader's log can differ from ours here: somebody forgot what it had promised.
    state.protocolViolations++;
    return;
  }
  const hint = log.lastAtOrBelowTerm(message.prevIndex, message.prevTerm);
  reply(state, message.from, {
    index: message.prevIndex,
    rejected: true,
    hintIndex: hint.index,
    hintTerm: hint.term,
  });
}

export function acceptHeartbeat(state: SharedState, message: Of<"heartbeat">): void {
  const { log, recovery, isRecovering } = state;
  if (message.commit <= log.lastIndex) log.commitTo(message.commit);
  // A leader speaks of no more than this node told it, in this very term, to have on its disk.
  else if (!isRecovering) state.forgotten = message.commit;
  // Whoever recovers confirms nobody's reads, and says so as often as it is asked: the leader may not know yet.
  state.send(message.from, { kind: "heartbeat-reply", readContext: isRecovering ? 0 : message.readContext });
  if (isRecovering) state.send(message.from, { kind: "recovering", recovery });
}

/** Its bytes are on this node's disk already; here the core decides whether it wants them. */
export function acceptSnapshot(state: SharedState, message: Of<"snapshot">): void {
  const { log } = state;
  const { snapshot } = message;
  if (snapshot.index > log.commit) {
    if (log.matches(snapshot.index, snapshot.term)) log.commitTo(snapshot.index);
    else log.restore(snapshot);
  }
  replyAccepted(state, message.from, log.commit);
}

export function replyAccepted(state: SharedState, to: number, index: number): void {
  reply(state, to, { index, rejected: false, hintIndex: 0, hintTerm: 0 });
}

type Reply = Pick<Of<"append-reply">, "index" | "rejected" | "hintIndex" | "hintTerm">;

function reply(state: SharedState, to: number, fields: Reply): void {
  const { recovery, isRecovering } = state;
  state.send(to, isRecovering ? { kind: "recovery-reply", recovery, ...fields } : { kind: "append-reply", ...fields });
}
