/** What a caller is told of its call, whichever member it asks and whatever becomes of leaders, connections and deadlines meanwhile. */
import { afterEach, expect, test } from "bun:test";
import { get, KvCluster, type KvClusterOptions, type Member, put, putOf } from "../../test/fakes/kv-cluster.ts";
import { CallError } from "../lib/calls.ts";
import { decodeText, encodeText } from "../lib/text.ts";
import { encodeCommand } from "../store/codec.ts";
import { KvError, type KvErrorCode } from "../store/kv.ts";
import { decodeReply, encodeRequest } from "./leader-codec.ts";
import { LEADER_METHOD } from "./leader-route.ts";

let cluster: KvCluster;
afterEach(() => cluster.stop());

async function started(options: KvClusterOptions = {}): Promise<void> {
  cluster = new KvCluster(options);
  await cluster.start();
}

async function refusal(call: Promise<unknown>): Promise<KvErrorCode> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof KvError)) throw new Error(`Not refused with a KvError: ${String(error)}`);
  return error.code;
}

test("who writes through a member reads it there at once, without asking anyone", async () => {
  await started();
  const follower = cluster.follower();
  for (let i = 0; i < 20; i++) {
    await put(follower, "k", `${i}`);
    expect(await get(follower, "k", true)).toBe(`${i}`);
  }
});

test("a linearizable read on any member sees every write that was answered before", async () => {
  await started();
  const members = [...cluster.members.values()];
  for (let i = 0; i < 30; i++) {
    const writer = members[i % 3] as Member;
    const reader = members[(i + 1 + (i % 2)) % 3] as Member;
    await put(writer, "k", `${i}`);
    expect(await get(reader, "k")).toBe(`${i}`);
  }
});

test("concurrent writes through all members all happen once", async () => {
  await started();
  const members = [...cluster.members.values()];
  await Promise.all(Array.from({ length: 90 }, (_, i) => put(members[i % 3] as Member, `k${i % 10}`, `${i}`)));
  const found = await cluster.follower().kv.range({ key: encodeText("k"), end: encodeText("l") });
  expect(found.kvs.map((kv) => kv.version)).toEqual(Array.from({ length: 10 }, () => 9));
});

test("a call waits for the next leader while nothing was done, and is then served", async () => {
  await started();
  const old = cluster.theLeader();
  const writer = cluster.follower();
  await cluster.halt(old.id);
  const took = await cluster.timed(put(writer, "k", "after"));
  expect(took).toBeLessThan(4_300);
  expect(await get(writer, "k")).toBe("after");
  expect(cluster.theLeader().id).not.toBe(old.id);
});

test("the leader's host refuses connections: nothing was sent, so the write goes to its successor", async () => {
  await started();
  const old = cluster.theLeader();
  const writer = cluster.follower();
  cluster.members.delete(old.id);
  const calls: number[] = [];
  cluster.onCall = (stage, _from, to) => void (stage === "request" && calls.push(to));
  const write = put(writer, "k", "v");
  old.kv.close();
  await old.raft.stop();
  await write;
  expect(calls).toContain(old.id);
  expect((await writer.kv.range({ key: encodeText("k") })).kvs[0]?.version).toBe(1);
});

test("an answer that was lost leaves the write's fate unknown: it is not sent again", async () => {
  await started();
  const writer = cluster.follower();
  let requests = 0;
  cluster.onCall = (stage) => {
    if (stage === "request") requests++;
    else throw new CallError("lost", "The connection broke");
  };
  expect(await refusal(put(writer, "k", "v"))).toBe("unknown-fate");
  expect(requests).toBe(1);
  expect((await writer.kv.range({ key: encodeText("k") })).kvs[0]?.version).toBe(1);
});

test("an answer too large to send, or that cannot be read, leaves the write's fate unknown: it is not sent again", async () => {
  await started();
  const writer = cluster.follower();
  let requests = 0;
  const failures = [
    () => new CallError("refused", "9 bytes are too many", "answer-too-large"),
    () => new CallError("refused", "The handler failed at its end", "internal"),
  ];
  for (const [i, failure] of failures.entries()) {
    cluster.onCall = (stage) => {
      if (stage === "request") requests++;
      else throw failure();
    };
    expect(await refusal(put(writer, `k${i}`, "v"))).toBe("unknown-fate");
    expect(requests).toBe(i + 1);
    expect((await writer.kv.range({ key: encodeText(`k${i}`) })).kvs[0]?.version).toBe(1);
  }
  cluster.onCall = () => {};
  cluster.onReply = () => new Uint8Array([99]);
  expect(await refusal(put(writer, "garbled", "v"))).toBe("unknown-fate");
});

