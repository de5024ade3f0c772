/**
 * Strangers and broken peers on the peer port: what they send, or fail to send, costs little and disturbs nobody else.
 *
 * @module
 */
import { afterEach, expect, test } from "bun:test";
import { connect, createServer, Socket } from "node:net";
import { CallError, type CallHandler } from "../lib/calls.ts";
import { type LogFields, SILENT_LOG } from "../lib/log.ts";
import { decodeText, encodeText } from "../lib/text.ts";
import { CALL_MAGIC, CALL_VERSION, encodeFields, encodeFrame, encodeRequest, FrameReader } from "./call-frames.ts";
import { CallsClient } from "./calls-client.ts";
import { CallsServer } from "./calls-server.ts";
import { dialPeer, PeerListener } from "./peer-listener.ts";

const HELLO_TIMEOUT_MS = 200;
const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });
}

const notices: string[] = [];
const reasons: string[] = [];

async function serve(handlers: Record<string, CallHandler> = {}): Promise<string> {
  notices.length = 0;
  reasons.length = 0;
  const address = `127.0.0.1:${await freePort()}`;
  const log = {
    ...SILENT_LOG,
    notice: (message: string, fields?: LogFields) => {
      notices.push(message);
      reasons.push(String(fields?.reason));
    },
  };
  const calls = new CallsServer({
    clusterId: "c1",
    handlers: new Map(Object.entries(handlers)),
    log,
    helloTimeoutMs: HELLO_TIMEOUT_MS,
  });
  const listener = new PeerListener({
    address,
    raft: (socket) => socket.destroy(),
    calls: (socket, head) => calls.accept(socket, head),
    log,
  });
  await listener.listen();
  closers.push(() => listener.close());
  return address;
}

/** A socket of a stranger, and when it was closed. */
function stranger(address: string): { readonly socket: Socket; readonly closed: Promise<void> } {
  const socket = dialPeer(address);
  const closed = Promise.withResolvers<void>();
  socket.on("error", () => undefined);
  socket.on("data", () => undefined);
  socket.on("close", () => closed.resolve());
  closers.push(() => void socket.destroy());
  return { socket, closed: closed.promise };
}

const FOREIGN_HELLO = encodeFrame("hello", 0, encodeFields({ cluster: "other", version: "1" }));
const HELLO = encodeFrame("hello", 0, encodeFields({ cluster: "c1", version: String(CALL_VERSION) }));

test("who says that it calls, and then nothing, is shown the door", async () => {
  const { socket, closed } = stranger(await serve());
  socket.write(CALL_MAGIC);
  await closed;
}, 2_000);

test("who is refused and does not hang up is hung up on, and is heard no more", async () => {
  const address = await serve();
  const port = Number(address.split(":")[1]);
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  closers.push(() => void socket.destroy());
  socket.on("error", () => undefined);
  const closed = Promise.withResolvers<void>();
  socket.on("close", () => closed.resolve());
  socket.write(Buffer.concat([Buffer.from(CALL_MAGIC), ...Array.from({ length: 1_000 }, () => FOREIGN_HELLO)]));
  const more = setInterval(() => socket.write(FOREIGN_HELLO), 20);
  await closed.promise;
  clearInterval(more);
  expect(notices).toEqual(["Refused a peer's connection"]);
}, 2_000);

