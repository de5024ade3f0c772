/** RemoteKv's calls before servers that misbehave; which server it takes is remote-kv-servers.test.ts, what a healthy etcd does test/contract/kv-remote.test.ts. @module */
import { describe, expect, test } from "bun:test";
import { constants } from "node:http2";
import { expectRefused } from "../../test/contract/kv/room.ts";
import { put, remoteWorlds, TIMEOUT_MS, until } from "../../test/fakes/remote-world.ts";
import { KV, Lease } from "../etcd-proto/etcd_pb.ts";
import { encodeText } from "../lib/text.ts";
import type { RangeRequest } from "../store/kv.ts";
import { Status } from "./grpc/status.ts";

const { txn, range } = KV.method;
const KEY: RangeRequest = { key: encodeText("a") };
const world = remoteWorlds();

describe("the fate of a write", () => {
  test("no answer in time: unknown, and the server is told how long it has", async () => {
    const { server, clock, open } = await world();
    let timeout: unknown;
    server.on(txn, ({ headers }) => {
      timeout = headers["grpc-timeout"];
    });
    const kv = await open();
    const write = expectRefused(kv.txn(put("a")), "unknown-fate");
    await until("it is asked", () => server.asked.Txn === 1);
    await clock.advance(TIMEOUT_MS);
    expect((await write).message).toBe("Transaction failed: no answer within 1000 ms");
    expect([timeout, server.asked.Txn]).toEqual(["1000m", 1]);
  });

  test("the connection breaks while it is on its way: unknown, and not repeated", async () => {
    const { server, open } = await world();
    server.on(txn, ({ session }) => session.destroy());
    const kv = await open();
    await expectRefused(kv.txn(put("a")), "unknown-fate");
    expect(server.asked.Txn).toBe(1);
  });

  test("the stream is reset: unknown", async () => {
    const { server, open } = await world();
    server.on(txn, (exchange) => exchange.reset());
    await expectRefused((await open()).txn(put("a")), "unknown-fate");
    expect(server.asked.Txn).toBe(1);
  });

  test("turned away unseen by HTTP/2: sent again, in the same call", async () => {
    const { server, open } = await world();
    server.on(txn, (exchange) => {
      if (server.asked.Txn === 1) exchange.reset(constants.NGHTTP2_REFUSED_STREAM);
      else exchange.onMessage = () => exchange.end(0, "", { header: server.header(5), succeeded: true });
    });
    expect((await (await open()).txn(put("a"))).revision).toBe(5);
    expect(server.asked.Txn).toBe(2);
  });

  test("turned away each time: unavailable, after a few tries", async () => {
    const { server, open } = await world();
    server.on(txn, (exchange) => exchange.reset(constants.NGHTTP2_REFUSED_STREAM));
    await expectRefused((await open()).txn(put("a")), "unavailable");
    expect(server.asked.Txn).toBe(5);
  });

  test("GOAWAY that does not cover it: done on the next connection", async () => {
    const { server, clock, open } = await world();
    server.on(txn, (exchange) => {
      if (server.asked.Txn === 1) {
        const { session, stream } = exchange;
        session.goaway(constants.NGHTTP2_NO_ERROR, (stream.id ?? 0) - 2);
        stream.close(constants.NGHTTP2_CANCEL);
      } else exchange.onMessage = () => exchange.end(0, "", { header: server.header(6), succeeded: true });
    });
    const kv = await open();
    const write = kv.txn(put("a"));
    await until("it was asked", () => server.asked.Txn === 1);
    await until("the connection is given up", () => !kv.state.connected);
    await clock.advance(100);
    expect((await write).revision).toBe(6);
  });

  test("an answer that cannot be read, or is none: unknown", async () => {
    const { server, open } = await world();
    const kv = await open();
    const answers: ((
      exchange: Parameters<Parameters<typeof server.on<typeof txn.input, typeof txn.output>>[1]>[0],
    ) => void)[] = [
      (exchange) => {
        exchange.sendBytes(new Uint8Array([0, 0, 0, 0, 2, 0xff, 0xff]));
        exchange.end();
      },
      (exchange) => {
        exchange.open();
        exchange.end();
      },
      (exchange) => exchange.sendBytes(new Uint8Array([1, 0, 0, 0, 1, 0])),
      ({ stream }) => stream.respond({ ":status": 502, "content-type": "text/html" }, { endStream: true }),
      ({ stream }) => stream.respond({ ":status": 200, "content-type": "text/html" }, { endStream: true }),
      (exchange) => exchange.end(Status.internal, "etcdserver: request timed out"),
      (exchange) => exchange.end(Status.unavailable, "etcdserver: request timed out, possibly due to connection lost"),
      (exchange) => exchange.end(Status.unavailable, "etcdserver: server stopped"),
      (exchange) => exchange.end(Status.resourceExhausted, "somewhere in between: a quota"),
    ];
    for (const answer of answers) {
      server.on(txn, (exchange) => {
        exchange.onMessage = () => answer(exchange);
      });
      await expectRefused(kv.txn(put("a")), "unknown-fate");
    }
    expect(server.asked.Txn).toBe(answers.length);
  });

  test("no answer in all the time that its caller has: not repeated either", async () => {
    const { server, clock, open } = await world();
    server.on(txn, () => {});
    const kv = await open();
    const write = expectRefused(kv.txn(put("a"), { timeoutMs: 2.5 * TIMEOUT_MS }), "unknown-fate");
    await until("it is asked", () => server.asked.Txn === 1);
    await clock.advance(2.5 * TIMEOUT_MS);
    expect((await write).message).toBe("Transaction failed: no answer within 2500 ms");
    expect(server.asked.Txn).toBe(1);
  });

  test("turned away for want of a leader: it waits for the next one, as long as its time lasts", async () => {
    const { server, clock, open } = await world();
    server.on(txn, (exchange) => {
      exchange.onMessage = () =>
        server.asked.Txn === 1
          ? exchange.end(Status.unavailable, "etcdserver: no leader")
          : exchange.end(0, "", { header: server.header(7), succeeded: true });
    });
    const kv = await open();
    await until("it is connected", () => kv.state.connected);
    server.leader = 0n;
    const write = kv.txn(put("a"), { timeoutMs: 2_500 });
    await until("the server is given up", () => !kv.state.connected);
    for (let ms = 0; ms < 2_000; ms += 100) {
      await clock.advance(100);
      await until("the round is over", () => clock.pending === 2);
    }
    server.leader = 1n;
    for (let ms = 0; ms < 300; ms += 50) await clock.advance(50);
    expect((await write).revision).toBe(7);
    expect(server.asked.Txn).toBe(2);
  });

  test("no server reached: unavailable, with the reason, at the deadline", async () => {
    const { server, clock, open } = await world();
    const { url } = server;
    await server.stop();
    const kv = await open();
    await until("one round is over", () => kv.state.reason?.includes("ECONNREFUSED") ?? false);
    const write = expectRefused(kv.txn(put("a")), "unavailable");
    await clock.advance(TIMEOUT_MS);
    expect((await write).message).toStartWith(
      `Transaction failed: no etcd server can be used: ${url}: connect ECONNREFUSED`,
    );
  });

  test("cancelled by its caller, on its way or before", async () => {
    const { server, open } = await world();
    server.on(txn, () => {});
    const kv = await open();
    const controller = new AbortController();
    const write = expectRefused(kv.txn(put("a"), { signal: controller.signal }), "cancelled");
    await until("it is asked", () => server.asked.Txn === 1);
    controller.abort();
    await write;
    await expectRefused(kv.txn(put("a"), { signal: controller.signal }), "cancelled");
    expect(server.asked.Txn).toBe(1);
  });

  test("the store is closed: closed, for what waits and what comes, and nothing is left running", async () => {
    const { server, clock, open } = await world();
    server.on(txn, () => {});
    const kv = await open();
    const watch = kv.watch(KEY);
    const write = expectRefused(kv.txn(put("a")), "closed");
    await until("it is asked", () => server.asked.Txn === 1);
    await kv.close();
    await write;
    await expectRefused(watch[Symbol.asyncIterator]().next(), "closed");
    await expectRefused(kv.range(KEY), "closed");
    await expectRefused(kv.watch(KEY)[Symbol.asyncIterator]().next(), "closed");
    await until("the server sees nobody", () => server.sessionCount === 0);
    expect(clock.pending).toBe(0);
  });
});

