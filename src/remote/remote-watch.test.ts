/** A watch before servers that misbehave, or are of an older kind; healthy ones: test/contract/kv-remote.test.ts. */
import { describe, expect, test } from "bun:test";
import { expectRefused, takeBatches } from "../../test/contract/kv/room.ts";
import type { Exchange } from "../../test/fakes/fake-etcd.ts";
import { remoteWorlds, TIMEOUT_MS, until } from "../../test/fakes/remote-world.ts";
import { Auth, Watch, type WatchRequest } from "../etcd-proto/etcd_pb.ts";
import { encodeText } from "../lib/text.ts";
import { END_OF_KEYS, type Watch as KvWatch, type WatchBatch } from "../store/kv.ts";
import { Status } from "./grpc/status.ts";

const { watch } = Watch.method;
type WatchExchange = Exchange<typeof watch.input, typeof watch.output>;
const ALL = { key: new Uint8Array([0]), end: END_OF_KEYS };

const makeWorld = remoteWorlds();

/** A world whose servers place every watch at revision 10 and note what they are asked. */
async function place(serverCount = 1) {
  const world = await makeWorld(serverCount);
  const exchanges: WatchExchange[] = [];
  const requests: WatchRequest["requestUnion"][] = [];
  for (const server of world.servers) {
    server.on(watch, (exchange) => {
      exchanges.push(exchange);
      exchange.onMessage = ({ requestUnion }) => {
        requests.push(requestUnion);
        if (requestUnion.case === "createRequest") exchange.send({ header: server.header(10), created: true });
      };
    });
  }
  const exchange = (index = 0) => exchanges[index] as WatchExchange;
  const progressRequests = () => requests.filter((request) => request.case === "progressRequest").length;
  const answerProgress = (revision: number) => exchange().send({ header: world.server.header(revision), watchId: -1n });
  return {
    ...world,
    world,
    clock: world.clock,
    server: world.server,
    exchange,
    exchanges,
    requests,
    progressRequests,
    answerProgress,
  };
}

const event = (revision: number, name = "a") => ({
  type: 0,
  kv: { key: encodeText(name), value: encodeText("v"), modRevision: BigInt(revision), createRevision: 1n, version: 2n },
});

function next(of: KvWatch): Promise<IteratorResult<WatchBatch>> {
  return of[Symbol.asyncIterator]().next();
}

/** The outcome once it is there, without waiting for it. */
function settled<T>(promise: Promise<T>): { readonly now: () => T | undefined } {
  let value: T | undefined;
  void promise.then((result) => {
    value = result;
  });
  return { now: () => value };
}

