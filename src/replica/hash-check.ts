/**
 * Hash check: whether all members hold the same, asked by the leader again and again, and by each member once before it serves.
 *
 * Problem. Raft makes the logs equal. What each member made of its log, a bug in apply, a bad snapshot or failing memory can change,
 * and nobody would notice while one member shows a unit that another one does not know.
 * Idea. The store keeps its digest (store/digest.ts), the machine remembers it for thousands of indexes (digest-trail.ts). So the leader
 * names an index, each member says what it had there, and everybody is told what everybody said: verdict.ts draws the same conclusion
 * everywhere. No entry of the log, nothing computed over the whole state, two small messages a member and round.
 *
 *   leader, each 10 s ─▶ kv.digest ─▶ members        leader ─▶ kv.verdict ─▶ members ─▶ alarm; whoever is wrong: trust.ts
 *
 * Invariants.
 * - A member serves its first request after it has asked the others, or has tried for FIRST_MS while there was a leader.
 * - A report about a digest that this member does not have any more says nothing about it now.
 * - A member that does not answer, or runs a release without digests, is left out. Two that agree are a majority of three.
 *
 * Not here. What is wrong without a difference to others (scrubber.ts).
 *
 * @module
 */
import { type LogIndex, NO_NODE, type NodeId } from "#raft";
import { CodecError } from "../lib/binary.ts";
import { CallError, type Calls } from "../lib/calls.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { NewerFormatError } from "../lib/format.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import { digestText } from "../store/digest.ts";
import {
  DIGEST_METHOD,
  DISTRUSTED,
  decodeReading,
  encodeQuestion,
  encodeReport,
  type Reading,
  type Report,
  UNKNOWN,
  VERDICT_METHOD,
} from "./consistency-codec.ts";
import type { Raft } from "./ports.ts";
import type { StoreMachine } from "./store-machine.ts";
import type { Trust } from "./trust.ts";
import { judge, type Verdict } from "./verdict.ts";

export interface HashCheckPorts {
  readonly raft: Raft;
  readonly machine: StoreMachine;
  readonly calls: Calls;
  readonly members: ReadonlyMap<NodeId, string>;
  readonly clock: Clock;
  readonly log: Log;
  readonly trust: Trust;
}

export type Outcome = Verdict["kind"] | "unanswered";

/** A new leader has more urgent things to do. */
const LEADER_FIRST_MS = 2_000;
/** How long a member may take to come to the index it is asked about, and to say so. */
const ROUND_MS = 3_000;
const FIRST_MS = 2_000;
/** The asked one gives up this much earlier, so that its word still arrives. */
const ANSWER_MARGIN_MS = 100;

const NOTHING_WRONG: Verdict = { kind: "equal", suspects: [], majority: [] };

export class HashCheck {
  readonly #ports: HashCheckPorts;
  readonly #intervalMs: number;
  readonly #others: readonly NodeId[];
  readonly #closing = new AbortController();
  readonly #first = Promise.withResolvers<void>();
  readonly #outcomes = new Map<Outcome, number>();
  #phase: "waits" | "asks" | "settled" = "waits";
  #leads = false;
  #timer: Timer | null = null;
  #verdict: Verdict = NOTHING_WRONG;

  constructor(ports: HashCheckPorts, intervalMs: number) {
    this.#ports = ports;
    this.#intervalMs = intervalMs;
    this.#others = [...ports.members.keys()].filter((id) => id !== ports.raft.id);
    if (this.#others.length === 0) this.#settle();
  }

  /** The last word on all members that came here. */
  get verdict(): Verdict {
    return this.#verdict;
  }
  /** The same for an operator; null: nothing is wrong, as far as anybody could ask. */
  get alarm(): string | null {
    const { kind, suspects } = this.#verdict;
    if (kind === "equal") return null;
    const who = this.#addresses(suspects).join(", ");
    if (kind === "divergent") return `The members' data differ: ${who} does not hold what the majority holds`;
    return `The members' data differ, and no majority says who is right: ${who}. Restart flt on one after the other: each builds its state anew from its own log`;
  }
  /** Rounds that this member led or was told of, by what came out. */
  get outcomes(): ReadonlyMap<Outcome, number> {
    return this.#outcomes;
  }
  get isSettled(): boolean {
    return this.#phase === "settled";
  }
  /** Resolves, soon after a leader is known, when this member has asked the others for the first time. */
  get settled(): Promise<void> {
    return this.#first.promise;
  }

  /** Raft has news of who leads. */
  look(): void {
    const { raft } = this.#ports;
    if (this.#phase === "waits" && raft.leader !== NO_NODE) void this.#askFirst();
    const leads = raft.role === "leader";
    if (leads === this.#leads || this.#closing.signal.aborted) return;
    this.#leads = leads;
    this.#timer?.cancel();
    if (leads) this.#wait(Math.min(LEADER_FIRST_MS, this.#intervalMs));
  }

  close(): void {
    this.#closing.abort();
    this.#timer?.cancel();
    this.#settle();
  }

  /** For another member that asks. */
  async answer(index: LogIndex, timeoutMs: number): Promise<Reading> {
    const { machine, clock, trust } = this.#ports;
    await machine.reached(index, clock, Math.min(timeoutMs, ROUND_MS));
    if (trust.reason !== null) return DISTRUSTED;
    const digest = machine.digestAt(index);
    return digest === undefined ? UNKNOWN : { kind: "digest", digest };
  }

  /** The leader tells what all of them had. */
  heed({ index, readings }: Report): void {
    const { raft, machine, members } = this.#ports;
    const report: Report = { index, readings: new Map([...readings].filter(([id]) => members.has(id))) };
    const own = report.readings.get(raft.id) ?? UNKNOWN;
    const digest = machine.digestAt(report.index);
    const isOurs = own.kind === "digest" && digest !== undefined && digestText(digest) === digestText(own.digest);
    if (own.kind === "digest" && !isOurs) return;
    const verdict = judge(report.readings, members.size);
    this.#count(report, verdict);
    this.#say(report, verdict);
    if (isOurs) this.#draw(report, verdict);
  }

  #wait(ms: number): void {
    this.#timer = this.#ports.clock.after(ms, () => {
      this.#wait(this.#intervalMs);
      void this.#round();
    });
  }

