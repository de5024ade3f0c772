/**
 * Which messages a correct peer could have sent.
 *
 * Idea. The codec refuses bytes that are no message; this refuses messages that are no Raft. What passes may be stale,
 * repeated or out of order, but nothing in it can break an assertion behind this door.
 *
 * @module
 */
import type { Entry, Message, SnapshotMeta, Term } from "../types.ts";
import { decodeMembership } from "./config-entry.ts";
import { membershipProblem } from "./membership.ts";

/** No cluster counts so far. This node goes on counting from what it was told: it must not run out of safe integers. */
const NUMBER_MAX = 2 ** 52;

export function isWellFormed(message: Message): boolean {
  if (!isNumber(message.term)) return false;
  switch (message.kind) {
    case "pre-vote":
    case "vote":
      return isPosition(message.lastIndex, message.lastTerm) && message.lastTerm <= message.term;
    case "pre-vote-reply":
    case "vote-reply":
    case "timeout-now":
      return true;
    case "append":
      return (
        isPosition(message.prevIndex, message.prevTerm) &&
        isNumber(message.commit) &&
        isRun(message.entries, message.prevIndex, message.prevTerm, message.term)
      );
    case "append-reply":
      return isNumber(message.index) && isNumber(message.hintIndex) && isNumber(message.hintTerm);
    case "heartbeat":
      return isNumber(message.commit) && isNumber(message.readContext);
    case "heartbeat-reply":
      return isNumber(message.readContext);
    case "snapshot":
      return isSnapshot(message.snapshot, message.term);
    case "read-index":
      return isNumber(message.context);
    case "recovering":
    case "recovered":
      return isRecovery(message.recovery);
    case "recovery-reply":
      return (
        isRecovery(message.recovery) &&
        isNumber(message.index) &&
        isNumber(message.hintIndex) &&
        isNumber(message.hintTerm)
      );
    case "read-index-reply":
      return isNumber(message.context) && isNumber(message.index);
    default:
      return false;
  }
}

function isNumber(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= NUMBER_MAX;
}

function isRecovery(value: number): boolean {
  return isNumber(value) && value > 0;
}

/** Index 0 is before the first entry and has term 0; every other index has a term. */
function isPosition(index: number, term: number): boolean {
  return isNumber(index) && isNumber(term) && (index === 0) === (term === 0);
}

/** Entries that follow each other without a gap, in terms that never shrink and never exceed the sender's. */
function isRun(entries: readonly Entry[], prevIndex: number, prevTerm: Term, messageTerm: Term): boolean {
  let index = prevIndex;
  let term = prevTerm;
  for (const entry of entries) {
    if (entry.index !== index + 1 || !isNumber(entry.term) || entry.term < Math.max(term, 1)) return false;
    if (entry.kind === "config" && decodeMembership(entry.data) === null) return false;
    index = entry.index;
    term = entry.term;
  }
  return term <= messageTerm && isNumber(index);
}

function isSnapshot(snapshot: SnapshotMeta, messageTerm: Term): boolean {
  return (
    isPosition(snapshot.index, snapshot.term) &&
    snapshot.index > 0 &&
    snapshot.term <= messageTerm &&
    membershipProblem(snapshot.membership) === null
  );
}
