import { expect, test } from "bun:test";
import fc from "fast-check";
import { anyRangeRequest, anyCommands as commands } from "../../test/fakes/store-arbitraries.ts";
import { type OracleEvent, type OracleVersion, StoreOracle } from "../../test/fakes/store-oracle.ts";
import { encodeText } from "../lib/text.ts";
import type { Command } from "./command.ts";
import { spanHolds, toBytes, toSpan } from "./key.ts";
import { END_OF_KEYS, type KeyValue, KvError, type Op, type RangeRequest, type Watch, type WatchEvent } from "./kv.ts";
import { SnapshotReader } from "./snapshot.ts";
import { Store } from "./store.ts";

const EVERYTHING = { key: new Uint8Array([0]), end: END_OF_KEYS };

function toKv(version: OracleVersion): KeyValue {
  const { value, create, mod, lease } = version;
  const bytes = new Uint8Array(Buffer.from(value, "latin1"));
  return {
    key: toBytes(version.key),
    value: bytes,
    createRevision: create,
    modRevision: mod,
    version: version.version,
    lease,
  };
}

const plain = (kvs: readonly KeyValue[]): KeyValue[] => kvs.map((kv) => ({ ...kv, value: new Uint8Array(kv.value) }));

/** Both apply it; both must say the same. Refusals by shape alone are not the oracle's business. */
function applyBoth(store: Store, oracle: StoreOracle, command: Command): void {
  const result = store.apply(command);
  if (result.kind === "refused" && ["duplicate-key", "too-many-operations"].includes(result.code)) return;
  const outcome: string = result.kind === "refused" ? result.code : "ok";
  expect(outcome).toBe(oracle.apply(command));
  expect(store.revision).toBe(oracle.revision);
}

test("store equals the oracle: every readable revision, leases, refusals", () => {
  fc.assert(
    fc.property(commands, (list) => {
      const store = new Store();
      const oracle = new StoreOracle();
      for (const command of list) applyBoth(store, oracle, command);
      expect(store.compactRevision).toBe(oracle.floor);
      for (let revision = Math.max(1, oracle.floor); revision <= oracle.revision; revision++) {
        const { kvs } = store.range({ ...EVERYTHING, revision });
        expect(plain(kvs)).toEqual(oracle.stateAt(revision).map(toKv));
      }
      expect(store.leases.all().map(({ id }) => id)).toEqual([...oracle.leases.keys()].sort((a, b) => a - b));
      const now = oracle.stateAt(oracle.revision);
      for (const id of oracle.leases.keys()) {
        const keys = now.filter((version) => version.lease === id).map(({ key }) => key);
        expect(store.leases.keys(id)).toEqual(keys);
      }
    }),
    { numRuns: 300 },
  );
});

/** What etcd's documentation says about a range, done the slow way. */
function slowRange(oracle: StoreOracle, request: RangeRequest): { kvs: KeyValue[]; count: number; more: boolean } {
  const span = toSpan(request);
  const state = oracle.stateAt(request.revision || oracle.revision).filter(({ key }) => spanHolds(span, key));
  let found = state.filter(
    (v) =>
      v.mod >= (request.minModRevision ?? 0) &&
      (!request.maxModRevision || v.mod <= request.maxModRevision) &&
      v.create >= (request.minCreateRevision ?? 0) &&
      (!request.maxCreateRevision || v.create <= request.maxCreateRevision),
  );
  const sort = request.sort;
  if (sort) {
    found.sort((a, b) => (a[sort.target] < b[sort.target] ? -1 : a[sort.target] > b[sort.target] ? 1 : 0));
    // Equal ones keep key order, whatever the direction.
    if (sort.descending) {
      found.sort((a, b) => (a[sort.target] < b[sort.target] ? 1 : a[sort.target] > b[sort.target] ? -1 : 0));
      const ties = (v: OracleVersion) => found.filter((o) => o[sort.target] === v[sort.target]);
      found = [...new Set(found.flatMap((v) => ties(v).sort((a, b) => (a.key < b.key ? -1 : 1))))];
    }
  }
  if (request.countOnly) return { kvs: [], count: state.length, more: false };
  const cut = request.limit ? found.slice(0, request.limit) : found;
  const kvs = cut.map(toKv).map((kv) => (request.keysOnly ? { ...kv, value: new Uint8Array() } : kv));
  return { kvs, count: state.length, more: cut.length < found.length };
}

