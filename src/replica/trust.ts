/**
 * Trust: whether this member's state may be used, and how it becomes so again.
 *
 * Problem. A member whose state is not what the log says must neither answer nor decide, and nobody should have to mend it by hand. Its
 * log and its votes are sound: only what was made of them is wrong, in memory and perhaps in its last snapshot.
 * Idea. It stays in raft, where it votes, stores and counts as before; it hands over a lead; and it fetches the state from a member
 * that agrees with the majority, over the line that requests between members take (replacement.ts fits it in). Then it has raft take a
 * snapshot of that, so that a restart does not bring the old state back. If it does, the check at the start finds it again.
 *
 *   distrust() ─▶ reads refused, watches ended, no lead ─▶ kv.state from a source ─▶ replaced ─▶ trusted, snapshot
 *
 * Invariants.
 * - While distrusted nothing of this state is told: no read, no watch, no answer to a write, no state for another member.
 * - One rebuild at a time; it is tried until it succeeds or this member is closed.
 *
 * Not here. Who finds out (hash-check.ts, scrubber.ts). Damaged files and logs, which raft finds by their checksums.
 *
 * @module
 */
import { DroppedError, type NodeId } from "#raft";
import { CodecError } from "../lib/binary.ts";
import { CallError, type Calls } from "../lib/calls.ts";
import type { Clock } from "../lib/clock.ts";
import { NewerFormatError } from "../lib/format.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import { pause, within } from "../lib/wait.ts";
import { SnapshotReader } from "../store/snapshot.ts";
import { encodeQuestion, STATE_METHOD } from "./consistency-codec.ts";
import type { Raft } from "./ports.ts";
import { RebuildError } from "./replacement.ts";
import type { StoreMachine } from "./store-machine.ts";

export interface TrustPorts {
  readonly raft: Raft;
  readonly machine: StoreMachine;
  readonly calls: Calls;
  readonly members: ReadonlyMap<NodeId, string>;
  readonly clock: Clock;
  readonly log: Log;
  /** There is no other member to be rebuilt from: the process must end, and begin anew from its disk. */
  readonly onHopeless: (error: Error) => void;
}

const RETRY_MS = 1_000;
/** A source that sends nothing for so long is given up; also what it may take to come as far as this member. */
const SILENCE_MS = 10_000;

export class Trust {
  readonly #ports: TrustPorts;
  readonly #listeners = new Set<() => void>();
  readonly #closing = new AbortController();
  #reason: string | null = null;
  #rebuilds = 0;

  constructor(ports: TrustPorts) {
    this.#ports = ports;
  }

  /** Why this member's state must not be used; null: it may be. */
  get reason(): string | null {
    return this.#reason;
  }
  /** How often the state was replaced since the start. */
  get rebuilds(): number {
    return this.#rebuilds;
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** @param sources Members whose state is right, as far as anybody knows. */
  distrust(reason: string, sources: readonly NodeId[]): void {
    if (this.#reason !== null || this.#closing.signal.aborted) return;
    this.#reason = reason;
    const { raft, log, onHopeless } = this.#ports;
    const others = sources.filter((id) => id !== raft.id);
    const where =
      others.length === 0 ? "there is no other member to rebuild it from" : "it is rebuilt from another one";
    log.error(`This member's data cannot be trusted and is not served any more; ${where}: ${reason}`, {
      decision: "diverged",
    });
    this.#tell();
    if (others.length > 0) void this.#rebuild(others);
    else onHopeless(new Error(`Trusting this member's data failed: ${reason}; it is read from the disk anew`));
  }

  close(): void {
    this.#closing.abort();
    this.#ports.machine.endReplacement();
    this.#listeners.clear();
  }

  async #rebuild(sources: readonly NodeId[]): Promise<void> {
    const { signal } = this.#closing;
    const { clock, raft, members } = this.#ports;
    let failures = 0;
    while (!signal.aborted) {
      // The leader is never behind.
      for (const source of [...sources].sort((a, b) => Number(b === raft.leader) - Number(a === raft.leader))) {
        try {
          await this.#stepDown(sources);
          await this.#replaceFrom(members.get(source) ?? "", signal);
          return this.#whole(members.get(source) ?? "");
        } catch (error) {
          if (signal.aborted) return;
          if (!isRetried(error)) throw error;
          failures += 1;
          this.#sayFailed(members.get(source) ?? "", failures, error);
        }
      }
      await pause(clock, RETRY_MS, signal);
    }
  }

  async #replaceFrom(source: string, signal: AbortSignal): Promise<void> {
    const { machine, calls, clock } = this.#ports;
    const replacement = machine.beginReplacement();
    const waiting = { timeoutMs: SILENCE_MS, signal, error: () => new RebuildError("it takes too long") };
    const chunks = calls.stream(source, STATE_METHOD, encodeQuestion(replacement.from, SILENCE_MS), { signal });
    const iterator = chunks[Symbol.asyncIterator]();
    try {
      const reader = new SnapshotReader();
      for (;;) {
        const next = await within(clock, iterator.next(), waiting);
        if (next.done) break;
        reader.write(next.value);
      }
      machine.replaceBy(reader.finish());
      await within(clock, replacement.done, waiting);
    } finally {
      machine.endReplacement();
      void Promise.resolve(iterator.return?.()).catch(() => undefined);
    }
  }

  /** At growing intervals: it may take until the next member is back. */
  #sayFailed(source: string, failures: number, error: unknown): void {
    if (!Number.isInteger(Math.log2(failures))) return;
    this.#ports.log.notice("Rebuilding this member's data failed; trying on", {
      source,
      failures,
      reason: reasonOf(error),
    });
  }

  #whole(source: string): void {
    const { log, raft, machine } = this.#ports;
    this.#reason = null;
    this.#rebuilds += 1;
    log.notice("This member's data is whole again, and served: it was rebuilt from another member", {
      decision: "rebuilt",
      source,
      index: machine.position,
    });
    raft.renewSnapshot().catch((error: unknown) => {
      log.warning("Keeping the rebuilt data on this member's disk failed; the next snapshot will", {
        reason: reasonOf(error),
      });
    });
    this.#tell();
  }

  /** What this member would say of writes comes from the wrong state. */
  async #stepDown(sources: readonly NodeId[]): Promise<void> {
    const { raft } = this.#ports;
    for (const heir of sources) {
      if (raft.role !== "leader") return;
      await raft.transferLeader(heir);
    }
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

function isRetried(error: unknown): boolean {
  return [CallError, CodecError, DroppedError, NewerFormatError, RebuildError].some((kind) => error instanceof kind);
}
