/**
 * RemoteKv and a real etcd that is killed, paused, restarted, guarded by certificates or passwords, or full.
 *
 * What the port promises of a healthy one: test/contract/kv-remote.test.ts. What only a broken server does: src/remote.
 */
import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { SILENT_LOG } from "../../src/lib/log.ts";
import { encodeText } from "../../src/lib/text.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { Keys, RegistryView } from "../../src/registry/index.ts";
import { openRemoteKv, type RemoteKv, type RemoteKvOptions } from "../../src/remote/index.ts";
import { KvError, type Op, prefixEnd } from "../../src/store/kv.ts";
import { expectRefused, takeBatches } from "../contract/kv/room.ts";
import { put } from "../fakes/remote-world.ts";
import { certificates } from "./certificates.ts";
import { type EtcdOptions, EtcdServer, HAVE_ETCD } from "./etcd-server.ts";

setDefaultTimeout(60_000);
const KEY = { key: encodeText("a") };
const prefix = (text: string) => ({ key: encodeText(text), end: prefixEnd(encodeText(text)) });

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
async function etcd(options?: EtcdOptions): Promise<EtcdServer> {
  const server = await EtcdServer.start(options);
  ends.push(() => server.remove());
  return server;
}
async function open(servers: readonly EtcdServer[], options: Partial<RemoteKvOptions> = {}): Promise<RemoteKv> {
  const kv = await openRemoteKv({
    servers: servers.map(({ url }) => url),
    requestTimeoutMs: 2_000,
    clock: systemClock,
    log: SILENT_LOG,
    ...options,
  });
  ends.push(() => kv.close());
  return kv;
}
/** Resolves when the state fits. */
function when(kv: RemoteKv, fits: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (!fits()) return;
      stop();
      resolve();
    };
    const stop = kv.onChange(look);
    look();
  });
}
const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => "done",
    (error: unknown) => (error as KvError).code,
  );

