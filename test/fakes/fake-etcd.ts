/**
 * A gRPC server on loopback that answers as a test tells it to: for what a real etcd does only when it is unwell.
 *
 * Idea. A test gives a handler for each method it needs; the status that every client asks for first is answered from fields. The
 * server counts what it was asked, so that "was not repeated" can be seen.
 *
 * @module
 */

import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { DescMessage, DescMethod, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Maintenance } from "../../src/etcd-proto/etcd_pb.ts";
import { FrameReader, frame } from "../../src/remote/grpc/frames.ts";
import { Status } from "../../src/remote/grpc/status.ts";

/** HTTP/2's type of frame that ends a stream at once. */
const RST_STREAM = 3;

/** One call, as the server sees it. */
export class Exchange<I extends DescMessage, O extends DescMessage> {
  readonly headers: IncomingHttpHeaders;
  readonly stream: ServerHttp2Stream;
  readonly #method: DescMethod & { readonly output: O };
  readonly #socket: Socket;
  /** Called with each message; what came before it was set is not lost, since handlers run first. */
  onMessage: (message: MessageShape<I>) => void = () => {};

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    method: DescMethod & { readonly output: O },
    socket: Socket,
  ) {
    this.#socket = socket;
    this.stream = stream;
    this.headers = headers;
    this.#method = method;
  }

  get session(): ServerHttp2Session {
    return this.stream.session as ServerHttp2Session;
  }

  open(): void {
    if (this.stream.headersSent) return;
    this.stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  }
  /** @returns False when the client takes no more for now. */
  send(message: MessageInitShape<O>): boolean {
    return this.sendBytes(frame(toBinary(this.#method.output, create(this.#method.output, message))));
  }
  sendBytes(bytes: Uint8Array): boolean {
    this.open();
    return this.stream.write(bytes);
  }
  /** Ends it with a status; message, if one is given, first. */
  end(status: number = Status.ok, text = "", message?: MessageInitShape<O>): void {
    if (message !== undefined) this.send(message);
    const trailers = { "grpc-status": String(status), "grpc-message": encodeURIComponent(text) };
    if (!this.stream.headersSent) {
      this.stream.respond({ ":status": 200, "content-type": "application/grpc", ...trailers }, { endStream: true });
      return;
    }
    this.stream.on("wantTrailers", () => this.stream.sendTrailers(trailers));
    this.stream.end();
  }
  reset(code: number = constants.NGHTTP2_INTERNAL_ERROR): void {
    // Written by hand: Bun 1.4.5's server ends a stream whose request is complete without a code.
    const rst = Buffer.from([0, 0, 4, RST_STREAM, 0, 0, 0, 0, 0, 0, 0, 0, code]);
    rst.writeUInt32BE(this.stream.id ?? 0, 5);
    this.#socket.write(rst);
  }
}

type Handler = (exchange: Exchange<DescMessage, DescMessage>) => void;

export class FakeEtcd {
  /** What it says of itself. */
  version = "3.5.12";
  leader = 1n;
  isLearner = false;
  clusterId = 7n;
  /** How often each method was called, by its name. */
  readonly asked: Record<string, number> = {};
  readonly #server: Http2Server;
  readonly #handlers = new Map<string, { readonly method: DescMethod; readonly handle: Handler }>();
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #sockets = new Map<number, Socket>();
  #url = "";

  private constructor(settings: Settings) {
    this.#server = createServer({ settings });
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.set(socket.remotePort ?? 0, socket);
      socket.on("close", () => this.#sockets.delete(socket.remotePort ?? 0));
    });
    this.#server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("error", () => {});
      session.on("close", () => this.#sessions.delete(session));
    });
    this.#server.on("stream", (stream: ServerHttp2Stream, headers) => this.#stream(stream, headers));
    this.on(Maintenance.method.status, (exchange) => {
      const { version, leader, isLearner } = this;
      exchange.onMessage = () => exchange.end(0, "", { header: this.header(1), version, leader, isLearner });
    });
  }

  static async start(settings: Settings = {}): Promise<FakeEtcd> {
    const fake = new FakeEtcd(settings);
    await new Promise<void>((resolve) => fake.#server.listen(0, "127.0.0.1", resolve));
    fake.#url = `http://127.0.0.1:${(fake.#server.address() as AddressInfo).port}`;
    return fake;
  }

  get url(): string {
    return this.#url;
  }
  get sessionCount(): number {
    return this.#sessions.size;
  }
  header(revision: number): { clusterId: bigint; revision: bigint } {
    return { clusterId: this.clusterId, revision: BigInt(revision) };
  }

  /** From now on this method is answered so. */
  on<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { readonly input: I; readonly output: O },
    handle: (exchange: Exchange<I, O>) => void,
  ): void {
    this.#handlers.set(`/${method.parent.typeName}/${method.name}`, { method, handle: handle as never });
  }

  /** Cuts all connections, without a word. */
  cut(): void {
    for (const session of [...this.#sessions]) session.destroy();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #stream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    stream.on("error", () => {});
    const found = this.#handlers.get(String(headers[":path"]));
    if (found === undefined) {
      const trailers = { "grpc-status": String(Status.unimplemented), "grpc-message": "unknown method" };
      stream.respond({ ":status": 200, "content-type": "application/grpc", ...trailers }, { endStream: true });
      return;
    }
    this.asked[found.method.name] = (this.asked[found.method.name] ?? 0) + 1;
    const socket = this.#sockets.get(stream.session?.socket.remotePort ?? 0) as Socket;
    const exchange = new Exchange(stream, headers, found.method, socket);
    found.handle(exchange);
    const reader = new FrameReader(64 << 20);
    stream.on("data", (piece: Uint8Array) => {
      for (const bytes of reader.push(piece)) exchange.onMessage(fromBinary(found.method.input, bytes));
    });
  }
}