test("range with any options equals the slow way", () => {
  fc.assert(
    fc.property(commands, fc.array(anyRangeRequest, { minLength: 1, maxLength: 10 }), (list, requests) => {
      const store = new Store();
      const oracle = new StoreOracle();
      for (const command of list) applyBoth(store, oracle, command);
      for (const request of requests) {
        const at = request.revision || oracle.revision;
        if (at > oracle.revision || at < oracle.floor) {
          expect(() => store.range(request)).toThrow(KvError);
          continue;
        }
        const { kvs, count, more } = store.range(request);
        const slow = slowRange(oracle, request);
        expect({ kvs: plain(kvs), count, more }).toEqual(slow);
        const page = store.range(request, { uncounted: true });
        expect({ kvs: plain(page.kvs), more: page.more }).toEqual({ kvs: slow.kvs, more: slow.more });
        expect(page.count).toBeWithin(slow.kvs.length, slow.count + 1);
      }
    }),
    { numRuns: 300 },
  );
});

test("who needs no count does not pay for the keys behind the limit", () => {
  const store = new Store();
  for (let index = 0; index < 100; index++) store.apply(put(`key-${100 + index}`, "v"));
  const page = store.range({ ...EVERYTHING, limit: 10 }, { uncounted: true });
  // The one behind the page says that there are more.
  expect([page.kvs.length, page.more, page.count]).toEqual([10, true, 11]);
});

/** Takes batches up to the progress notice. */
async function drain(watch: Watch): Promise<WatchEvent[]> {
  const seen: WatchEvent[] = [];
  const iterator = watch[Symbol.asyncIterator]();
  watch.requestProgress();
  for (;;) {
    const { value } = await iterator.next();
    if (value.events.length === 0) return seen;
    seen.push(...value.events);
  }
}
const brief = (events: readonly OracleEvent[]): (string | number)[][] =>
  events.map(({ revision, after }) => [after ? "put" : "delete", revision, after?.version ?? 0]);
const briefSeen = (events: readonly WatchEvent[]): (string | number)[][] =>
  events.map(({ type, kv }) => [type, kv.modRevision, kv.version]);

test("a watch sees what the oracle recorded, wherever it begins and whenever it was placed", async () => {
  const property = fc.asyncProperty(
    commands,
    fc.nat(30),
    fc.integer({ min: 1, max: 30 }),
    async (list, placeAt, from) => {
      const store = new Store();
      const oracle = new StoreOracle();
      let watch = placeAt === 0 ? store.watch({ ...EVERYTHING, startRevision: from }) : undefined;
      for (const [i, command] of list.entries()) {
        // Here it could end the watch; the next property is about that.
        if (command.kind !== "compact") applyBoth(store, oracle, command);
        if (i + 1 === placeAt) watch = store.watch({ ...EVERYTHING, startRevision: from });
      }
      watch ??= store.watch({ ...EVERYTHING, startRevision: from });
      expect(briefSeen(await drain(watch))).toEqual(brief(oracle.events.filter(({ revision }) => revision >= from)));
    },
  );
  await fc.assert(property, { numRuns: 200 });
});

