/**
 * HTTP/1.1 on sockets that somebody else accepted: each request becomes a Request, each Response goes out as it is produced.
 *
 * Problem. Bun.serve and node:http's own listen() ignore a descriptor that systemd hands over, and open other ports instead.
 * Idea. node:net accepts (inherited or own sockets, unix or TCP), node:http only parses. One way for all of them, so that a
 * daemon behaves alike however its sockets were made. Measured against Bun.serve on a unix socket: 0.10 instead of 0.06 ms a
 * request, 11,000 instead of 60,000 requests a second; `flt start` sends three.
 *
 * Invariants.
 * - A response is read only as fast as its client takes it; a client that leaves aborts Request.signal and cancels the body.
 * - A request's body is read as far as the handler asks, and never beyond MAX_BODY_BYTES: then the connection ends. What comes
 *   after the answer is thrown away, for LINGER_MS.
 * - close() answers what has been asked, if that takes no longer than GRACE_MS.
 * - A connection ends IDLE_MS after it last had a request, and a request has as long to become whole, however busily its client
 *   drips; once it is whole the connection may be silent for ever (events, journal -f).
 * - Whatever follows a request, no HTTP, half a request or the client's end: the answer to that request comes first, and whole.
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";

export type HttpHandler = (request: Request) => Promise<Response>;

/** Far above what the API takes (1 MiB): it says "too large" itself, while the rest of the body goes nowhere. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** How much of a body may wait for the handler. */
const BODY_BUFFER_BYTES = 64 * 1024;
const IDLE_MS = 120_000;
/** Requests of one connection without an answer. Clients send one at a time; who sends thousands in one go wants our memory. */
const UNANSWERED_MAX = 64;
/** When the daemon ends: how long requests that have no answer yet may wait for it. Streams are ended at once. */
const GRACE_MS = 500;
/** A client that was answered before it had said everything may end its sentence: a close in the middle costs it the answer. */
const LINGER_MS = 1000;

/** Nothing that could end the host's part of a URL: the path is the request line's alone. */
const HOST_PATTERN = /^[\w.:[\]-]+$/;

/** What reading a body rejects with when its end will never come. */
export class BrokenRequestError extends Error {
  readonly code = "broken-request";
  constructor() {
    super("Cannot read the request's body: it breaks off before its end");
  }
}

interface Connection {
  /** Waits for its first request, for an answer, reads one, or nothing. */
  doing: "new" | "asking" | "reading" | "idle";
  unanswered: number;
  /** Ends the connection while a request is due. */
  timer: NodeJS.Timeout | null;
  /** The request that came last. */
  latest: IncomingMessage | null;
  /** What came after it is no HTTP: the connection ends with this once all that was asked before is answered. */
  lastWords: string | null;
}

export class HttpConnections {
  readonly #server: Server;
  readonly #handler: HttpHandler;
  readonly #idleMs: number;
  readonly #sockets = new Map<Socket, Connection>();
  #isClosing = false;

