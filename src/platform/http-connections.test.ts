/**
 * HTTP on accepted sockets: what a client, good or bad, can do to a daemon and what it gets for it.
 *
 * @module
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { type ApiListener, listenApi } from "./api-listener.ts";
import { HttpConnections } from "./http-connections.ts";

const MEGABYTE = 1024 * 1024;
const folder = mkdtempSync(`${tmpdir()}/flt-http-`);
const path = `${folder}/flt.sock`;
let listener: ApiListener;
let streams: { aborted: Promise<void>; cancelled: Promise<void>; produced: number };

async function handle(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname === "/echo") return new Response(await request.bytes());
  if (pathname === "/size") {
    let size = 0;
    for await (const chunk of request.body ?? []) size += chunk.length;
    return Response.json({ size });
  }
  if (pathname === "/unread") return Response.json({ error: "no" }, { status: 415 });
  if (pathname === "/stream") return endless(request, 10);
  if (pathname === "/flood") return endless(request, 64 * 1024);
  if (pathname === "/broken") return broken();
  if (pathname === "/empty") return new Response(null, { status: 204 });
  return Response.json({ method: request.method, url: request.url, header: request.headers.get("x-header") });
}

/** The first chunk at once; /stream then falls silent, /flood goes on as long as it is read. */
function endless(request: Request, bytes: number): Response {
  const aborted = Promise.withResolvers<void>();
  const cancelled = Promise.withResolvers<void>();
  streams = { aborted: aborted.promise, cancelled: cancelled.promise, produced: 0 };
  request.signal.addEventListener("abort", () => aborted.resolve());
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (bytes < 100 && streams.produced > 0) return new Promise(() => {});
        streams.produced += bytes;
        controller.enqueue(new Uint8Array(bytes).fill(0x61));
        return undefined;
      },
      cancel: () => cancelled.resolve(),
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { "content-type": "text/plain" } });
}

function broken(): Response {
  let count = 0;
  return new Response(
    new ReadableStream({
      pull(controller) {
        if (count++ > 0) throw new Error("the journal's machine is gone");
        controller.enqueue(new TextEncoder().encode("half"));
      },
    }),
  );
}

beforeAll(async () => {
  listener = await listenApi(`unix://${path}`, handle);
});
afterAll(async () => {
  await listener.close();
  rmSync(folder, { recursive: true });
});

const ask = (target: string, init: RequestInit = {}) => fetch(`http://flt${target}`, { unix: path, ...init });

/** What the stream has produced when the server has served many others meanwhile and nothing was added. */
async function atRest(): Promise<number> {
  let last = 0;
  for (let still = 0; still < 20; still++) {
    await ask("/empty");
    const produced = streams?.produced ?? 0;
    if (produced === 0 || produced !== last) still = 0;
    last = produced;
  }
  return last;
}

/** What comes back for bytes written as they are, until the server closes or `enough` is seen. */
function raw(text: string, enough: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let seen = "";
    const socket = connect({ path }, () => socket.write(text));
    socket.on("data", (chunk) => {
      seen += chunk.toString("latin1");
      if (enough.test(seen)) socket.destroy();
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(seen));
  });
}

test("method, target, host, headers and query arrive as they were sent; JSON has its length", async () => {
  const response = await ask("/units/a%5Cx2d.service?x=%20", { method: "PATCH", headers: { "X-Header": "ü" } });
  expect(await response.json()).toEqual({
    method: "PATCH",
    url: "http://flt/units/a%5Cx2d.service?x=%20",
    header: "ü",
  });
  expect(Number(response.headers.get("content-length"))).toBeGreaterThan(0);
  expect((await ask("/empty")).status).toBe(204);
});

test("bodies: with a length, in chunks, empty, a megabyte; an answer may begin before the body was read", async () => {
  expect(await (await ask("/echo", { method: "POST", body: "hello" })).text()).toBe("hello");
  expect(await (await ask("/echo", { method: "POST" })).text()).toBe("");
  const big = await ask("/size", { method: "PUT", body: new Uint8Array(5 * MEGABYTE) });
  expect(await big.json()).toEqual({ size: 5 * MEGABYTE });
  const chunked = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
  expect(await raw(chunked, /\r\n0\r\n\r\n$/)).toContain("abc");
  expect((await ask("/unread", { method: "PUT", body: new Uint8Array(3 * MEGABYTE) })).status).toBe(415);
});