test("compaction keeps just what can be read or watched from its revision on", async () => {
  const property = fc.asyncProperty(commands, fc.integer({ min: 1, max: 30 }), async (list, from) => {
    const store = new Store();
    const oracle = new StoreOracle();
    for (const command of list) applyBoth(store, oracle, command);
    const { floor } = oracle;
    const kept = [...store.history.since(0)].flatMap(([, changes]) => changes);
    const readable = oracle.stateAt(floor).filter(({ mod }) => mod < floor);
    const watchable = oracle.events.filter(({ revision }) => revision >= floor);
    expect(kept.length).toBe(readable.length + watchable.length);
    const watch = store.watch({ ...EVERYTHING, startRevision: from });
    if (from < floor) {
      const error = await drain(watch).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "compacted", compactRevision: floor });
    } else {
      expect(briefSeen(await drain(watch))).toEqual(brief(oracle.events.filter(({ revision }) => revision >= from)));
    }
  });
  await fc.assert(property, { numRuns: 400 });
});

function copyOf(store: Store, cut: (bytes: Uint8Array) => Uint8Array[] = (bytes) => [bytes]): Store {
  const reader = new SnapshotReader();
  for (const slice of store.snapshot(42)) for (const chunk of cut(slice)) reader.write(chunk);
  const copy = new Store();
  expect(copy.restore(reader.finish())).toBe(42);
  return copy;
}

test("same commands, same hash; a restored copy goes on identically", () => {
  fc.assert(
    fc.property(commands, commands, (before, after) => {
      const [one, two] = [new Store(), new Store()];
      for (const command of before) expect(one.apply(command)).toEqual(two.apply(command));
      const copy = copyOf(one);
      for (const command of after) {
        const result = one.apply(command);
        expect(two.apply(command)).toEqual(result);
        expect(copy.apply(command)).toEqual(result);
      }
      expect(two.hash()).toEqual(one.hash());
      expect(copy.hash()).toEqual(one.hash());
      expect(copy.leases.all()).toEqual(one.leases.all());
      for (let revision = Math.max(1, one.compactRevision); revision <= one.revision; revision++) {
        expect(copy.range({ ...EVERYTHING, revision })).toEqual(one.range({ ...EVERYTHING, revision }));
        expect(copy.hash(revision)).toEqual(one.hash(revision));
      }
    }),
    { numRuns: 150 },
  );
});

const put = (key: string, value: string, lease = 0): Command => ({
  kind: "txn",
  request: {
    compare: [],
    success: [{ op: "put", key: encodeText(key), value: encodeText(value), lease }],
    failure: [],
  },
});

test("hash tells different contents apart", () => {
  const [one, two] = [new Store(), new Store()];
  one.apply(put("a", "1"));
  two.apply(put("a", "2"));
  expect(one.hash().revision).toBe(two.hash().revision);
  expect(one.hash().digest).not.toBe(two.hash().digest);
});

test("a snapshot shows the moment it was taken, whatever is applied while it is written", () => {
  const store = new Store();
  for (let i = 0; i < 5_000; i++) store.apply(put(`key-${i % 1_000}`, "v".repeat(100)));
  const before = copyOf(store).hash();
  const slices = store.snapshot(7)[Symbol.iterator]();
  const reader = new SnapshotReader();
  let count = 0;
  for (let next = slices.next(); !next.done; next = slices.next()) {
    reader.write(next.value);
    count++;
    store.apply(put(`key-${count}`, "changed"));
    store.apply({ kind: "compact", revision: store.revision });
  }
  expect(count).toBeGreaterThan(5);
  const copy = new Store();
  copy.restore(reader.finish());
  expect(copy.hash()).toEqual(before);
});

test("snapshot slices are small, and may be cut anew on their way", () => {
  const store = new Store();
  for (let i = 0; i < 2_000; i++) store.apply(put(`key-${i}`, "v".repeat(300)));
  const sizes = Array.from(store.snapshot(), (slice) => slice.length);
  expect(Math.max(...sizes)).toBeLessThan(70_000);
  const inPieces = (bytes: Uint8Array) =>
    Array.from({ length: Math.ceil(bytes.length / 777) }, (_, i) => bytes.subarray(i * 777, (i + 1) * 777));
  expect(copyOf(store, inPieces).hash()).toEqual(store.hash());
});