  async #round(): Promise<void> {
    const { machine, trust, calls, members } = this.#ports;
    const index = machine.position;
    const digest = machine.digestAt(index);
    if (trust.reason !== null || digest === undefined || this.#others.length === 0) return;
    const readings = await this.#gather(index, { kind: "digest", digest }, ROUND_MS, () => false);
    if (this.#closing.signal.aborted) return;
    const report: Report = { index, readings };
    const body = encodeReport(report);
    for (const other of this.#others) {
      const options = { timeoutMs: ROUND_MS, signal: this.#closing.signal };
      calls.call(members.get(other) ?? "", VERDICT_METHOD, body, options).catch((error: unknown) => {
        this.#unanswered(other, error);
      });
    }
    this.heed(report);
  }

  /** Before this member serves: does a majority have what it has? */
  async #askFirst(): Promise<void> {
    this.#phase = "asks";
    const { machine, raft, members } = this.#ports;
    const index = machine.position;
    const digest = machine.digestAt(index);
    if (digest !== undefined) {
      const isEnough = (readings: Report["readings"]) => judge(readings, members.size).majority.includes(raft.id);
      const readings = await this.#gather(index, { kind: "digest", digest }, FIRST_MS, isEnough);
      const report: Report = { index, readings };
      const verdict = judge(readings, members.size);
      // Others that are wrong are the leader's to tell of.
      if (verdict.suspects.includes(raft.id)) {
        this.#say(report, verdict);
        this.#draw(report, verdict);
      }
    }
    this.#settle();
  }

  #settle(): void {
    this.#phase = "settled";
    this.#first.resolve();
  }

  #gather(
    index: LogIndex,
    own: Reading,
    timeoutMs: number,
    isEnough: (readings: Report["readings"]) => boolean,
  ): Promise<Report["readings"]> {
    const readings = new Map<NodeId, Reading>([[this.#ports.raft.id, own]]);
    return new Promise((resolve, reject) => {
      for (const other of this.#others) {
        this.#ask(other, index, timeoutMs).then((reading) => {
          readings.set(other, reading);
          if (readings.size > this.#others.length || isEnough(readings)) resolve(new Map(readings));
        }, reject);
      }
    });
  }

  async #ask(other: NodeId, index: LogIndex, timeoutMs: number): Promise<Reading> {
    const { calls, members } = this.#ports;
    const body = encodeQuestion(index, timeoutMs - ANSWER_MARGIN_MS);
    try {
      const options = { timeoutMs, signal: this.#closing.signal };
      return decodeReading(await calls.call(members.get(other) ?? "", DIGEST_METHOD, body, options));
    } catch (error) {
      this.#unanswered(other, error);
      return UNKNOWN;
    }
  }

  #unanswered(other: NodeId, error: unknown): void {
    const isExpected = [CallError, CodecError, NewerFormatError].some((kind) => error instanceof kind);
    if (!isExpected) throw error;
    const { log, members } = this.#ports;
    log.debug("Comparing data with another member failed", { member: members.get(other), reason: reasonOf(error) });
  }

  #count({ readings }: Report, { kind }: Verdict): void {
    const heard = [...readings.values()].filter((reading) => reading.kind === "digest");
    const outcome = heard.length < 2 && kind === "equal" ? "unanswered" : kind;
    this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1);
  }

  /** Once for each thing that is found. An alarm is over when those it is about were heard again. */
  #say({ index, readings }: Report, verdict: Verdict): void {
    const before = this.#verdict;
    const isNews = verdict.suspects.some((id) => !before.suspects.includes(id));
    const isHeard = before.suspects.every((id) => (readings.get(id) ?? UNKNOWN).kind !== "unknown");
    if (!isNews && !isHeard) return;
    this.#verdict = verdict;
    const isSame = before.kind === verdict.kind && before.suspects.join() === verdict.suspects.join();
    if (isSame) return;
    const { log, members } = this.#ports;
    const { alarm } = this;
    if (alarm === null) {
      log.notice("The members whose data differed hold the same as the others again", { index });
      return;
    }
    log.error(alarm, {
      decision: "diverged",
      members: this.#addresses(verdict.suspects).join(" "),
      index,
      digests: textOf(readings, members),
    });
  }

  #addresses(ids: readonly NodeId[]): readonly string[] {
    return ids.map((id) => this.#ports.members.get(id) ?? `member ${id}`);
  }

  #draw({ index }: Report, verdict: Verdict): void {
    const { raft, trust } = this.#ports;
    if (verdict.kind !== "divergent" || !verdict.suspects.includes(raft.id)) return;
    trust.distrust(`it holds another state than the majority at index ${index} of the log`, verdict.majority);
  }
}

function textOf(readings: Report["readings"], members: ReadonlyMap<NodeId, string>): string {
  return [...readings]
    .map(
      ([id, reading]) => `${members.get(id)}=${reading.kind === "digest" ? digestText(reading.digest) : reading.kind}`,
    )
    .join(" ");
}