describe("reads", () => {
  test("are asked again when the connection breaks, on the next server", async () => {
    const { servers, clock, open } = await world(2);
    const [first, second] = servers;
    first?.on(range, ({ session }) => session.destroy());
    second?.on(range, (exchange) => {
      exchange.onMessage = () => exchange.end(0, "", { header: second.header(9), count: 3n });
    });
    const kv = await open();
    expect(await kv.clusterId()).toBe("7");
    const read = kv.range(KEY);
    await until("it was asked", () => first?.asked.Range === 1);
    await until("the connection is given up", () => !kv.state.connected);
    await clock.advance(100);
    expect(await read).toEqual({ revision: 9, kvs: [], more: false, count: 3 });
    expect(kv.state.server).toBe(second?.url ?? "");
  });

  test("that get no answer in time are unavailable", async () => {
    const { server, clock, open } = await world();
    server.on(range, () => {});
    const kv = await open();
    const read = expectRefused(kv.range(KEY), "unavailable");
    await until("it is asked", () => server.asked.Range === 1);
    await clock.advance(TIMEOUT_MS);
    await read;
    expect(server.asked.Range).toBe(1);
  });

  test("that get no answer are asked anew, as long as their caller has time: the leader may be another by then", async () => {
    const { server, clock, open } = await world();
    server.on(range, (exchange) => {
      // More often than a call that is turned away at once would be tried.
      if ((server.asked.Range ?? 0) < 8) return;
      exchange.onMessage = () => exchange.end(0, "", { header: server.header(8), count: 1n });
    });
    const kv = await open();
    const read = kv.range(KEY, { timeoutMs: 7.5 * TIMEOUT_MS });
    for (let tries = 1; tries < 8; tries++) {
      await until("it is asked", () => server.asked.Range === tries);
      await clock.advance(TIMEOUT_MS);
    }
    expect((await read).revision).toBe(8);
    expect(server.asked.Range).toBe(8);
  });

  test.each([
    [Status.deadlineExceeded, "gRPC's own"],
    [Status.unknown, "Go's words alone"],
  ])("whose end the server sees first (status %d, %s) are asked anew just so", async (status) => {
    const { server, clock, open } = await world();
    const overdue: (() => void)[] = [];
    server.on(range, (exchange) => {
      if (server.asked.Range === 8) {
        exchange.onMessage = () => exchange.end(0, "", { header: server.header(8), count: 1n });
      } else overdue.push(() => exchange.end(status, "context deadline exceeded"));
    });
    const kv = await open();
    const read = kv.range(KEY, { timeoutMs: 7.5 * TIMEOUT_MS });
    for (let tries = 1; tries < 8; tries++) {
      await until("it is asked", () => server.asked.Range === tries && overdue.length === 1);
      await clock.advance(TIMEOUT_MS - 1);
      overdue.pop()?.();
    }
    expect((await read).revision).toBe(8);
  });

  test("that a server calls overdue at once are not asked for ever", async () => {
    const { server, open } = await world();
    server.on(range, (exchange) => exchange.end(Status.deadlineExceeded, "context deadline exceeded"));
    const kv = await open();
    await expectRefused(kv.range(KEY, { timeoutMs: 7.5 * TIMEOUT_MS }), "unavailable");
    expect(server.asked.Range).toBe(5);
  });

  test("leave a server that has no leader, unless they are serializable", async () => {
    const { servers, clock, open } = await world(2);
    const [first, second] = servers;
    const leads: unknown[] = [];
    first?.on(range, (exchange) => {
      leads.push(exchange.headers.hasleader);
      exchange.onMessage = () =>
        exchange.headers.hasleader === undefined
          ? exchange.end(0, "", { header: first.header(4), count: 1n })
          : exchange.end(Status.unavailable, "etcdserver: no leader");
    });
    second?.on(range, (exchange) => {
      exchange.onMessage = () => exchange.end(0, "", { header: second.header(5), count: 2n });
    });
    const kv = await open();
    expect((await kv.range(KEY, { serializable: true })).revision).toBe(4);
    const read = kv.range(KEY);
    await until("the server is given up", () => !kv.state.connected);
    await clock.advance(100);
    expect((await read).revision).toBe(5);
    expect(leads).toEqual([undefined, "true"]);
  });

  test("a transaction of compares alone carries a read, or etcd would answer it from what it has", async () => {
    const { server, open } = await world();
    const seen: unknown[] = [];
    server.on(txn, (exchange) => {
      exchange.onMessage = ({ success, failure }) => {
        seen.push(
          [success, failure].map((ops) =>
            ops.map(({ request }) => [request.case, (request.value as { serializable?: boolean }).serializable]),
          ),
        );
        const response = {
          response: { case: "responseRange" as const, value: { header: server.header(3), count: 1n } },
        };
        exchange.end(0, "", { header: server.header(3), succeeded: true, responses: success.map(() => response) });
      };
    });
    const kv = await open();
    const compare = [{ ...KEY, target: "version", result: "=", value: 1 } as const];
    const plain = { revision: 3, succeeded: true, results: [] };
    expect(await kv.txn({ compare, success: [], failure: [] })).toEqual(plain);
    expect(await kv.txn({ compare, success: [], failure: [] }, { serializable: true })).toEqual(plain);
    const probe = [["requestRange", false]];
    expect(seen).toEqual([
      [probe, probe],
      [[], []],
    ]);
  });

  test("a foreign lease with an id beyond 2^53 comes back as it went", async () => {
    const { server, open } = await world();
    const foreign = 0x7111_2222_3333_4445n;
    const back: bigint[] = [];
    server.on(range, (exchange) => {
      exchange.onMessage = ({ key }) =>
        exchange.end(0, "", { header: server.header(3), count: 1n, kvs: [{ key, lease: foreign }] });
    });
    server.on(txn, (exchange) => {
      exchange.onMessage = ({ compare, success }) => {
        const target = compare[0]?.targetUnion;
        const op = success[0]?.request;
        if (target?.case === "lease" && op?.case === "requestPut") back.push(target.value, op.value.lease);
        exchange.end(0, "", {
          header: server.header(4),
          succeeded: true,
          responses: [{ response: { case: "responsePut", value: {} } }],
        });
      };
    });
    server.on(Lease.method.leaseTimeToLive, (exchange) => {
      exchange.onMessage = ({ ID }) => {
        back.push(ID);
        exchange.end(0, "", { ID, TTL: 9n, grantedTTL: 10n });
      };
    });
    const kv = await open();
    const lease = (await kv.range(KEY)).kvs[0]?.lease ?? 0;
    await kv.txn({
      compare: [{ ...KEY, target: "lease", result: "=", value: lease }],
      success: [{ op: "put", ...KEY, value: encodeText("1"), lease }],
      failure: [],
    });
    expect(await kv.leaseStatus(lease)).toEqual({ id: lease, ttlMs: 10_000, remainingMs: 9_000, keys: [] });
    expect(back).toEqual([foreign, foreign, foreign]);
  });
});

test("a lease id that is taken is chosen anew; one that the caller chose is refused", async () => {
  const { server, open } = await world();
  const ids: bigint[] = [];
  server.on(Lease.method.leaseGrant, (exchange) => {
    exchange.onMessage = ({ ID, TTL }) => {
      ids.push(ID);
      if (ids.length === 1 || ID === 5n) exchange.end(Status.failedPrecondition, "etcdserver: lease already exists");
      else exchange.end(0, "", { ID, TTL });
    };
  });
  const kv = await open();
  expect((await kv.leaseGrant({ ttlMs: 1_001 })).ttlMs).toBe(2_000);
  expect(new Set(ids).size).toBe(2);
  await expectRefused(kv.leaseGrant({ ttlMs: 1_000, id: 5 }), "lease-exists");
});