test("a damaged or incomplete snapshot is refused", () => {
  const store = new Store();
  store.apply({ kind: "lease-grant", id: 9, ttlMs: 1000 });
  for (let i = 0; i < 1_500; i++) store.apply(put(`key-${i}`, "v".repeat(100), 9));
  const slices = [...store.snapshot()];
  const read = (list: readonly Uint8Array[]) => {
    const reader = new SnapshotReader();
    for (const slice of list) reader.write(slice);
    return reader.finish();
  };
  expect(read(slices).revision).toBe(store.revision);
  for (let i = 0; i < slices.length; i++) {
    expect(() => read(slices.filter((_, at) => at !== i))).toThrow("Reading snapshot failed");
    expect(() => read(slices.flatMap((slice, at) => (at === i ? [slice, slice] : [slice])))).toThrow();
    const damaged = slices.map((slice) => slice.slice());
    const victim = damaged[i];
    if (victim) victim[victim.length - 1] = (victim[victim.length - 1] ?? 0) ^ 1;
    expect(() => read(damaged)).toThrow();
  }
  expect(() => read(slices.slice(0, -1))).toThrow("ends too early");
});

test("watches live through a restore: what they missed is replayed, or they end with compacted", async () => {
  const ahead = new Store();
  const behind = new Store();
  for (let i = 0; i < 3; i++) for (const store of [ahead, behind]) store.apply(put("a", `${i}`));
  const watch = behind.watch({ key: encodeText("a") });
  const iterator = watch[Symbol.asyncIterator]();
  const waiting = iterator.next();
  for (let i = 3; i < 6; i++) ahead.apply(put("a", `${i}`));
  const restoreFrom = (store: Store) => {
    const reader = new SnapshotReader();
    for (const slice of store.snapshot()) reader.write(slice);
    behind.restore(reader.finish());
  };
  restoreFrom(ahead);
  const missed = [await waiting, await iterator.next(), await iterator.next()];
  expect(missed.map(({ value }) => value?.revision)).toEqual([5, 6, 7]);
  behind.apply(put("a", "live"));
  expect((await iterator.next()).value?.revision).toBe(8);
  for (let i = 0; i < 3; i++) ahead.apply(put("a", `${i}`));
  ahead.apply({ kind: "compact", revision: ahead.revision });
  restoreFrom(ahead);
  const error = await iterator.next().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "compacted", compactRevision: ahead.revision });
  expect(behind.watchCount).toBe(0);
});

test("a sleeping watch holds one queue at most, and ends with compacted when history leaves without it", async () => {
  const store = new Store();
  const watch = store.watch(EVERYTHING);
  for (let i = 0; i < 6_000; i++) store.apply(put(`k${i % 10}`, "v"));
  store.apply({ kind: "compact", revision: store.revision });
  const iterator = watch[Symbol.asyncIterator]();
  let delivered = 0;
  const error = await (async () => {
    for (;;) {
      await iterator.next();
      delivered++;
    }
  })().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "compacted" });
  expect(delivered).toBe(4_096);
});

test("two nested transactions may put and delete one key: both events stay together, also at the floor", async () => {
  const store = new Store();
  store.apply(put("k", "old"));
  const key = encodeText("k");
  const nested = (op: Op): Op => ({ op: "txn", compare: [], success: [op], failure: [] });
  const success = [nested({ op: "put", key, value: encodeText("new") }), nested({ op: "delete", key })];
  expect(store.apply({ kind: "txn", request: { compare: [], success, failure: [] } }).kind).toBe("txn");
  store.apply({ kind: "compact", revision: store.revision });
  expect(store.range({ key }).count).toBe(0);
  const seen = await drain(store.watch({ key, startRevision: store.revision }));
  expect(briefSeen(seen)).toEqual([
    ["put", store.revision, 2],
    ["delete", store.revision, 0],
  ]);
  store.apply(put("k", "again"));
  expect(store.range({ key }).kvs[0]?.version).toBe(1);
});