test("a call that the leader refused before it looked at it is tried again", async () => {
  await started();
  const writer = cluster.follower();
  let requests = 0;
  cluster.onCall = (stage) => {
    if (stage === "request" && requests++ < 2) throw new CallError("refused", "Too many calls", "busy");
  };
  await put(writer, "k", "v");
  expect(requests).toBe(3);
});

test("keep-alives that come together are confirmed together: a thousand cost what one does", async () => {
  await started();
  const leader = cluster.theLeader();
  const granted = Array.from({ length: 1_000 }, () => leader.kv.leaseGrant({ ttlMs: 60_000 }));
  const ids = (await Promise.all(granted)).map(({ id }) => id);
  const cost = async (leases: readonly number[]) => {
    const before = cluster.messages;
    await Promise.all(leases.map((id) => leader.kv.leaseKeepAlive(id)));
    return cluster.messages - before;
  };
  // A question and an answer a follower; a heartbeat may fall into the round.
  expect(await cost(ids.slice(0, 1))).toBeLessThanOrEqual(8);
  expect(await cost(ids)).toBeLessThanOrEqual(8);
});

test("a keep-alive whose answer was lost is harmless to repeat", async () => {
  await started();
  const holder = cluster.follower();
  const { id } = await holder.kv.leaseGrant({ ttlMs: 10_000 });
  let lost = 0;
  cluster.onCall = (stage) => {
    if (stage === "reply" && lost++ < 2) throw new CallError("lost", "The connection broke");
  };
  expect((await holder.kv.leaseKeepAlive(id)).id).toBe(id);
  expect(lost).toBe(3);
});

test("a keep-alive that hangs on a dead leader reaches its successor, long before the deadline", async () => {
  await started();
  const holder = cluster.follower();
  const { id } = await holder.kv.leaseGrant({ ttlMs: 10_000 });
  cluster.isolate(cluster.theLeader().id);
  const startedAt = cluster.clock.now();
  expect((await holder.kv.leaseKeepAlive(id)).id).toBe(id);
  expect(cluster.clock.now() - startedAt).toBeLessThan(2_500);
});

test("a write that hangs on a dead leader is told that its fate is unknown half a second after another one leads", async () => {
  await started();
  const writer = cluster.follower();
  const dead = cluster.theLeader();
  cluster.isolate(dead.id);
  const write = refusal(put(writer, "k", "v"));
  await cluster.until(() => writer.raft.leader !== dead.id && writer.raft.leader !== 0);
  const took = await cluster.timed(write);
  expect(await write).toBe("unknown-fate");
  expect(took).toBeGreaterThan(400);
  expect(took).toBeLessThan(600);
  await put(writer, "k", "again");
});

test("a write on its way while the leadership is handed over is done, and its writer hears so", async () => {
  await started();
  const writer = cluster.follower();
  const old = cluster.theLeader();
  cluster.diskMs.set(writer.id, 20);
  const writes = Array.from({ length: 20 }, (_, at) => put(writer, `k${at}`, "v"));
  expect(await old.raft.handOver()).toBeGreaterThan(0);
  writes.push(put(writer, "last", "v"));
  await Promise.all(writes);
  expect(await get(old, "last")).toBe("v");
});

test("without quorum every call ends within 4.5 s: reads and unsent writes as unavailable", async () => {
  await started();
  const lonely = cluster.follower();
  const { id } = await lonely.kv.leaseGrant({ ttlMs: 60_000 });
  await put(lonely, "k", "v");
  cluster.isolate(lonely.id);
  await cluster.until(() => lonely.raft.leader === 0);
  const calls = {
    write: () => put(lonely, "k", "w"),
    read: () => get(lonely, "k"),
    txn: () => lonely.kv.txn({ compare: [], success: [], failure: [] }),
    grant: () => lonely.kv.leaseGrant({ ttlMs: 5_000 }),
    keepAlive: () => lonely.kv.leaseKeepAlive(id),
  };
  for (const call of Object.values(calls)) {
    const startedAt = cluster.clock.now();
    expect(await refusal(call())).toBe("unavailable");
    expect(cluster.clock.now() - startedAt).toBeLessThan(4_500);
  }
  const message = await put(lonely, "k", "w").catch((error: unknown) => String(error));
  expect(message).toContain("no quorum: this member cannot reach a leader");
  expect(await get(lonely, "k", true)).toBe("v");
});

