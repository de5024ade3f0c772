/**
 * RemoteKv and a real etcd that is killed, paused, restarted, asked for much, or full.
 *
 * What the port promises of a healthy one: test/contract/kv-remote.test.ts. What only a broken server does: src/remote. Several etcds:
 * several.test.ts; one that asks who calls: guarded.test.ts.
 */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { encodeText } from "../../src/lib/text.ts";
import { type Op, prefixEnd } from "../../src/store/kv.ts";
import { expectRefused, takeBatches } from "../contract/kv/room.ts";
import { put } from "../fakes/remote-world.ts";
import { codeOf, endAll, etcd, KEY, open, when } from "./connections.ts";
import { type EtcdServer, HAVE_ETCD } from "./etcd-server.ts";

setDefaultTimeout(60_000);
afterEach(endAll);
const prefix = (text: string) => ({ key: encodeText(text), end: prefixEnd(encodeText(text)) });

async function metrics(server: EtcdServer): Promise<string> {
  return (await fetch(`${server.url}/metrics`)).text();
}

describe.skipIf(!HAVE_ETCD)("a real etcd", () => {
  test("killed: watches end, writes are refused; started again: all goes on", async () => {
    const server = await etcd();
    const kv = await open([server]);
    const { revision } = await kv.txn(put("a"));
    const id = await kv.clusterId();
    const watch = kv.watch(KEY);
    await watch.ready;
    await server.kill();
    await expectRefused(watch[Symbol.asyncIterator]().next(), "unavailable");
    const refusal = await expectRefused(kv.txn(put("a", "2"), { timeoutMs: 300 }), "unavailable");
    expect(refusal.message).toContain("ECONNREFUSED");
    await server.up();
    await when(kv, () => kv.state.connected);
    expect((await kv.txn(put("a", "3"))).revision).toBe(revision + 1);
    expect(await kv.clusterId()).toBe(id);
    const resumed = kv.watch({ ...KEY, startRevision: revision + 1 });
    expect((await takeBatches(resumed, 1))[0]?.revision).toBe(revision + 1);
  });

  test("stopped in order: the same, without a write of unknown fate", async () => {
    const server = await etcd();
    const kv = await open([server]);
    await kv.txn(put("a"));
    const watch = kv.watch(KEY);
    await watch.ready;
    await server.stop();
    await expectRefused(watch[Symbol.asyncIterator]().next(), "unavailable");
    await expectRefused(kv.txn(put("a", "2"), { timeoutMs: 300 }), "unavailable");
  });

  test("paused: a write has an unknown fate, the watch ends, and the server is found again when it goes on", async () => {
    const server = await etcd();
    const kv = await open([server]);
    const { revision } = await kv.txn(put("a"));
    const watch = kv.watch(KEY);
    await watch.ready;
    server.pause();
    await expectRefused(kv.txn(put("a", "2"), { timeoutMs: 500 }), "unknown-fate");
    await expectRefused(watch[Symbol.asyncIterator]().next(), "unavailable");
    await expectRefused(kv.range(KEY, { timeoutMs: 300 }), "unavailable");
    server.resume();
    await when(kv, () => kv.state.connected);
    expect([revision, revision + 1]).toContain((await kv.range(KEY)).kvs[0]?.modRevision ?? 0);
  });

  test("acknowledged writes survive kills in the middle of them; no write is done twice", async () => {
    const server = await etcd();
    const kv = await open([server]);
    const outcomes = new Map<number, string>();
    const COUNT = 300;
    const write = async (i: number) => {
      // A counter that each write of its key raises by one shows a repetition.
      outcomes.set(i, await codeOf(kv.txn(put(`k/${i}`, "v"))));
    };
    let written = 0;
    const writer = async () => {
      while (written < COUNT) await write(written++);
    };
    const writers = Array.from({ length: 8 }, writer);
    for (const after of [60, 160]) {
      while (outcomes.size < after) await Bun.sleep(1);
      await server.kill();
      await server.up();
    }
    await Promise.all(writers);
    await when(kv, () => kv.state.connected);
    const { kvs } = await kv.range(prefix("k/"));
    const versions = new Map(kvs.map((found) => [new TextDecoder().decode(found.key), found.version]));
    for (const [i, outcome] of outcomes) {
      const version = versions.get(`k/${i}`);
      if (outcome === "done") expect([i, version]).toEqual([i, 1]);
      else if (outcome === "unavailable") expect([i, version]).toEqual([i, undefined]);
      else expect([i, outcome, (version ?? 1) === 1]).toEqual([i, "unknown-fate", true]);
    }
    expect([...outcomes.values()].filter((outcome) => outcome === "done").length).toBeGreaterThan(COUNT / 2);
  });

  test("keys go with a lease that nobody keeps, and a watch sees them go; other clients' leases are left whole", async () => {
    const server = await etcd();
    const kv = await open([server]);
    const { id } = await kv.leaseGrant({ ttlMs: 1_000 });
    await kv.txn({ compare: [], success: [{ op: "put", ...KEY, value: KEY.key, lease: id }], failure: [] });
    const watch = kv.watch(KEY);
    await watch.ready;
    const [batch] = await takeBatches(watch, 1);
    expect(batch?.events[0]?.type).toBe("delete");
    expect(await kv.leaseStatus(id)).toEqual({ id, ttlMs: 0, remainingMs: -1, keys: [] });
    // etcdctl lets etcd choose, which takes 63 bits.
    const hex = /lease (\w+) granted/.exec(await server.ctl("lease", "grant", "100"))?.[1] ?? "";
    expect(BigInt(`0x${hex}`) > BigInt(Number.MAX_SAFE_INTEGER)).toBe(true);
    await server.ctl("put", "foreign", "1", `--lease=${hex}`);
    const lease = (await kv.range({ key: encodeText("foreign") })).kvs[0]?.lease ?? 0;
    expect(lease).toBeLessThan(0);
    expect(await kv.leases()).toEqual([lease]);
    expect((await kv.leaseStatus(lease)).keys).toEqual([encodeText("foreign")]);
    await kv.txn({
      compare: [],
      success: [{ op: "put", key: encodeText("mine"), value: KEY.key, lease }],
      failure: [],
    });
    expect(await server.ctl("lease", "timetolive", hex, "--keys")).toMatch(/\[(foreign mine|mine foreign)\]/);
    expect((await kv.leaseKeepAlive(lease)).ttlMs).toBe(100_000);
    await kv.leaseRevoke(lease);
    expect((await kv.range({ key: encodeText("foreign") })).count).toBe(0);
  });

  test("answers of twenty megabytes and more, beside calls that want little", async () => {
    const server = await etcd();
    const kv = await open([server], { requestTimeoutMs: 20_000 });
    const value = new Uint8Array(1_000_000).map((_, i) => i % 251);
    const names = Array.from({ length: 24 }, (_, i) => `large/${String(i).padStart(2, "0")}`);
    for (const name of names) {
      await kv.txn({ compare: [], success: [{ op: "put", key: encodeText(name), value }], failure: [] });
    }
    const large = kv.range(prefix("large/"));
    await Promise.all(Array.from({ length: 20 }, () => kv.range(KEY)));
    const { kvs } = await large;
    expect(kvs.map(({ key }) => new TextDecoder().decode(key))).toEqual(names);
    expect(kvs.every((found) => Buffer.compare(found.value, value) === 0)).toBe(true);
    // The history of it comes in fragments.
    const watch = kv.watch({ ...prefix("large/"), startRevision: kvs[0]?.modRevision ?? 0 });
    expect((await takeBatches(watch, names.length)).length).toBe(names.length);
  });

  test("a hundred and twenty-eight operations with their earlier values, watched in one batch", async () => {
    const server = await etcd();
    const kv = await open([server]);
    const puts = (value: Uint8Array): Op[] =>
      Array.from({ length: 128 }, (_, i) => ({ op: "put", key: encodeText(`k/${i}`), value, prevKv: true }));
    const value = new Uint8Array(11_000).fill(7);
    await kv.txn({ compare: [], success: puts(value), failure: [] });
    const watch = kv.watch({ ...prefix("k/"), prevKv: true });
    await watch.ready;
    const { revision, results } = await kv.txn({ compare: [], success: puts(value.fill(8)), failure: [] });
    expect(results.every((result) => result.op === "put" && result.prev?.value[0] === 7)).toBe(true);
    // Values and earlier values are more than one message may have: it comes in fragments.
    const batches = await takeBatches(watch, 128);
    expect(batches.map((batch) => [batch.revision, batch.events.length])).toEqual([[revision, 128]]);
  });

  test("two hundred watches on one connection, each with what is its own", async () => {
    const server = await etcd();
    const kv = await open([server]);
    const watches = Array.from({ length: 200 }, (_, i) => kv.watch({ key: encodeText(`w/${i}`) }));
    await Promise.all(watches.map((watch) => watch.ready));
    for (let i = 0; i < 200; i += 100) {
      const ops = Array.from({ length: 100 }, (_, j) => put(`w/${i + j}`).success[0] as Op);
      await kv.txn({ compare: [], success: ops, failure: [] });
    }
    for (const [i, watch] of watches.entries()) {
      const [batch] = await takeBatches(watch, 1);
      expect(new TextDecoder().decode(batch?.events[0]?.kv.key)).toBe(`w/${i}`);
    }
    const connections = Number(/^etcd_debugging_mvcc_watch_stream_total (\d+)/m.exec(await metrics(server))?.[1]);
    expect(connections).toBe(200);
    for (const watch of watches) watch.close();
    const streams = async () => /^etcd_debugging_mvcc_watch_stream_total (\d+)/m.exec(await metrics(server))?.[1];
    for (let i = 0; i < 200 && (await streams()) !== "0"; i++) await Bun.sleep(20);
    expect(await streams()).toBe("0");
  });

  test("more calls than the server takes at once wait for their turn; watches leave room for them", async () => {
    const server = await etcd({ flags: ["--max-concurrent-streams=10"] });
    const kv = await open([server], { requestTimeoutMs: 20_000 });
    const watches = Array.from({ length: 8 }, () => kv.watch(KEY));
    const placed = await Promise.all(watches.map((watch) => codeOf(watch.ready)));
    expect(placed.toSorted()).toEqual([...Array(5).fill("done"), ...Array(3).fill("unavailable")]);
    const codes = await Promise.all(Array.from({ length: 500 }, (_, i) => codeOf(kv.txn(put(`k/${i}`)))));
    expect(codes.every((code) => code === "done")).toBe(true);
    expect((await kv.range({ ...prefix("k/"), countOnly: true })).count).toBe(500);
  });

  test("many large writes before a server that is paused: all are done when it goes on", async () => {
    const server = await etcd();
    const kv = await open([server], { requestTimeoutMs: 20_000 });
    await kv.txn(put("a"));
    server.pause();
    const value = "x".repeat(1_000_000);
    const writes = Array.from({ length: 60 }, (_, i) => codeOf(kv.txn(put(`k/${i % 4}`, value))));
    server.resume();
    expect(new Set(await Promise.all(writes))).toEqual(new Set(["done"]));
  });

  test("a full disk: no-space for writes, reads go on", async () => {
    const server = await etcd({ flags: ["--quota-backend-bytes=1048576"] });
    const kv = await open([server]);
    const value = "x".repeat(500_000);
    let code = "done";
    // It looks at its size when it has committed a batch, ten times a second.
    for (let i = 0; i < 200 && code === "done"; i++) code = await codeOf(kv.txn(put(`k/${i}`, value)));
    expect(code).toBe("no-space");
    expect((await kv.range({ key: encodeText("k/0") })).count).toBe(1);
  });
});