  constructor(handler: HttpHandler, idleMs = IDLE_MS) {
    this.#handler = handler;
    this.#idleMs = idleMs;
    // The idle timer below is the only one: node's would end a connection just when a client takes it up again.
    this.#server = createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, (message, reply) => {
      void this.#serve(message, reply);
    });
    this.#server.on("clientError", (_error, socket) => this.#endBroken(socket as Socket, "400 Bad Request"));
    // Nobody is connected to anywhere from here.
    this.#server.on("connect", (_message, socket) => this.#endBroken(socket as Socket, "405 Method Not Allowed"));
  }

  take(socket: Socket): void {
    const connection: Connection = { doing: "new", unanswered: 0, timer: null, latest: null, lastWords: null };
    this.#sockets.set(socket, connection);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      stopWaiting(connection);
    });
    this.#wait(socket, connection);
    // node:http calls it after the last answer of a connection.
    const endAtOnce = socket.destroySoon.bind(socket);
    socket.destroySoon = () => (this.#isClosing ? endAtOnce() : endAndLinger(socket));
    // A connection that breaks is its request's concern, which hears of it by its own close.
    socket.on("error", () => socket.destroy());
    this.#server.emit("connection", socket);
  }

  /** Ends all connections; the listener accepts no more by now. */
  close(): void {
    this.#isClosing = true;
    for (const [socket, { doing }] of this.#sockets) {
      if (doing === "idle") socket.destroy();
      else if (doing === "reading") socket.destroySoon();
    }
    if (this.#sockets.size === 0) return;
    const timer = setTimeout(() => {
      for (const socket of this.#sockets.keys()) socket.destroy();
    }, GRACE_MS);
    for (const socket of this.#sockets.keys()) {
      socket.once("close", () => {
        if (this.#sockets.size === 0) clearTimeout(timer);
      });
    }
  }

  async #serve(message: IncomingMessage, reply: ServerResponse): Promise<void> {
    const { socket } = message;
    const connection = this.#sockets.get(socket);
    if (connection === undefined || ++connection.unanswered > UNANSWERED_MAX) {
      socket.destroy();
      return;
    }
    connection.latest = message;
    // A client that stops in the middle of its body would keep the handler waiting for ever.
    connection.doing = "asking";
    const isWhole = () => {
      if (connection.doing !== "idle" && connection.latest === message) stopWaiting(connection);
    };
    this.#wait(socket, connection);
    if (bringsBody(message)) message.once("end", isWhole);
    else isWhole();
    const gone = new AbortController();
    const body = new RequestBody(message);
    reply.once("close", () => {
      body.abandon();
      if (!message.complete) endUnlessComplete(message);
      this.#rest(socket, connection);
      if (!reply.writableFinished) gone.abort();
    });
    try {
      const request = toRequest(message, body, gone.signal);
      const response = request === null ? refusal() : await this.#handler(request);
      connection.doing = "reading";
      await send(response, reply);
    } catch {
      // The answer broke off in the middle: its reader must not take it for whole. Who failed has logged it.
      socket.destroy();
    }
  }

  /** One answer is out; others may still be due on this connection. */
  #rest(socket: Socket, connection: Connection): void {
    connection.unanswered -= 1;
    if (connection.unanswered > 0) return;
    connection.doing = "idle";
    if (connection.lastWords !== null) hangUp(socket, connection);
    else if (this.#isClosing) socket.destroySoon();
    else this.#wait(socket, connection);
  }

  /** Not for silence, which a byte now and then would break: for a request, or for the rest of one. */
  #wait(socket: Socket, connection: Connection): void {
    stopWaiting(connection);
    connection.timer = setTimeout(() => socket.destroy(), this.#idleMs);
  }

  /** What was asked in good order is answered first: its client must not take this for the answer. */
  #endBroken(socket: Socket, status: string): void {
    const connection = this.#sockets.get(socket);
    if (connection === undefined) socket.destroy();
    if (connection === undefined || connection.lastWords !== null) return;
    connection.lastWords = `HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`;
    if (connection.unanswered === 0) hangUp(socket, connection);
  }
}

function stopWaiting(connection: Connection): void {
  if (connection.timer !== null) clearTimeout(connection.timer);
  connection.timer = null;
}

/** A request that broke off was answered itself, whatever its answer. */
function hangUp(socket: Socket, { latest, lastWords }: Connection): void {
  if (lastWords !== null && socket.writable && latest?.complete !== false) socket.write(lastWords);
  endAndLinger(socket);
}

/** Says no more, and hears the client out for a while: bytes that a closed socket had not read cost it the answer. */
function endAndLinger(socket: Socket): void {
  if (!socket.writableEnded) socket.end();
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once("close", () => clearTimeout(timer));
}

function endUnlessComplete(message: IncomingMessage): void {
  const timer = setTimeout(() => {
    if (!message.complete) message.socket.destroy();
  }, LINGER_MS);
  message.once("end", () => clearTimeout(timer));
  message.socket.once("close", () => clearTimeout(timer));
}

/** Whether a body will be read: what comes with a GET or HEAD is not looked at. */
function bringsBody({ method, headers }: IncomingMessage): boolean {
  const isAnnounced = headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined;
  return isAnnounced && method !== "GET" && method !== "HEAD";
}