async function isLeader(server: EtcdServer): Promise<boolean> {
  const [answer] = JSON.parse(await server.ctl("endpoint", "status", "--write-out=json"));
  return answer.Status.leader === answer.Status.header.member_id;
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

async function metrics(server: EtcdServer): Promise<string> {
  return (await fetch(`${server.url}/metrics`)).text();
}

describe.skipIf(!HAVE_ETCD)("several etcds", () => {
  test("the next one is taken when one is killed, or only silent", async () => {
    const servers = await EtcdServer.startCluster(3);
    ends.push(async () => void (await Promise.all(servers.map((server) => server.remove()))));
    const kv = await open(servers);
    await when(kv, () => kv.state.connected);
    await kv.txn(put("a"));
    const first = servers.find(({ url }) => url === kv.state.server);
    await first?.kill();
    const beganMs = performance.now();
    while ((await codeOf(kv.txn(put("a", "2")))) !== "done") await Bun.sleep(20);
    expect(performance.now() - beganMs).toBeLessThan(10_000);
    await first?.up();
    const second = servers.find(({ url }) => url === kv.state.server);
    expect(second).not.toBe(first);
    second?.pause();
    const lease = await kv.leaseGrant({ ttlMs: 5_000 }, { timeoutMs: 500 }).catch((error: unknown) => error);
    expect(lease).toBeInstanceOf(KvError);
    await when(kv, () => kv.state.server !== second?.url && kv.state.connected);
    while ((await codeOf(kv.txn(put("a", "3")))) !== "done") await Bun.sleep(20);
    second?.resume();
  });

  test("the leader is killed: who has time reads on through the election, and no write is turned away", async () => {
    // An election takes up to a second then, and several when two candidates split its votes: etcd's luck is not what is tested.
    const patient = { timeoutMs: 20_000 };
    const servers = await EtcdServer.startCluster(3, { flags: ["--election-timeout=500", "--heartbeat-interval=50"] });
    ends.push(async () => void (await Promise.all(servers.map((server) => server.remove()))));
    const leads = await Promise.all(servers.map(isLeader));
    const leader = servers[leads.indexOf(true)];
    const kv = await open(
      servers.filter((server) => server !== leader),
      { requestTimeoutMs: 250 },
    );
    // As the API reads.
    const view = new RegistryView({ kv, keys: new Keys(), clock: systemClock, log: SILENT_LOG });
    ends.push(() => view.stop());
    await view.start();
    await leader?.kill();
    const calls: Promise<string>[] = [];
    for (let i = 0; i < 10; i++) {
      calls.push(codeOf(view.sync(patient)));
      calls.push(codeOf(kv.txn(put(`b${i}`), patient)).then((code) => code.replace("unknown-fate", "done")));
      await Bun.sleep(100);
    }
    expect(new Set(await Promise.all(calls))).toEqual(new Set(["done"]));
  });

  test("a member that lost its majority says so: watches end, and it is not taken again before it has a leader", async () => {
    const servers = await EtcdServer.startCluster(3);
    ends.push(async () => void (await Promise.all(servers.map((server) => server.remove()))));
    const [left, ...others] = servers as [EtcdServer, ...EtcdServer[]];
    const kv = await open([left], { requestTimeoutMs: 1_000 });
    await kv.txn(put("a"));
    const watch = kv.watch(KEY);
    await watch.ready;
    await Promise.all(others.map((server) => server.kill()));
    await expectRefused(watch[Symbol.asyncIterator]().next(), "unavailable");
    await when(kv, () => kv.state.reason?.includes("it has no leader") ?? false);
    const refusal = await expectRefused(kv.txn(put("a", "2")), "unavailable");
    expect(refusal.message).toContain("it has no leader: its cluster has no quorum, or is electing");
    await Promise.all(others.map((server) => server.up()));
    await when(kv, () => kv.state.connected);
    while ((await codeOf(kv.txn(put("a", "3")))) !== "done") await Bun.sleep(20);
  });
});

describe.skipIf(!HAVE_ETCD)("guarded", () => {
  let directory = "";
  afterAll(() => rm(directory || "/nonexistent", { recursive: true, force: true }));

  test("TLS with an authority of one's own and a client certificate; each thing that is wrong is named", async () => {
    directory = await mkdtemp(`${tmpdir()}/flt-etcd-tls-`);
    const file = (name: string) => `${directory}/${name}`;
    await certificates(directory);
    const server = await etcd({ tls: { ca: file("ca.crt"), cert: file("server.crt"), key: file("server.key") } });
    const read = (name: string) => Bun.file(file(name)).text();
    const [ca, cert, key] = (await Promise.all(["ca.crt", "client.crt", "client.key"].map(read))) as [
      string,
      string,
      string,
    ];
    const kv = await open([server], { tls: { ca, cert, key } });
    await kv.txn(put("a"));
    const watch = kv.watch({ ...KEY, startRevision: 1 });
    expect((await takeBatches(watch, 1)).length).toBe(1);
    const stranger = await open([server], { tls: { cert, key }, requestTimeoutMs: 500 });
    expect((await expectRefused(stranger.range(KEY), "unavailable")).message).toMatch(/certificate|issuer/i);
    const nobody = await open([server], { tls: { ca }, requestTimeoutMs: 500 });
    await expectRefused(nobody.range(KEY), "unavailable");
    const elsewhere = await open([], {
      tls: { ca, cert, key },
      requestTimeoutMs: 500,
      servers: [`https://127.0.0.2:${server.port}`],
    });
    await expectRefused(elsewhere.range(KEY), "unavailable");
  });

  test("user and password: also after etcd forgot the token, and with a role that may not do everything", async () => {
    const server = await etcd();
    const root = ["--user=root:r00t"];
    await server.ctl("user", "add", "root:r00t");
    await server.ctl("user", "add", "flt:pass:word");
    await server.ctl("role", "add", "flt");
    await server.ctl("role", "grant-permission", "flt", "--prefix=true", "readwrite", "/flt/");
    await server
      .ctl("user", "grant-role", "root", "root")
      .catch(() => server.ctl("role", "add", "root").then(() => server.ctl("user", "grant-role", "root", "root")));
    await server.ctl("user", "grant-role", "flt", "flt");
    await server.ctl("auth", "enable");
    const kv = await open([server], { username: "flt", password: "pass:word" });
    await kv.txn(put("/flt/a"));
    const watch = kv.watch(prefix("/flt/"));
    await watch.ready;
    const compare = [{ key: encodeText("/flt/a"), target: "version", result: ">", value: 0 } as const];
    expect((await kv.txn({ compare, success: [], failure: [] })).succeeded).toBe(true);
    expect((await expectRefused(kv.txn(put("/other")), "unavailable")).message).toBe(
      "Transaction failed: etcd says: permission denied",
    );
    await expectRefused(kv.watch(prefix("/other")).ready, "unavailable");
    // Tokens live in its memory.
    await server.stop();
    await server.up();
    await when(kv, () => kv.state.connected);
    await kv.txn(put("/flt/a", "2"));
    // A change of roles makes tokens of before stale.
    await server.ctl(...root, "role", "grant-permission", "flt", "--prefix=true", "read", "/more/");
    await kv.txn(put("/flt/a", "3"));
    await kv.watch(prefix("/more/")).ready;
    const wrong = await open([server], { username: "flt", password: "other", requestTimeoutMs: 500 });
    const refusal = await expectRefused(wrong.range({ key: encodeText("/flt/a") }), "unavailable");
    expect(refusal.message).toContain("authentication failed, invalid user ID or password");
    const without = await open([server], { requestTimeoutMs: 500 });
    await expectRefused(without.range({ key: encodeText("/flt/a") }), "unavailable");
  });
});
