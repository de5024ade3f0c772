/**
 * What every part of the Kv contract needs: a Kv to try, time to pass, and keys that no other test uses.
 *
 * Idea. One harness serves a whole suite: tests take a prefix of their own and speak of revisions relative to what they
 * find, so that the suite also fits a server that cannot be made anew for each test.
 *
 * @module
 */
import { expect } from "bun:test";
import { decodeText, encodeText } from "../../../src/lib/text.ts";
import {
  type Bytes,
  type KeyRange,
  type KeyValue,
  type Kv,
  KvError,
  type KvErrorCode,
  type LeaseId,
  type Op,
  prefixEnd,
  type Revision,
  type TxnResponse,
  type Watch,
  type WatchBatch,
  type WatchEvent,
} from "../../../src/store/kv.ts";

export interface KvHarness {
  readonly kv: Kv;
  /** Lets this much time pass for leases. */
  advance(ms: number): Promise<void>;
  close(): Promise<void>;
}

let rooms = 0;

export class Room {
  readonly harness: KvHarness;
  readonly kv: Kv;
  readonly prefix: string;

  constructor(harness: KvHarness) {
    this.harness = harness;
    this.kv = harness.kv;
    this.prefix = `room-${rooms++}/`;
  }

  key(name: string): Bytes {
    return encodeText(this.prefix + name);
  }
  all(): KeyRange {
    return { key: this.key(""), end: prefixEnd(this.key("")) };
  }
  span(from: string, to: string): KeyRange {
    return { key: this.key(from), end: this.key(to) };
  }
  putOp(name: string, value: string, lease: LeaseId = 0): Op {
    return { op: "put", key: this.key(name), value: encodeText(value), lease };
  }
  deleteOp(name: string): Op {
    return { op: "delete", key: this.key(name) };
  }

  write(...success: readonly Op[]): Promise<TxnResponse> {
    return this.kv.txn({ compare: [], success, failure: [] });
  }
  /** @returns The revision it made. */
  async put(name: string, value: string, lease: LeaseId = 0): Promise<Revision> {
    return (await this.write(this.putOp(name, value, lease))).revision;
  }
  async delete(name: string): Promise<Revision> {
    return (await this.write(this.deleteOp(name))).revision;
  }
  async get(name: string): Promise<KeyValue | undefined> {
    return (await this.kv.range({ key: this.key(name) })).kvs[0];
  }
  async value(name: string): Promise<string | undefined> {
    const kv = await this.get(name);
    return kv && decodeText(kv.value);
  }
  async revision(): Promise<Revision> {
    return (await this.kv.range({ ...this.all(), countOnly: true })).revision;
  }

  /** "name=value" of each key. */
  show(kvs: readonly KeyValue[]): string {
    return kvs.map((kv) => `${this.nameOf(kv.key)}=${decodeText(kv.value)}`).join(" ");
  }
  /** "+name=value" and "-name" of each event. */
  showEvents(events: readonly WatchEvent[]): string {
    return events.map(({ type, kv }) => (type === "put" ? `+${this.show([kv])}` : `-${this.nameOf(kv.key)}`)).join(" ");
  }
  nameOf(key: Bytes): string {
    return decodeText(key).slice(this.prefix.length);
  }
}

/** Takes batches until there are so many events; progress notices are passed over. */
export async function takeEvents(watch: Watch, count: number): Promise<WatchEvent[]> {
  return (await takeBatches(watch, count)).flatMap((batch) => batch.events);
}

export async function takeBatches(watch: Watch, eventCount: number): Promise<WatchBatch[]> {
  const batches: WatchBatch[] = [];
  const iterator = watch[Symbol.asyncIterator]();
  for (let events = 0; events < eventCount; ) {
    const next = await iterator.next();
    if (next.done) throw new Error("The watch ended early");
    events += next.value.events.length;
    if (next.value.events.length > 0) batches.push(next.value);
  }
  return batches;
}

export async function expectRefused(call: Promise<unknown>, code: KvErrorCode): Promise<KvError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(KvError);
  expect((error as KvError).code).toBe(code);
  return error as KvError;
}