test.each([
  ["calls from another cluster", Buffer.concat([Buffer.from(CALL_MAGIC), FOREIGN_HELLO])],
  ["breaks the protocol", Buffer.concat([Buffer.from(CALL_MAGIC), Buffer.alloc(16)])],
  ["speaks another protocol", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
])("a stranger that %s, again and again, is told of once", async (_what, words) => {
  const address = await serve();
  for (let times = 0; times < 3; times++) {
    const { socket, closed } = stranger(address);
    socket.write(words);
    await closed;
  }
  expect(notices).toHaveLength(1);
});

test("a long frame before the hello is not waited for", async () => {
  const { socket, closed } = stranger(await serve());
  socket.write(
    Buffer.concat([Buffer.from(CALL_MAGIC), encodeFrame("unary", 1, new Uint8Array(100_000)).subarray(0, 9)]),
  );
  const startedAt = performance.now();
  await closed;
  expect(performance.now() - startedAt).toBeLessThan(HELLO_TIMEOUT_MS / 2);
}, 2_000);

test("a greeted connection outlives the time that strangers have", async () => {
  const address = await serve({ echo: { kind: "unary", handle: async (body) => body } });
  const { socket } = stranger(address);
  socket.write(Buffer.concat([Buffer.from(CALL_MAGIC), HELLO]));
  const later = stranger(address);
  later.socket.write(CALL_MAGIC);
  await later.closed;
  const answered = new Promise<void>((resolve) => socket.once("data", () => resolve()));
  socket.write(encodeFrame("unary", 1, encodeRequest("echo", encodeText("still there"))));
  await answered;
}, 2_000);

test("a handler that throws before it begins refuses its own call, and no other one", async () => {
  const slow = Promise.withResolvers<Uint8Array>();
  const throwing: CallHandler = {
    kind: "stream",
    handle: () => {
      throw Object.assign(new Error("The request is no request"), { code: "bad-request" });
    },
  };
  const address = await serve({ throwing, slow: { kind: "unary", handle: () => slow.promise } });
  const calls = new CallsClient({ clusterId: "c1", dial: dialPeer });
  closers.push(() => calls.close());
  const other = calls.call(address, "slow", encodeText(""));
  const error = await calls
    .stream(address, "throwing", encodeText(""))
    [Symbol.asyncIterator]()
    .next()
    .then(
      () => null,
      (thrown: unknown) => thrown,
    );
  expect(error).toBeInstanceOf(CallError);
  expect(error).toMatchObject({ code: "refused", refusal: "bad-request", message: "The request is no request" });
  slow.resolve(encodeText("done"));
  expect(await other).toEqual(encodeText("done"));
});

test("a call id that is under way already ends the connection: its limit of calls counts ids", async () => {
  const { socket, closed } = stranger(await serve({ hang: { kind: "unary", handle: () => new Promise(() => {}) } }));
  const call = encodeFrame("unary", 1, encodeRequest("hang", encodeText("")));
  socket.write(Buffer.concat([Buffer.from(CALL_MAGIC), HELLO, call, call]));
  await closed;
}, 2_000);

test("who asks and never reads is cut off before its answers fill the memory", async () => {
  const answer = new Uint8Array(8 * 1024 * 1024);
  const cutOff = Promise.withResolvers<void>();
  const { socket } = stranger(
    await serve({
      big: { kind: "unary", handle: async () => answer },
      hang: {
        kind: "unary",
        handle: (_, { signal }) => {
          signal.addEventListener("abort", () => cutOff.resolve());
          return new Promise(() => {});
        },
      },
    }),
  );
  socket.pause();
  const asked = Array.from({ length: 20 }, (_, i) => encodeFrame("unary", i + 1, encodeRequest("big", encodeText(""))));
  const hanging = encodeFrame("unary", 100, encodeRequest("hang", encodeText("")));
  socket.write(Buffer.concat([Buffer.from(CALL_MAGIC), HELLO, hanging, ...asked]));
  await cutOff.promise;
}, 5_000);

test("a frame that comes byte by byte is kept once, not copied with each byte", () => {
  const reader = new FrameReader();
  const frame = encodeFrame("chunk", 1, new Uint8Array(8 * 1024 * 1024));
  const trickle = 20_000;
  expect([...reader.push(frame.subarray(0, frame.length - trickle))]).toEqual([]);
  const startedAt = performance.now();
  for (let at = frame.length - trickle; at < frame.length - 1; at++) {
    for (const _ of reader.push(frame.subarray(at, at + 1))) throw new Error("Too early");
  }
  // Copying 8 MiB each time takes a millisecond: twenty seconds.
  expect(performance.now() - startedAt).toBeLessThan(2_000);
  expect([...reader.push(frame.subarray(frame.length - 1))][0]?.payload.length).toBe(8 * 1024 * 1024);
});

test("dialing a host that never answers ends, also for a stream without a deadline", async () => {
  const calls = new CallsClient({ clusterId: "c1", dial: () => new Socket(), connectTimeoutMs: 50 });
  closers.push(() => calls.close());
  const error = await calls
    .stream("10.0.0.1:2380", "any", encodeText(""))
    [Symbol.asyncIterator]()
    .next()
    .then(
      () => null,
      (thrown: unknown) => thrown,
    );
  expect(error).toMatchObject({ code: "not-sent" });
}, 2_000);

test("an address that is none fails its own call, as not sent", async () => {
  const calls = new CallsClient({ clusterId: "c1", dial: dialPeer });
  closers.push(() => calls.close());
  expect(
    await calls.call("nowhere", "any", encodeText("")).then(
      () => null,
      (thrown: unknown) => thrown,
    ),
  ).toMatchObject({ code: "not-sent" });
});

test("a stranger's words are one short line of the log", async () => {
  const { socket, closed } = stranger(await serve());
  const cluster = `${"x".repeat(3_000)}\n\u001b[2J`;
  socket.write(Buffer.concat([Buffer.from(CALL_MAGIC), encodeFrame("hello", 0, encodeFields({ cluster }))]));
  await closed;
  expect(reasons[0]).toContain('the caller belongs to cluster "xxx');
  expect(reasons[0]?.length).toBeLessThan(600);
}, 2_000);

/** A listener that answers whatever it is asked with these bytes, and says no more. */
async function answering(...answers: readonly Uint8Array[]): Promise<string> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => void socket.write(Buffer.concat(answers)));
    closers.push(() => void socket.destroy());
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  closers.push(() => void server.close());
  return `127.0.0.1:${port}`;
}

test("a refusal that cannot be read ends its own call, too", async () => {
  const address = await answering(encodeFrame("refusal", 1, encodeText("not JSON")));
  const calls = new CallsClient({ clusterId: "c1", dial: dialPeer });
  closers.push(() => calls.close());
  const error = await calls.call(address, "any", encodeText("")).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code: "lost" });
}, 2_000);

test("a machine that sends more than its window is not listened to until memory is full", async () => {
  const address = await answering(
    ...Array.from({ length: 40 }, () => encodeFrame("chunk", 1, new Uint8Array(1 << 20))),
    encodeFrame("answer", 2, encodeText("all of it has come")),
  );
  const calls = new CallsClient({ clusterId: "c1", dial: dialPeer });
  closers.push(() => calls.close());
  const stream = calls.stream(address, "any", encodeText(""))[Symbol.asyncIterator]();
  const next = () =>
    stream.next().then(
      () => null,
      (thrown: unknown) => thrown,
    );
  const first = next();
  // Nobody reads meanwhile; a second call on the connection shows that all of it has come.
  const later = calls.call(address, "other", encodeText(""), { timeoutMs: 10_000 });
  expect(await first).toBeNull();
  expect(decodeText(await later)).toBe("all of it has come");
  let taken = 1;
  let end: unknown = null;
  while (end === null && taken < 40) {
    end = await next();
    taken += 1;
  }
  expect(end).toMatchObject({ code: "lost" });
  expect(taken).toBeLessThan(20);
}, 15_000);
