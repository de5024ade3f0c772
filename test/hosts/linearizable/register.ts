/**
 * One unit as a register that real daemons keep: read, written and removed through any member's API, swapped through any
 * member's peer port.
 *
 * Idea. The value is the unit's description. A swap is a transaction of the store, as the registry would write it: it compares the job's
 * record with the one that the expected value makes. What an answer means for the register is said here, by the promises of the API: 503
 * and 507 say that nothing was done, 504 that nobody knows.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { CallError, wasNotBegun } from "../../../src/lib/calls.ts";
import { type UnitOption, unitHash } from "../../../src/model/unit-file.ts";
import { CallsClient } from "../../../src/platform/calls-client.ts";
import { dialPeer } from "../../../src/platform/peer-listener.ts";
import { Keys } from "../../../src/registry/index.ts";
import { put, read } from "../../../src/registry/operations.ts";
import { decodeJob, encodeJob, encodeUnitFile } from "../../../src/registry/records.ts";
import { deriveCluster } from "../../../src/replica/index.ts";
import { decodeReply, encodeRequest, type LeaderReply } from "../../../src/replica/leader-codec.ts";
import { LEADER_METHOD } from "../../../src/replica/leader-route.ts";
import { encodeProposal } from "../../../src/store/codec.ts";
import type { TxnRequest, TxnResponse } from "../../../src/store/kv.ts";
import type { Action } from "../../sim/check/linearizable.ts";

/** `action` null: nothing that the register could show. */
export interface Outcome {
  readonly fate: "done" | "undone" | "unknown";
  readonly action: Action | null;
  /** Why it is not done. */
  readonly why?: string;
}

export interface Member {
  readonly name: string;
  /** Path of its API's socket. */
  readonly socket: string;
  /** host:port of its peer port. */
  readonly peer: string;
}

/** The API answers within 3 s; then its daemon stands still, or is gone. */
const PATIENCE_MS = 4_000;
const SWAP_MS = 3_000;
const SWAP_PAUSE_MS = 50;
const SHOWN_MAX = 160;

export function optionsOf(value: string): readonly UnitOption[] {
  return [
    { section: "Unit", name: "Description", value },
    { section: "Service", name: "ExecStart", value: "/bin/true" },
  ];
}

/** The value that a unit of the API holds. */
export function registerValue(unit: { readonly options?: readonly UnitOption[] }): string {
  return unit.options?.find(({ name }) => name === "Description")?.value ?? "";
}

/** An answer that no fault explains: the test has found something. */
export class UnexpectedAnswerError extends Error {
  readonly code = "unexpected-answer";
}

export class Registers {
  readonly #members: readonly Member[];
  readonly #addresses: ReadonlyMap<number, string>;
  readonly #calls: CallsClient;
  readonly #keys = new Keys();
  /** Of each value that was ever made: what a swap finds is a hash. */
  readonly #valueOfHash = new Map<string, string>();

  constructor(members: readonly Member[]) {
    this.#members = members;
    const peers = members.map(({ peer }) => peer);
    const { clusterId, members: addresses } = deriveCluster(peers, peers[0] ?? "");
    this.#addresses = addresses;
    this.#calls = new CallsClient({ clusterId, dial: dialPeer });
  }

  close(): void {
    this.#calls.close();
  }

  async read(member: Member, key: string): Promise<Outcome> {
    const answer = await this.#ask(member, key, "GET");
    if (typeof answer === "string") return { fate: "undone", action: null, why: answer };
    if (answer.status === 404) return done({ kind: "read", found: null });
    if (answer.status !== 200) return refused(answer, null);
    return done({ kind: "read", found: registerValue(JSON.parse(answer.text)) });
  }

  async write(member: Member, key: string, value: string): Promise<Outcome> {
    this.#remember(value);
    const action: Action = { kind: "write", value };
    const answer = await this.#ask(member, key, "PUT", { desiredState: "inactive", options: optionsOf(value) });
    if (typeof answer === "string") return { fate: "unknown", action, why: answer };
    return answer.status === 201 ? done(action) : refused(answer, action);
  }

  async remove(member: Member, key: string): Promise<Outcome> {
    const action: Action = { kind: "write", value: null };
    const answer = await this.#ask(member, key, "DELETE");
    if (typeof answer === "string") return { fate: "unknown", action, why: answer };
    if (answer.status === 404) return done({ kind: "read", found: null });
    return answer.status === 204 ? done(action) : refused(answer, action);
  }