test("a leader that was cut off does not know the fate of what it proposed, and says so in time", async () => {
  await started();
  const lonely = cluster.theLeader();
  cluster.isolate(lonely.id);
  const startedAt = cluster.clock.now();
  expect(await refusal(put(lonely, "k", "lost"))).toBe("unknown-fate");
  expect(cluster.clock.now() - startedAt).toBeLessThan(4_500);
  const successor = [...cluster.members.values()].find((member) => member !== lonely) as Member;
  await put(successor, "k", "won");
  cluster.heal();
  await cluster.until(() => lonely.raft.leader !== 0 && lonely.raft.role === "follower");
  expect(await get(lonely, "k")).toBe("won");
});

test("a write that a cut-off leader took is told apart once the cut heals: lost for good, so it goes to the new leader", async () => {
  await started();
  const old = cluster.theLeader();
  cluster.isolate(old.id);
  const write = put(old, "k", "mine", { timeoutMs: 30_000 });
  const others = [...cluster.members.values()].filter((member) => member !== old);
  await cluster.until(() => others.some((member) => member.raft.role === "leader"));
  await put(others[0] as Member, "k", "theirs");
  cluster.heal();
  await write;
  const found = (await old.kv.range({ key: encodeText("k") })).kvs[0];
  expect([found && decodeText(found.value), found?.version]).toEqual(["mine", 2]);
});

test("a forwarded call has the caller's deadline, not the default", async () => {
  await started();
  const lonely = cluster.follower();
  cluster.isolate(lonely.id);
  const took = await cluster.timed(put(lonely, "k", "v", { timeoutMs: 300 }));
  expect(took).toBeLessThanOrEqual(301);
});

test("a cancelled call ends at once", async () => {
  await started();
  const lonely = cluster.follower();
  cluster.isolate(lonely.id);
  await cluster.until(() => lonely.raft.leader === 0);
  const abort = new AbortController();
  const calls = [put(lonely, "k", "v", { signal: abort.signal }), lonely.kv.leases({ signal: abort.signal })].map(
    refusal,
  );
  const startedAt = cluster.clock.now();
  abort.abort();
  expect(await Promise.all(calls)).toEqual(["cancelled", "cancelled"]);
  expect(await refusal(put(lonely, "k", "v", { signal: abort.signal }))).toBe("cancelled");
  expect(cluster.clock.now() - startedAt).toBeLessThan(200);
});

test("a closed Kv ends its watches and calls", async () => {
  await started();
  const { kv } = cluster.follower();
  const next = kv
    .watch({ key: encodeText("k") })
    [Symbol.asyncIterator]()
    .next();
  kv.close();
  expect(await refusal(next)).toBe("closed");
  expect(await refusal(kv.range({ key: encodeText("k") }))).toBe("closed");
  expect(await refusal(kv.leaseGrant({ ttlMs: 1_000 }))).toBe("closed");
  expect(
    await refusal(
      kv
        .watch({ key: encodeText("k") })
        [Symbol.asyncIterator]()
        .next(),
    ),
  ).toBe("closed");
});

test("what another member sends is checked before it can reach the log", async () => {
  await started();
  const handler = cluster.theLeader().handlers.get(LEADER_METHOD);
  if (handler?.kind !== "unary") throw new Error("No handler");
  const context = { signal: new AbortController().signal };
  const before = cluster.theLeader().kv.store.revision;
  for (const body of [
    new Uint8Array(),
    new Uint8Array([0]),
    encodeRequest({ kind: "command", command: new Uint8Array([1, 77]) }, 1_000),
  ]) {
    await expect(handler.handle(body, context)).rejects.toMatchObject({ code: "codec" });
  }
  const command = encodeCommand({ kind: "txn", request: putOf("k", "v") });
  const follower = cluster.follower().handlers.get(LEADER_METHOD);
  if (follower?.kind !== "unary") throw new Error("No handler");
  const reply = decodeReply(await follower.handle(encodeRequest({ kind: "command", command }, 1_000), context));
  expect(reply).toMatchObject({ kind: "elsewhere", leader: cluster.theLeader().id });
  expect(cluster.theLeader().kv.store.revision).toBe(before);
});
