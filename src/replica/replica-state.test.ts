/** What all members hold in the end: leases, old revisions, what a snapshot or a restart brings back. */
import { afterEach, expect, test } from "bun:test";
import { get, KvCluster, type KvClusterOptions, put, putOf } from "../../test/fakes/kv-cluster.ts";
import { decodeText, encodeText } from "../lib/text.ts";
import type { TxnRequest } from "../store/kv.ts";

let cluster: KvCluster;
afterEach(() => cluster.stop());

async function started(options: KvClusterOptions = {}): Promise<void> {
  cluster = new KvCluster(options);
  await cluster.start();
}

test("leases live through a change of leader, and still end without keep-alives", async () => {
  await started();
  const holder = cluster.follower();
  const { id } = await holder.kv.leaseGrant({ ttlMs: 4_000 });
  const old = cluster.theLeader();
  await cluster.advance(3_500);
  await cluster.halt(old.id);
  await cluster.until(() => cluster.leader() !== undefined);
  const electedAt = cluster.clock.now();
  await cluster.advance(3_000);
  expect(await holder.kv.leases()).toEqual([id]);
  await cluster.until(() => holder.kv.store.leases.get(id) === undefined);
  const lived = cluster.clock.now() - electedAt;
  expect(lived).toBeGreaterThanOrEqual(4_000);
  expect(lived).toBeLessThan(4_800);
});

test("a cluster that was paused for a minute ends no lease whose holder comes back", async () => {
  await started();
  const holder = cluster.follower();
  const leases = await Promise.all([1, 2, 3].map(() => holder.kv.leaseGrant({ ttlMs: 4_000 })));
  cluster.clock.stall(60_000);
  for (let i = 0; i < 6; i++) {
    for (const { id } of leases) await holder.kv.leaseKeepAlive(id);
    await cluster.advance(1_000);
  }
  expect((await holder.kv.leases()).length).toBe(3);
  await cluster.advance(6_000);
  expect(await holder.kv.leases()).toEqual([]);
});

test("a lease shorter than an election is granted longer", async () => {
  await started();
  expect((await cluster.follower().kv.leaseGrant({ ttlMs: 100 })).ttlMs).toBe(2_000);
});

test("the leader compacts old revisions, on every member alike", async () => {
  await started({ config: { keepRevisions: 50 } });
  const writer = cluster.follower();
  for (let i = 0; i < 130; i++) await put(writer, `k${i % 3}`, `${i}`);
  await cluster.until(() => [...cluster.members.values()].every(({ kv }) => kv.store.compactRevision > 0));
  await cluster.advance(1_000);
  const stores = [...cluster.members.values()].map(({ kv }) => kv.store);
  const [first] = stores;
  expect(first && first.revision - first.compactRevision).toBeLessThan(100);
  expect(stores.map((store) => store.hash())).toEqual(stores.map(() => first?.hash() as never));
});

test("a few large revisions are compacted, too; what was changed last can still be watched", async () => {
  await started({ config: { keepChanges: 100 } });
  const writer = cluster.follower();
  const many = (value: string): TxnRequest => ({
    compare: [],
    success: Array.from({ length: 20 }, (_, i) => putOf(`k${i}`, value).success).flat(),
    failure: [],
  });
  for (let i = 0; i < 25; i++) await writer.kv.txn(many(`${i}`));
  await cluster.until(() => [...cluster.members.values()].every(({ kv }) => kv.store.compactRevision > 0));
  await cluster.advance(1_000);
  for (const { store } of [...cluster.members.values()].map(({ kv }) => kv)) {
    expect(store.changesAboveFloor).toBeGreaterThanOrEqual(100);
    expect(store.changesAboveFloor).toBeLessThan(200);
    expect(store.changesAboveFloor).toBe(store.history.countBetween(store.compactRevision + 1, store.revision));
  }
  expect(await get(writer, "k7")).toBe("24");
});

test("a member that was away catches up by snapshot: keys, leases and watches", async () => {
  await started({ snapshotLogEntries: 20 });
  const away = cluster.follower();
  const { id } = await cluster.theLeader().kv.leaseGrant({ ttlMs: 600_000 });
  const watch = away.kv.watch({ key: encodeText("k") })[Symbol.asyncIterator]();
  cluster.isolate(away.id);
  for (let i = 0; i < 100; i++) await put(cluster.theLeader(), "k", `${i}`);
  cluster.heal();
  await cluster.until(() => away.machine.position >= cluster.theLeader().machine.position);
  expect(away.kv.store.hash()).toEqual(cluster.theLeader().kv.store.hash());
  expect(await away.kv.leases()).toEqual([id]);
  for (let i = 0; i < 100; i++) {
    const { value } = await watch.next();
    expect(decodeText(value.events[0].kv.value)).toBe(`${i}`);
  }
});

test("everything is there after all members stopped and started again", async () => {
  await started({ snapshotLogEntries: 20 });
  for (let i = 0; i < 50; i++) await put(cluster.theLeader(), `k${i}`, `${i}`);
  const { id } = await cluster.theLeader().kv.leaseGrant({ ttlMs: 60_000 });
  const before = cluster.theLeader().kv.store.hash();
  const ids = [...cluster.members.keys()];
  for (const member of ids) await cluster.halt(member);
  await Promise.all(ids.map((member) => cluster.boot(member)));
  await cluster.until(() => cluster.leader() !== undefined);
  const reader = cluster.follower();
  expect((await reader.kv.range({ key: encodeText("k"), end: encodeText("l"), countOnly: true })).count).toBe(50);
  expect(await reader.kv.leases()).toEqual([id]);
  expect(reader.kv.store.hash()).toEqual(before);
});