describe("events", () => {
  test("are put together to one batch a revision, across answers and fragments", async () => {
    const { world, server, exchange } = await place();
    const running = (await world.open()).watch(ALL);
    expect(await running.ready).toBe(10);
    const header = server.header(99);
    exchange().send({ header, events: [event(11), event(12), event(12, "b")], fragment: true });
    exchange().send({ header, events: [event(12, "c")], fragment: true });
    exchange().send({ header, events: [event(12, "d"), event(14)], fragment: false });
    exchange().send({ header, events: [event(15)] });
    const batches = await takeBatches(running, 7);
    expect(batches.map(({ revision, events }) => [revision, events.length])).toEqual([
      [11, 1],
      [12, 4],
      [14, 1],
      [15, 1],
    ]);
  });

  test("that go back in time end the watch: what was missed cannot be told", async () => {
    const { world, exchange } = await place();
    const running = (await world.open()).watch(ALL);
    await running.ready;
    exchange().send({ events: [event(13)] });
    exchange().send({ events: [event(12)] });
    expect((await next(running)).value?.revision).toBe(13);
    expect((await expectRefused(next(running), "unavailable")).message).toBe(
      "Watch failed: the server sent revision 12 after 13",
    );
    expect(await next(running)).toMatchObject({ done: true });
  });

  test("wait at the server when nobody takes them, and all come in the end", async () => {
    const { world, exchange } = await place();
    const running = (await world.open()).watch(ALL);
    await running.ready;
    const value = new Uint8Array(100_000);
    const count = 200;
    let sent = 0;
    let isBlocked = false;
    const fill = () => {
      while (sent < count) {
        const { kv } = event(11 + sent);
        sent++;
        if (exchange().send({ events: [{ type: 0, kv: { ...kv, value } }] })) continue;
        isBlocked = true;
        exchange().stream.once("drain", fill);
        return;
      }
    };
    fill();
    await until("the server is held up", () => isBlocked);
    for (let turn = 0; turn < 2_000; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    // A full queue, one window, and what the two sockets hold, out of twenty megabytes.
    expect(sent).toBeLessThan(100);
    const batches = await takeBatches(running, count);
    expect(batches.map((batch) => batch.revision)).toEqual(Array.from({ length: count }, (_, i) => 11 + i));
  });

  test("that nobody takes do not keep a closed watch's stream open", async () => {
    const { world, exchange, server } = await place();
    const kv = await world.open();
    const running = kv.watch(ALL);
    await running.ready;
    const { kv: pair } = event(11);
    const closed = Promise.withResolvers<void>();
    exchange().stream.on("close", () => closed.resolve());
    for (let i = 0; i < 60; i++)
      exchange().send({
        events: [{ type: 0, kv: { ...pair, modRevision: BigInt(11 + i), value: new Uint8Array(100_000) } }],
      });
    for (let turn = 0; turn < 500; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    running.close();
    await closed.promise;
    expect(server.sessionCount).toBe(1);
    expect(await kv.watch(ALL).ready).toBe(10);
  });
});

describe("the end", () => {
  test("compacted, at once or later, with what is left", async () => {
    const { world, server, exchange } = await place();
    const kv = await world.open();
    const late = kv.watch({ ...ALL, startRevision: 5 });
    await late.ready;
    exchange().send({ canceled: true, compactRevision: 8n });
    expect((await expectRefused(next(late), "compacted")).compactRevision).toBe(8);
    server.on(watch, (other) => {
      other.onMessage = () =>
        other.send({ header: server.header(10), created: true, canceled: true, compactRevision: 7n });
    });
    const early = kv.watch({ ...ALL, startRevision: 5 });
    expect((await expectRefused(early.ready, "compacted")).compactRevision).toBe(7);
    expect((await expectRefused(next(early), "compacted")).message).toBe(
      "Watch failed: revision 5 was compacted away, 7 is the oldest one left",
    );
  });

  test("unavailable: the connection is cut, the server ends it or cancels it", async () => {
    const { world, server, exchange, exchanges, clock } = await place();
    const kv = await world.open();
    const ends: (() => void)[] = [
      () => exchange(0).end(),
      () => exchange(1).end(Status.unavailable, "etcdserver: server stopped"),
      () => exchange(2).send({ canceled: true, cancelReason: "etcdserver: permission denied" }),
      () => server.cut(),
    ];
    for (const end of ends) {
      const running = kv.watch(ALL);
      await running.ready;
      end();
      await expectRefused(next(running), "unavailable");
    }
    expect(exchanges.length).toBe(4);
    await clock.advance(100);
  });

  test("without a leader: unavailable, and the next one goes to another server", async () => {
    const { world, exchange, clock } = await place(2);
    const kv = await world.open();
    const running = kv.watch(ALL);
    await running.ready;
    const before = kv.state.server;
    expect(exchange().headers.hasleader).toBe("true");
    exchange().end(Status.unavailable, "etcdserver: no leader");
    await expectRefused(next(running), "unavailable");
    await until("the server is given up", () => !kv.state.connected);
    await clock.advance(100);
    await kv.watch(ALL).ready;
    expect(kv.state.server).not.toBe(before);
  });

  test("not placed in time: unavailable, and the stream is gone", async () => {
    const { world, server, clock } = await place();
    let closed = false;
    server.on(watch, (exchange) =>
      exchange.stream.on("close", () => {
        closed = true;
      }),
    );
    const running = (await world.open()).watch(ALL);
    const ready = expectRefused(running.ready, "unavailable");
    await until("it is asked", () => server.asked.Watch === 1);
    await clock.advance(TIMEOUT_MS);
    await ready;
    await expectRefused(next(running), "unavailable");
    await until("the stream is closed", () => closed);
  });

  test("closed by its owner before it is placed, or after: nothing stays open", async () => {
    const { world, exchanges, server } = await place();
    const kv = await world.open();
    const early = kv.watch(ALL);
    early.close();
    expect(await next(early)).toMatchObject({ done: true });
    await expectRefused(early.ready, "closed");
    const late = kv.watch(ALL);
    await late.ready;
    late.close();
    await until("its stream is closed", () => exchanges.every(({ stream }) => stream.closed || stream.destroyed));
    expect(server.sessionCount).toBe(1);
  });
});

describe("progress", () => {
  test("a server that keeps its place: one question, one answer", async () => {
    const { world, progressRequests, answerProgress, clock } = await place();
    const running = (await world.open()).watch(ALL);
    await running.ready;
    running.requestProgress();
    running.requestProgress();
    await until("it is asked", () => progressRequests() === 1);
    answerProgress(17);
    expect(await next(running)).toEqual({ done: false, value: { revision: 17, events: [] } });
    await clock.advance(10_000);
    expect(progressRequests()).toBe(1);
  });

  test("is asked for again until it is answered: a server that catches up says nothing", async () => {
    const { world, progressRequests, answerProgress, clock } = await place();
    const running = (await world.open()).watch(ALL);
    running.requestProgress();
    await running.ready;
    await until("it is asked", () => progressRequests() === 1);
    await clock.advance(100);
    await until("it is asked again", () => progressRequests() === 2);
    await clock.advance(5_000);
    await until("and again", () => progressRequests() >= 5);
    expect(progressRequests()).toBeLessThan(12);
    answerProgress(17);
    expect((await next(running)).value?.revision).toBe(17);
    running.close();
    expect(clock.pending).toBeLessThan(3);
  });

  test("an older server's answer counts when a second one follows it, behind what it overtook", async () => {
    const { world, server, exchange, progressRequests, answerProgress } = await place();
    server.version = "3.4.23";
    const running = (await world.open()).watch(ALL);
    await running.ready;
    running.requestProgress();
    await until("it is asked", () => progressRequests() === 1);
    answerProgress(12);
    exchange().send({ events: [event(11)] });
    await until("it is asked a second time", () => progressRequests() === 2);
    answerProgress(14);
    const taken = [await next(running), await next(running)].map(({ value }) => [
      value?.revision,
      value?.events.length,
    ]);
    expect(taken).toEqual([
      [11, 1],
      [12, 0],
    ]);
  });

  test("an older server is not asked about a watch from the past before it has looked after it", async () => {
    const { world, server, progressRequests, answerProgress, clock } = await place();
    server.version = "3.4.23";
    const running = (await world.open()).watch({ ...ALL, startRevision: 4 });
    await running.ready;
    running.requestProgress();
    const answer = settled(next(running));
    await clock.advance(299);
    expect(progressRequests()).toBe(0);
    await clock.advance(1);
    await until("it is asked", () => progressRequests() === 1);
    answerProgress(10);
    await until("it is asked a second time", () => progressRequests() === 2);
    answerProgress(10);
    await until("it is told", () => answer.now() !== undefined);
    expect(answer.now()?.value).toEqual({ revision: 10, events: [] });
  });
});

test("a refusal that a new token may mend is tried with one, once", async () => {
  const { world, server, clock } = await place();
  server.on(Auth.method.authenticate, (exchange) => {
    exchange.onMessage = () => exchange.end(0, "", { token: `token-${server.asked.Authenticate}` });
  });
  const tokens: unknown[] = [];
  let good = "token-2";
  server.on(watch, (exchange) => {
    exchange.onMessage = () => {
      tokens.push(exchange.headers.token);
      const header = server.header(10);
      if (exchange.headers.token === good) exchange.send({ header, created: true });
      else exchange.send({ header, created: true, canceled: true, cancelReason: "etcdserver: permission denied" });
    };
  });
  const kv = await world.open({ username: "flt", password: "p" });
  expect(await kv.watch(ALL).ready).toBe(10);
  expect(tokens).toEqual(["token-1", "token-2"]);
  good = "never";
  const running = kv.watch(ALL);
  const refusal = await expectRefused(running.ready, "unavailable");
  expect(refusal.message).toBe("Watch failed: etcd says: etcdserver: permission denied");
  expect(tokens.length).toBe(4);
  await clock.advance(0);
});

test("one that the connection has no room for fails at once, and leaves nothing behind", async () => {
  const world = await makeWorld(1, { maxConcurrentStreams: 2 });
  world.server.on(watch, (exchange) => {
    exchange.onMessage = () => exchange.send({ header: world.server.header(10), created: true });
  });
  const kv = await world.open();
  const first = kv.watch(ALL);
  await first.ready;
  const refusal = await expectRefused(kv.watch(ALL).ready, "unavailable");
  expect(refusal.message).toContain("the server takes 2 streams at once on a connection, and half of them are watches");
  // Its deadline is gone, too: were it not, this would be an error of nobody's.
  await world.clock.advance(TIMEOUT_MS);
  first.close();
  expect(await kv.watch(ALL).ready).toBe(10);
});

test("a hundred watches share one connection", async () => {
  const { world, server, exchanges } = await place();
  const kv = await world.open();
  const watches = Array.from({ length: 100 }, () => kv.watch(ALL));
  await Promise.all(watches.map((one) => one.ready));
  expect([server.sessionCount, exchanges.length]).toEqual([1, 100]);
  for (const [i, exchange] of exchanges.entries()) exchange.send({ events: [event(11 + i)] });
  const revisions = await Promise.all(watches.map(async (one) => (await next(one)).value?.revision as number));
  expect(new Set(revisions).size).toBe(100);
  await kv.close();
  for (const one of watches) await expectRefused(next(one), "closed");
});