test("requests in one go are answered in order on one connection, unread bodies between them", async () => {
  const text =
    "PUT /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" +
    "GET /second HTTP/1.1\r\nHost: x\r\n\r\nHEAD /third HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const answers = await raw(text, /$^/);
  expect(answers.match(/HTTP\/1.1 \d+/g)).toEqual(["HTTP/1.1 415", "HTTP/1.1 200", "HTTP/1.1 200"]);
  expect(answers).not.toContain("/third");
});

test("a body without end ends its connection soon after the answer", async () => {
  const socket = connect({ path });
  socket.write("PUT /unread HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  const ended = new Promise((resolve) => socket.once("close", resolve));
  socket.on("error", () => {});
  let seen = "";
  socket.on("data", (chunk) => {
    seen += chunk.toString("latin1");
  });
  const drip = setInterval(() => socket.write("5\r\nhello\r\n"), 10);
  await ended;
  clearInterval(drip);
  expect(seen).toStartWith("HTTP/1.1 415 ");
});

test("thousands of requests in one go are not taken up", async () => {
  const flood = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(5000);
  const answers = await raw(flood, /$^/).catch(() => "");
  expect(answers.match(/HTTP/g)?.length ?? 0).toBeLessThan(5000);
  const last = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const some = await raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(49) + last, /$^/);
  expect(some.match(/HTTP\/1.1 200/g)).toHaveLength(50);
});

test("what is no HTTP, or no request that can be served, is refused", async () => {
  expect(await raw("hello\r\n\r\n", /\r\n\r\n/)).toStartWith("HTTP/1.1 400 ");
  expect(await raw("M-SEARCH / HTTP/1.1\r\nHost: x\r\n\r\n", /\}$/)).toContain('"method":"M-SEARCH"');
  expect(await raw("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", /\}\}$/)).toStartWith("HTTP/1.1 405 ");
  expect(await raw("GET http://other/units HTTP/1.1\r\nHost: x\r\n\r\n", /\}$/)).toContain("http://other/units");
  expect(await raw("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", /\}$/)).toContain("http://localhost/");
  expect(await raw("GET / HTTP/1.1\r\n\r\n", /\}$/)).toContain("http://localhost/");
});

test("a reader that leaves a silent stream aborts the request and cancels its body", async () => {
  const abort = new AbortController();
  const response = await ask("/stream", { signal: abort.signal });
  const { value } = (await response.body?.getReader().read()) ?? {};
  expect(value?.length).toBe(10);
  abort.abort();
  await Promise.all([streams.aborted, streams.cancelled]);
});

test("a reader that stands still holds the stream back", async () => {
  const socket = await new Promise<Socket>((resolve) => {
    const opened = connect({ path }, () => resolve(opened));
  });
  socket.pause();
  socket.write("GET /flood HTTP/1.1\r\nHost: x\r\n\r\n");
  const produced = await atRest();
  expect(produced).toBeGreaterThan(0);
  expect(produced).toBeLessThan(4 * MEGABYTE);
  socket.destroy();
  await Promise.all([streams.aborted, streams.cancelled]);
});

test("a stream that breaks is not taken for a whole one", async () => {
  const response = await ask("/broken");
  expect(response.status).toBe(200);
  await expect(response.text()).rejects.toThrow();
});

test("close answers what was asked, on a connection that was just made, too", async () => {
  const release = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const own = await listenApi(`unix://${folder}/slow.sock`, async (request) => {
    if (request.url.endsWith("/now")) return Response.json({});
    asked.resolve();
    await release.promise;
    return Response.json({ done: true });
  });
  const answer = fetch("http://flt/", { unix: `${folder}/slow.sock` }).then((response) => response.json());
  await asked.promise;
  const late = connect({ path: `${folder}/slow.sock` });
  await new Promise<void>((resolve) => late.once("connect", resolve));
  const said = new Promise<string>((resolve) => late.once("data", (chunk) => resolve(chunk.toString())));
  // Made after that one, and served: so that one was accepted.
  expect((await fetch("http://flt/now", { unix: `${folder}/slow.sock` })).status).toBe(200);
  const closed = own.close();
  late.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  release.resolve();
  expect(await answer).toEqual({ done: true });
  expect(await said).toStartWith("HTTP/1.1 200 ");
  await closed;
});