/** null for what HTTP allows and no Request can say. */
function toRequest(message: IncomingMessage, body: RequestBody, signal: AbortSignal): Request | null {
  const { method = "GET", headers, rawHeaders } = message;
  const named = headers.host ?? "";
  const host = HOST_PATTERN.test(named) && URL.canParse(`http://${named}/`) ? named : "localhost";
  const target = message.url ?? "/";
  const url = target.startsWith("/") ? `http://${host}${target}` : target;
  if (!URL.canParse(url)) return null;
  const fields = new Headers();
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    fields.append(rawHeaders[index] ?? "", rawHeaders[index + 1] ?? "");
  }
  const init = { method, headers: fields, signal };
  const request = bringsBody(message) ? new Request(url, { ...init, body: body.stream() }) : new Request(url, init);
  // Bun makes a GET of a method that it does not know.
  return request.method === method ? request : null;
}

function refusal(): Response {
  const message = "Cannot read the request: its method or its target is none that is served here";
  return Response.json({ error: { code: 405, message } }, { status: 405 });
}

async function send(response: Response, reply: ServerResponse): Promise<void> {
  const headers: Record<string, string> = Object.fromEntries(response.headers);
  if (response.body === null) {
    reply.writeHead(response.status, headers).end();
    return;
  }
  // What is JSON is whole, and said to be so long; anything else may be a stream.
  if (headers["content-type"]?.startsWith("application/json")) {
    const bytes = new Uint8Array(await response.arrayBuffer());
    reply.writeHead(response.status, { ...headers, "content-length": String(bytes.length) }).end(bytes);
    return;
  }
  reply.writeHead(response.status, headers);
  reply.flushHeaders();
  const reader = response.body.getReader();
  const cancel = () => void reader.cancel().catch(() => {});
  reply.once("close", cancel);
  for (;;) {
    const step = await reader.read();
    if (step.done || reply.destroyed) break;
    if (!reply.write(step.value)) await drained(reply);
  }
  reply.off("close", cancel);
  reply.end();
}

/** Resolves when there is room again, or nobody to write to. */
function drained(reply: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      reply.off("drain", settle);
      reply.off("close", settle);
      resolve();
    };
    reply.on("drain", settle);
    reply.on("close", settle);
    if (reply.destroyed) settle();
  });
}

/** The body of one request: read when somebody asks for it, thrown away when nobody does any more. */
class RequestBody {
  readonly #message: IncomingMessage;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #size = 0;

  constructor(message: IncomingMessage) {
    this.#message = message;
  }

  stream(): ReadableStream<Uint8Array> {
    const message = this.#message;
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
          message.on("data", (chunk: Buffer) => this.#take(chunk));
          message.once("end", () => this.#settle((open) => open.close()));
          message.once("error", () => this.#break());
          message.once("close", () => this.#break());
          message.pause();
        },
        pull: () => {
          message.resume();
        },
        cancel: () => this.drain(),
      },
      { highWaterMark: BODY_BUFFER_BYTES, size: (chunk) => chunk?.length ?? 0 },
    );
  }

  /** The connection is gone, or the answer out: whoever still waits for the rest is told, and does not wait for ever. */
  abandon(): void {
    this.#break();
    this.drain();
  }

  /** Lets the rest pass, so that the next request of the connection can be read. */
  drain(): void {
    this.#controller = null;
    this.#message.resume();
  }

  #take(chunk: Buffer): void {
    this.#size += chunk.length;
    if (this.#size > MAX_BODY_BYTES) {
      this.#message.socket.destroy();
      return;
    }
    this.#controller?.enqueue(new Uint8Array(chunk));
    if (this.#controller !== null && (this.#controller.desiredSize ?? 0) <= 0) this.#message.pause();
  }

  #break(): void {
    this.#settle((open) => open.error(new BrokenRequestError()));
  }

  #settle(end: (open: ReadableStreamDefaultController<Uint8Array>) => void): void {
    const open = this.#controller;
    this.#controller = null;
    if (open !== null) end(open);
  }
}
