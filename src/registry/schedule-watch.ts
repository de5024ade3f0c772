/**
 * A machine's orders as a stream: the whole wanted set, first as it is, then after each change.
 *
 * Idea. List this machine's `schedule/` keys, watch them from the next revision. Only the latest set counts: a reader that is
 * busy finds the sum of what happened meanwhile, in one piece.
 *
 * Invariants.
 * - The first set is linearizable: an agent may unload what is not in it. It is this machine's registry's, where that is guarded.
 * - A lost source ends the stream with the KvError; it never looks like "nothing is wanted".
 *
 * @module
 */
import { type Log, reasonOf } from "../lib/log.ts";
import { decodeText } from "../lib/text.ts";
import type { MachineId } from "../model/machine.ts";
import type { KeyRange, KeyValue, Kv, RangeResponse, Watch } from "../store/kv.ts";
import type { RegistryGuard } from "./guard.ts";
import type { Keys } from "./keys.ts";
import { read } from "./operations.ts";
import { decodeSchedule, RecordError } from "./records.ts";
import type { GivenOrder, ScheduleWatch } from "./types.ts";

export interface ScheduleSource {
  readonly kv: Kv;
  readonly keys: Keys;
  readonly machineId: MachineId;
  readonly log: Log;
  readonly guard: RegistryGuard | null;
}

export function watchSchedule(source: ScheduleSource): ScheduleWatch {
  const { kv, keys, machineId, log } = source;
  const stop = new AbortController();
  return {
    close: () => stop.abort(),
    async *[Symbol.asyncIterator]() {
      if (stop.signal.aborted) return;
      const range = keys.scheduleOf(machineId);
      const listed = await list(source, range, stop.signal);
      if (listed === null || stop.signal.aborted) return;
      const set = new WantedSet(keys, log);
      for (const item of listed.kvs) set.put(item);
      const watch = kv.watch({ ...range, startRevision: listed.revision + 1 });
      const end = () => watch.close();
      stop.signal.addEventListener("abort", end);
      try {
        yield* new SetReader(watch, set).sets(stop.signal);
      } finally {
        stop.signal.removeEventListener("abort", end);
        watch.close();
      }
    },
  };
}

type Listed = Pick<RangeResponse, "revision" | "kvs">;

/** null when it was closed meanwhile. */
async function list({ kv, guard }: ScheduleSource, range: KeyRange, signal: AbortSignal): Promise<Listed | null> {
  try {
    if (guard === null) return await kv.range(range, { signal });
    const answer = await kv.txn({ compare: [guard.comparison], success: [read(range)], failure: [] }, { signal });
    const [result] = answer.results;
    if (!answer.succeeded || result?.op !== "range") throw guard.refusal("is another one by now");
    return { revision: answer.revision, kvs: result.kvs };
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  }
}

/** Reads the watch ahead of the consumer; yields the set as it stands whenever the consumer asks and something changed. */
class SetReader {
  readonly #set: WantedSet;
  #wake = Promise.withResolvers<void>();
  #isChanged = true;
  #end: { readonly error: unknown } | null = null;

  constructor(watch: Watch, set: WantedSet) {
    this.#set = set;
    this.#wake.resolve();
    void this.#follow(watch);
  }

  async *sets(signal: AbortSignal): AsyncGenerator<readonly GivenOrder[]> {
    for (;;) {
      await this.#wake.promise;
      this.#wake = Promise.withResolvers<void>();
      if (signal.aborted) return;
      if (this.#isChanged) {
        this.#isChanged = false;
        yield this.#set.toArray();
      }
      if (this.#end === null) continue;
      if (this.#end.error !== null) throw this.#end.error;
      return;
    }
  }

  async #follow(watch: Watch): Promise<void> {
    try {
      for await (const batch of watch) {
        for (const event of batch.events) {
          if (event.type === "put") this.#set.put(event.kv);
          else this.#set.delete(event.kv);
          this.#isChanged = true;
        }
        this.#wake.resolve();
      }
      this.#end = { error: null };
    } catch (error) {
      this.#end = { error };
    }
    this.#wake.resolve();
  }
}

class WantedSet {
  readonly #byName = new Map<string, GivenOrder>();
  readonly #keys: Keys;
  readonly #log: Log;

  constructor(keys: Keys, log: Log) {
    this.#keys = keys;
    this.#log = log;
  }

  put(kv: KeyValue): void {
    const name = this.#nameOf(kv);
    if (name === null) return;
    try {
      this.#byName.set(name, { name, ...decodeSchedule(kv.value), revision: kv.modRevision });
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      // What was wanted before stays wanted: a broken record must not stop a unit that runs.
      this.#log.error("Passed over an order that cannot be read", {
        key: decodeText(kv.key),
        reason: reasonOf(error),
      });
    }
  }

  delete(kv: KeyValue): void {
    const name = this.#nameOf(kv);
    if (name !== null) this.#byName.delete(name);
  }

  toArray(): readonly GivenOrder[] {
    return [...this.#byName.values()];
  }

  #nameOf(kv: KeyValue): string | null {
    const parsed = this.#keys.parse(kv.key);
    return parsed?.kind === "schedule" ? parsed.name : null;
  }
}
