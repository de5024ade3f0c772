/**
 * Clients of the store: they write, read and swap a few keys through any member, and remember what they were told, and when.
 *
 * @module
 */
import { KvError, type TxnRequest, type TxnResponse } from "../../../src/store/kv.ts";
import { type Action, type Operation, unexplained } from "../check/linearizable.ts";
import type { SeededRandom } from "../random.ts";
import { Violation } from "../violation.ts";
import type { VirtualTime } from "../virtual-time.ts";
import type { Daemon } from "./daemon.ts";
import type { Host } from "./host.ts";

export interface ClientsOptions {
  readonly random: SeededRandom;
  readonly time: VirtualTime;
  readonly hosts: readonly Host[];
  readonly note: (line: string) => void;
  readonly fail: (error: Error) => void;
}

export const CLIENT_KEYS = "c/";
const PATIENCE_MS = 6_000;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Certain that nothing was done. */
const UNDONE: ReadonlySet<string> = new Set(["unavailable", "no-space"]);
/** Nobody knows. `closed`: the member stopped meanwhile. */
const UNKNOWN: ReadonlySet<string> = new Set(["unknown-fate", "cancelled", "closed"]);

type Outcome = "done" | "undone" | "unknown";

/** One operation: what is sent, and what its answer says that it did. */
interface Call {
  readonly key: string;
  readonly request: TxnRequest;
  readonly done: (answer: TxnResponse) => Action;
  /** null: one that changes nothing leaves no doubt. */
  readonly unknown: Action | null;
}

export class Clients {
  readonly counts = { done: 0, undone: 0, unknown: 0 };
  readonly #options: ClientsOptions;
  readonly #keys: readonly string[];
  readonly #histories = new Map<string, Operation[]>();
  /** The last value that anybody saw at a key: what a swap expects. */
  readonly #seen = new Map<string, string | null>();
  #values = 0;
  /** Orders calls and returns even within one moment. */
  #events = 0;
  #over = false;

  constructor(options: ClientsOptions) {
    this.#options = options;
    this.#keys = Array.from({ length: options.random.int(2, 5) }, (_, at) => `${CLIENT_KEYS}${at}`);
  }

  begin(): void {
    for (let count = this.#options.random.int(3, 6); count > 0; count--) this.#live();
  }

  end(): void {
    this.#over = true;
  }

  check(): void {
    for (const [key, history] of this.#histories) {
      const operation = unexplained(history);
      if (operation === null) continue;
      throw new Violation("linearizability", `key ${key}: nothing explains ${JSON.stringify(operation)}`);
    }
  }

  /** One client: an operation, a pause, the next. */
  #live(): void {
    const { random, time, hosts } = this.#options;
    time.after(random.between(20, 500), () => {
      if (this.#over) return;
      const host = random.pick(hosts);
      const { daemon } = host;
      if (daemon === null) this.#live();
      else this.#perform(host, daemon, this.#draw());
    });
  }

  #perform(host: Host, daemon: Daemon, call: Call): void {
    const { time, note } = this.#options;
    const callAt = ++this.#events;
    let isOpen = true;
    const settle = (outcome: Outcome, answer: TxnResponse | null) => {
      if (!isOpen) return;
      isOpen = false;
      forget();
      patience.cancel();
      this.#settled(call, callAt, outcome, answer);
      note(`${outcome} ${call.key} by ${host.id}`);
      this.#live();
    };
    const forget = daemon.life.onEnd(() => settle("unknown", null));
    const patience = time.after(PATIENCE_MS, () => settle("unknown", null));
    host.arrive(() => {
      daemon.kv.txn(call.request).then(
        (answer) => settle("done", answer),
        (error: unknown) => settle(this.#outcomeOf(error), null),
      );
    });
  }

  #outcomeOf(error: unknown): Outcome {
    if (error instanceof KvError) {
      if (UNDONE.has(error.code)) return "undone";
      if (UNKNOWN.has(error.code)) return "unknown";
    }
    this.#options.fail(error instanceof Error ? error : new Error(String(error)));
    return "unknown";
  }

  #settled({ key, done, unknown }: Call, callAt: number, outcome: Outcome, answer: TxnResponse | null): void {
    this.counts[outcome] += 1;
    const action = answer === null ? unknown : done(answer);
    if (outcome === "undone" || action === null) return;
    const history = this.#histories.get(key) ?? [];
    this.#histories.set(key, history);
    history.push({ action, callAt, returnAt: answer === null ? Number.POSITIVE_INFINITY : ++this.#events });
  }

  #draw(): Call {
    const { random } = this.#options;
    const key = random.pick(this.#keys);
    const dice = random.next();
    if (dice < 0.35) return this.#read(key);
    const expected = this.#seen.get(key) ?? null;
    if (dice < 0.6 && expected !== null) return this.#swap(key, expected);
    if (dice < 0.65) return this.#delete(key);
    return this.#put(key);
  }

  #read(key: string): Call {
    const request = { compare: [], success: [{ op: "range" as const, key: encoder.encode(key) }], failure: [] };
    return { key, request, done: (answer) => ({ kind: "read", found: this.#found(key, answer) }), unknown: null };
  }

  #put(key: string): Call {
    const value = this.#nextValue();
    const put = { op: "put" as const, key: encoder.encode(key), value: encoder.encode(value), prevKv: true };
    return {
      key,
      request: { compare: [], success: [put], failure: [] },
      done: ({ results: [result] }) => {
        this.#seen.set(key, value);
        const before = result?.op === "put" ? textOf(result.prev?.value) : null;
        return { kind: "write", value, before };
      },
      unknown: { kind: "write", value },
    };
  }

  #delete(key: string): Call {
    const remove = { op: "delete" as const, key: encoder.encode(key), prevKv: true };
    return {
      key,
      request: { compare: [], success: [remove], failure: [] },
      done: ({ results: [result] }) => {
        const before = result?.op === "delete" ? textOf(result.prevKvs[0]?.value) : null;
        return { kind: "write", value: null, before };
      },
      unknown: { kind: "write", value: null },
    };
  }

  #swap(key: string, expected: string): Call {
    const value = this.#nextValue();
    const bytes = encoder.encode(key);
    return {
      key,
      request: {
        compare: [{ key: bytes, target: "value", result: "=", value: encoder.encode(expected) }],
        success: [{ op: "put", key: bytes, value: encoder.encode(value) }],
        failure: [{ op: "range", key: bytes }],
      },
      done: (answer) => {
        if (answer.succeeded) return { kind: "swap", expected, value, done: true };
        return { kind: "swap", expected, value, done: false, found: this.#found(key, answer) };
      },
      unknown: { kind: "swap", expected, value, done: null },
    };
  }

  #found(key: string, { results: [result] }: TxnResponse): string | null {
    const found = result?.op === "range" ? textOf(result.kvs[0]?.value) : null;
    this.#seen.set(key, found);
    return found;
  }

  #nextValue(): string {
    this.#values += 1;
    return `v${this.#values}`;
  }
}

function textOf(bytes: Uint8Array | undefined): string | null {
  return bytes === undefined ? null : decoder.decode(bytes);
}