test("close ends what is under way", async () => {
  const own = await listenApi(`unix://${folder}/own.sock`, handle);
  const response = await fetch("http://flt/stream", { unix: `${folder}/own.sock` });
  const reading = response.text().catch((error: unknown) => error);
  await own.close();
  await streams.aborted;
  expect(await reading).toBeInstanceOf(Error);
});

test("a client that stops in the middle of its body is not waited for; one that only listens is", async () => {
  const heard = Promise.withResolvers<unknown>();
  const connections = new HttpConnections(async (request) => {
    if (request.method === "GET") return endless(request, 10);
    await request.bytes().catch((error: unknown) => heard.resolve(error));
    return new Response(null, { status: 204 });
  }, 150);
  const server = createServer((socket) => connections.take(socket));
  const own = `${folder}/idle.sock`;
  await new Promise<void>((resolve) => server.listen(own, resolve));
  const listening = connect(own);
  listening.write("GET /stream HTTP/1.1\r\nHost: flt\r\n\r\n");
  await new Promise<void>((resolve) => listening.once("data", () => resolve()));
  let isListening = true;
  listening.on("close", () => {
    isListening = false;
  });
  const stalled = connect(own);
  stalled.on("error", () => undefined);
  const closed = new Promise<void>((resolve) => stalled.once("close", () => resolve()));
  stalled.write("POST /echo HTTP/1.1\r\nHost: flt\r\nContent-Length: 100\r\n\r\nhalf");
  await closed;
  expect(String(await heard.promise)).toContain("it breaks off before its end");
  expect(isListening).toBe(true);
  listening.destroy();
  server.close();
  connections.close();
}, 3_000);

/** Writes one piece after the other, until the server has had enough of it. */
async function drip(own: string, head: string, piece: string): Promise<void> {
  const socket = connect(own);
  socket.on("error", () => undefined);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.write(head);
  const dripping = setInterval(() => socket.write(piece), 10);
  await closed;
  clearInterval(dripping);
}

test("a client that drips its request, head or body, has no more time than a silent one", async () => {
  const connections = new HttpConnections(async (request) => new Response(await request.bytes()), 150);
  const server = createServer((socket) => connections.take(socket));
  const own = `${folder}/drip.sock`;
  await new Promise<void>((resolve) => server.listen(own, resolve));
  await drip(own, "GET / HTTP/1.1\r\nHost: flt\r\n", "X: y\r\n");
  await drip(own, "GET / HTTP/1.1\r\nHost: flt\r\n\r\n", "\r\n");
  await drip(own, "POST /echo HTTP/1.1\r\nHost: flt\r\nContent-Length: 9000\r\n\r\n", "x");
  server.close();
  connections.close();
}, 3_000);

test("what was asked in good order is answered before what follows it is refused", async () => {
  const good = "GET /first HTTP/1.1\r\nHost: x\r\n\r\n";
  const statuses = async (rest: string) => (await raw(good + rest, /$^/)).match(/HTTP\/1.1 \d+/g);
  expect(await statuses("no request\r\n\r\n")).toEqual(["HTTP/1.1 200", "HTTP/1.1 400"]);
  expect(await statuses("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n")).toEqual(["HTTP/1.1 200", "HTTP/1.1 405"]);
  const twice = "PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhey";
  expect(await statuses(twice)).toEqual(["HTTP/1.1 200", "HTTP/1.1 400"]);
});

test("an answer that closes the connection is not lost to a client that is still talking", async () => {
  const head = "PUT /unread HTTP/1.0\r\nContent-Length: 9000000\r\n\r\n";
  expect(await raw(head + "x".repeat(MEGABYTE), /$^/)).toStartWith("HTTP/1.1 415 ");
  const last = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  expect(await raw(last + "x".repeat(MEGABYTE), /$^/)).toStartWith("HTTP/1.1 200 ");
});

test("the path is the request line's, whatever the host is called", async () => {
  expect(await raw("GET /seen HTTP/1.1\r\nHost: x/other?\r\n\r\n", /\}$/)).toContain("http://localhost/seen");
});
