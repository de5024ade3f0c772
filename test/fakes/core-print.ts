/**
 * Raft's values as short lines: for transcripts and for failing tests.
 *
 *     1->2 append term=1 prev=0/0 commit=0 [1/1 noop, 2/1 "x"]
 *
 * @module
 */
import { membershipOf } from "../../raft/core/config-entry.ts";
import type { CoreStatus, PeerStatus } from "../../raft/core/raft-core.ts";
import type { Entry, Membership, Message, Ready } from "../../raft/types.ts";
import { decode } from "./core-cluster.ts";

export function printEntry(entry: Entry): string {
  if (entry.kind === "config") return `${entry.index}/${entry.term} config ${printMembership(membershipOf(entry))}`;
  const text = decode(entry.data);
  const data = text.length > 16 ? `${text.length} bytes` : `"${text}"`;
  return `${entry.index}/${entry.term} ${entry.kind === "normal" ? data : entry.kind}`;
}

/** "1 2 3 learners 4 outgoing 1 2" */
function printMembership({ voters, learners, outgoing }: Membership): string {
  const parts = [voters.join(" ")];
  if (learners.length > 0) parts.push(`learners ${learners.join(" ")}`);
  if (outgoing !== undefined) parts.push(`outgoing ${outgoing.join(" ")}`);
  return parts.join(" ");
}

function printEntries(entries: readonly Entry[]): string {
  const [first, second, ...rest] = entries;
  const last = rest.at(-1);
  if (first === undefined || second === undefined || last === undefined || rest.length < 4) {
    return `[${entries.map(printEntry).join(", ")}]`;
  }
  return `[${printEntry(first)} ... ${printEntry(last)}, ${entries.length} entries]`;
}

export function printMessage(message: Message): string {
  return `${message.from}->${message.to} ${message.kind} term=${message.term}${printFields(message)}`;
}

function printFields(message: Message): string {
  switch (message.kind) {
    case "pre-vote":
      return ` last=${message.lastIndex}/${message.lastTerm}`;
    case "vote":
      return ` last=${message.lastIndex}/${message.lastTerm}${message.transfer ? " transfer" : ""}`;
    case "pre-vote-reply":
    case "vote-reply":
      return message.granted ? " granted" : " refused";
    case "append":
      return ` prev=${message.prevIndex}/${message.prevTerm} commit=${message.commit} ${printEntries(message.entries)}`;
    case "append-reply":
      if (!message.rejected) return ` accepted ${message.index}`;
      return ` refused ${message.index} hint=${message.hintIndex}/${message.hintTerm}`;
    case "heartbeat":
      return ` commit=${message.commit}${message.readContext > 0 ? ` read-round=${message.readContext}` : ""}`;
    case "heartbeat-reply":
      return message.readContext > 0 ? ` read-round=${message.readContext}` : "";
    case "snapshot":
      return ` at ${message.snapshot.index}/${message.snapshot.term}`;
    case "read-index":
      return ` read=${message.context}`;
    case "read-index-reply":
      return ` read=${message.context} ${message.rejected ? "refused" : `index=${message.index}`}`;
    case "timeout-now":
      return "";
    case "recovering":
    case "recovered":
      return ` recovery=${message.recovery}`;
    case "recovery-reply": {
      const { index, rejected, hintIndex, hintTerm, recovery } = message;
      return rejected
        ? ` refused ${index} hint=${hintIndex}/${hintTerm} recovery=${recovery}`
        : ` has ${index} recovery=${recovery}`;
    }
  }
}

/** One line per part that is not empty. */
export function printReady(ready: Ready): readonly string[] {
  const lines: string[] = [];
  const { softState, hardState, snapshot } = ready;
  if (softState !== null) lines.push(`${softState.role} term=${softState.term} leader=${softState.leader}`);
  if (hardState !== null) {
    const sync = ready.mustSync ? "" : " (no sync)";
    const recovery = hardState.recovery === undefined ? "" : ` recovery=${hardState.recovery}`;
    lines.push(`write term=${hardState.term} vote=${hardState.vote} commit=${hardState.commit}${recovery}${sync}`);
  }
  if (snapshot !== null) lines.push(`install snapshot ${snapshot.index}/${snapshot.term}`);
  if (ready.entries.length > 0) lines.push(`write ${printEntries(ready.entries)}`);
  for (const message of ready.messages) lines.push(`send ${printMessage(message)}`);
  if (ready.committed.length > 0) lines.push(`apply ${printEntries(ready.committed)}`);
  for (const { context, index } of ready.readStates) {
    lines.push(index === null ? `read ${context}: refused` : `read ${context}: at ${index}`);
  }
  return lines;
}

export function printStatus(status: CoreStatus): readonly string[] {
  const { id, role, term, vote, leader, firstIndex, lastIndex, stable, commit, applied } = status;
  const lost = status.forgotten === null ? "" : ` forgotten=${status.forgotten}`;
  const lines = [
    `node ${id}: ${role} term=${term} vote=${vote} leader=${leader}`,
    `log ${firstIndex}-${lastIndex} stable=${stable} commit=${commit} applied=${applied} violations=${status.protocolViolations}${lost}`,
  ];
  if (role !== "leader") return lines;
  const transfer = status.transferee > 0 ? ` transfer to ${status.transferee}` : "";
  lines.push(`uncommitted=${status.uncommittedBytes} bytes, reads=${status.pendingReads}${transfer}`);
  return [...lines, ...status.peers.map(printPeer)];
}

function printPeer(peer: PeerStatus): string {
  const flags = [peer.paused ? "paused" : "", peer.recentlyActive ? "" : "silent"].filter((flag) => flag !== "");
  return [`peer ${peer.id}: ${peer.mode} match=${peer.match} next=${peer.next} flights=${peer.flights}`, ...flags].join(
    " ",
  );
}