  /** Begins at this member and goes where it is sent, as a member does on behalf of its clients. */
  async swap(member: Member, key: string, expected: string, value: string): Promise<Outcome> {
    this.#remember(value);
    const unknown: Action = { kind: "swap", expected, value, done: null };
    const request = this.#swapOf(key, expected, value);
    const endsAt = performance.now() + SWAP_MS;
    let address = member.peer;
    for (;;) {
      const leftMs = endsAt - performance.now();
      if (leftMs < SWAP_PAUSE_MS) return { fate: "undone", action: null, why: "no leader was found in time" };
      const reply = await this.#command(address, request, leftMs);
      if (typeof reply === "string") return { fate: "unknown", action: unknown, why: reply };
      if (reply.kind === "applied") {
        if (reply.result.kind !== "txn") throw new UnexpectedAnswerError(`A swap: ${JSON.stringify(reply.result)}`);
        return done(this.#swapped(expected, value, reply.result.response));
      }
      if (reply.kind === "failed") {
        const isUndone = reply.code === "unavailable" || reply.code === "no-space";
        const why = reply.message.slice(0, SHOWN_MAX);
        return isUndone ? { fate: "undone", action: null, why } : { fate: "unknown", action: unknown, why };
      }
      if (reply.kind !== "elsewhere") throw new UnexpectedAnswerError(`A swap: ${reply.kind}`);
      const named = this.#addresses.get(reply.leader);
      if (named === undefined || named === address) await sleep(SWAP_PAUSE_MS);
      address = named ?? this.#members[Math.floor(Math.random() * this.#members.length)]?.peer ?? address;
    }
  }

  #remember(value: string): void {
    this.#valueOfHash.set(unitHash(optionsOf(value)), value);
  }

  #record(value: string): Uint8Array {
    return encodeJob({ hash: unitHash(optionsOf(value)), desiredState: "inactive", machine: null });
  }

  #swapOf(key: string, expected: string, value: string): TxnRequest {
    const job = this.#keys.job(key);
    const options = optionsOf(value);
    return {
      compare: [{ key: job, target: "value", result: "=", value: this.#record(expected) }],
      success: [put(this.#keys.unit(unitHash(options)), encodeUnitFile(options)), put(job, this.#record(value))],
      failure: [read({ key: job })],
    };
  }

  #swapped(expected: string, value: string, { succeeded, results: [result] }: TxnResponse): Action {
    if (succeeded) return { kind: "swap", expected, value, done: true };
    const bytes = result?.op === "range" ? result.kvs[0]?.value : undefined;
    const found = bytes === undefined ? null : (this.#valueOfHash.get(decodeJob(bytes).hash) ?? "nobody's");
    return { kind: "swap", expected, value, done: false, found };
  }

  /** A text: nobody knows what became of it, and why. */
  async #command(address: string, request: TxnRequest, timeoutMs: number): Promise<LeaderReply | string> {
    const command = encodeProposal({ kind: "txn", request });
    const body = encodeRequest({ kind: "command", command }, timeoutMs);
    try {
      return decodeReply(await this.#calls.call(address, LEADER_METHOD, body, { timeoutMs }));
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      if (wasNotBegun(error)) return { kind: "elsewhere", leader: 0, reason: error.message };
      return error.message.slice(0, SHOWN_MAX);
    }
  }

  /** A text: there was no answer, and why. */
  async #ask(
    member: Member,
    key: string,
    method: string,
    body?: unknown,
  ): Promise<{ readonly status: number; readonly text: string } | string> {
    try {
      const response = await fetch(`http://flt/fleet/v1/units/${key}`, {
        unix: member.socket,
        method,
        headers: { "content-type": "application/json" },
        signal: AbortSignal.timeout(PATIENCE_MS),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, text: await response.text() };
    } catch (error) {
      return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    }
  }
}

function done(action: Action): Outcome {
  return { fate: "done", action };
}

function refused({ status, text }: { readonly status: number; readonly text: string }, action: Action | null): Outcome {
  const why = `${status} ${text.slice(0, SHOWN_MAX)}`;
  if (status === 503 || status === 507) return { fate: "undone", action: null, why };
  if (status === 504) return { fate: action === null ? "undone" : "unknown", action, why };
  throw new UnexpectedAnswerError(`The API answered ${why}`);
}
