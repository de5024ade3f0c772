/**
 * One HTTP/2 connection to one gRPC server: calls with deadlines, streams, and a pulse.
 *
 * Idea. gRPC is small enough to speak by hand on node:http2 (frames.ts, status.ts, stream.ts). Beside grpc-js it took half the CPU
 * a call (75 to 90 µs, 120 to 180; 64 in flight) and a third of it until the first answer, and every failure tells how sure it is
 * that nothing was done.
 *
 * Invariants.
 * - A call ends: by its answer, its deadline, its signal, or with the connection.
 * - `usable` never becomes true again; a connection that was told to go away takes no new call, but ends its open ones.
 * - setLocalWindowSize is never called: in Bun 1.4.5 it stops the flow of data after one window.
 *
 * Not here. Which server (servers.ts); what a message means.
 *
 * @module
 */
import { type ClientHttp2Session, connect, type SecureClientSessionOptions } from "node:http2";
import type { Clock } from "../../lib/clock.ts";
import { reasonOf } from "../../lib/log.ts";
import { VERSION } from "../../lib/version.ts";
import { Pulse } from "./pulse.ts";
import { GrpcError, grpcTimeout, Status } from "./status.ts";
import { GrpcStream, type StreamEvents, type StreamHost } from "./stream.ts";

export interface ConnectOptions {
  /** "http://host:port" or "https://host:port". */
  readonly url: string;
  /** For https: what node:tls takes. */
  readonly tls: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** The connection is over, streams and all. */
  readonly onEnd: (connection: Connection) => void;
}

export interface GrpcCallOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** What the server may send on a stream before this side has read it: a thousand units' worth of events. */
const STREAM_WINDOW_BYTES = 1_048_576;
/** The largest answer that is taken. etcd's own client takes two gigabytes; nobody here asks for that at once. */
export const ANSWER_BYTES_MAX = 268_435_456;

export class Connection implements StreamHost {
  readonly url: string;
  readonly #session: ClientHttp2Session;
  readonly #clock: Clock;
  readonly #onEnd: () => void;
  readonly #pulse: Pulse;
  readonly #streams = new Set<GrpcStream>();
  readonly #leaving = Promise.withResolvers<string>();
  #endReason: string | undefined;
  #retireReason: string | undefined;

  private constructor(url: string, session: ClientHttp2Session, clock: Clock, onEnd: () => void) {
    this.url = url;
    this.#onEnd = onEnd;
    this.#session = session;
    this.#clock = clock;
    this.#pulse = new Pulse({
      clock,
      ping: (answered) => void session.ping((error) => error === null && answered()),
      hasStreams: () => this.#streams.size > 0,
      onSilence: (reason) => this.#end(reason),
    });
    session.on("error", (error) => this.#end(reasonOf(error)));
    session.on("close", () => this.#end("the server closed it"));
    session.on("goaway", () => this.retire("the server wants no more calls"));
  }

  /** Dials, and waits for the server's first word; throws GrpcError with the reason. */
  static open({ url, tls, clock, timeoutMs, signal, onEnd }: ConnectOptions): Promise<Connection> {
    const options: SecureClientSessionOptions = {
      settings: { initialWindowSize: STREAM_WINDOW_BYTES, enablePush: false },
      ...tls,
    };
    const session = connect(url, options);
    return new Promise((resolve, reject) => {
      const settle = () => {
        timer.cancel();
        signal.removeEventListener("abort", cancel);
        session.off("error", fail);
        session.off("close", closed);
      };
      const fail = (error: unknown) => {
        settle();
        session.on("error", () => {});
        session.destroy();
        reject(new GrpcError(Status.unavailable, reasonOf(error), "not-sent"));
      };
      const closed = () => fail(new Error("the connection was closed before the server spoke HTTP/2"));
      const cancel = () => fail(new Error("no longer wanted"));
      const timer = clock.after(timeoutMs, () => fail(new Error(`no answer within ${Math.round(timeoutMs)} ms`)));
      session.on("error", fail);
      session.on("close", closed);
      signal.addEventListener("abort", cancel);
      session.once("remoteSettings", () => {
        settle();
        const connection = new Connection(url, session, clock, () => onEnd(connection));
        resolve(connection);
      });
      if (signal.aborted) cancel();
    });
  }

  get usable(): boolean {
    return this.#retireReason === undefined && this.#endReason === undefined;
  }
  get endReason(): string | undefined {
    return this.#endReason;
  }
  /** Resolves with the reason when the connection takes no more calls. */
  get leaving(): Promise<string> {
    return this.#leaving.promise;
  }

  /** One message there, one back. Throws GrpcError. */
  call(path: string, message: Uint8Array, options: GrpcCallOptions): Promise<Uint8Array> {
    const { timeoutMs, signal } = options;
    const beganMs = this.#clock.now();
    return new Promise((resolve, reject) => {
      let answer: Uint8Array | undefined;
      const settle = () => {
        timer.cancel();
        signal?.removeEventListener("abort", abort);
      };
      const giveUp = (error: GrpcError) => {
        settle();
        stream.cancel();
        this.#forget(stream);
        reject(error);
      };
      const abort = () => giveUp(new GrpcError(Status.cancelled, "it was cancelled", "no-answer"));
      const metadata = { ...options.metadata, "grpc-timeout": grpcTimeout(timeoutMs) };
      const stream = this.open(path, metadata, {
        onMessage: (bytes) => {
          answer ??= bytes;
        },
        onEnd: (error) => {
          settle();
          if (error !== null) reject(error);
          else if (answer !== undefined) resolve(answer);
          else reject(new GrpcError(Status.internal, "the answer is empty", "no-answer"));
        },
      });
      const timer = this.#clock.after(timeoutMs, () => {
        if (this.#pulse.heardMs < beganMs) this.#pulse.suspect();
        giveUp(new GrpcError(Status.deadlineExceeded, `no answer within ${Math.round(timeoutMs)} ms`, "no-answer"));
      });
      signal?.addEventListener("abort", abort);
      stream.end(message);
      if (signal?.aborted) abort();
    });
  }

  /** A stream in both directions; the caller owns it until its end. Throws GrpcError when the connection takes none. */
  open(path: string, metadata: Readonly<Record<string, string>>, events: StreamEvents): GrpcStream {
    if (!this.usable) {
      const reason = this.#endReason ?? this.#retireReason;
      throw new GrpcError(Status.unavailable, `the connection was lost: ${reason}`, "not-sent");
    }
    const stream = new GrpcStream(
      this.#session.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        te: "trailers",
        "user-agent": `flt/${VERSION}`,
        ...metadata,
      }),
      this,
      {
        onMessage: (message) => events.onMessage(message),
        onEnd: (error) => {
          this.#forget(stream);
          events.onEnd(error);
        },
      },
      ANSWER_BYTES_MAX,
    );
    this.#streams.add(stream);
    return stream;
  }

  /** Takes no new calls; closes when the open ones are done. */
  retire(reason: string): void {
    this.#retireReason ??= reason;
    this.#leaving.resolve(reason);
    this.#closeWhenIdle();
  }

  /** Ends it now, with all that is open on it. */
  close(reason: string): void {
    this.#end(reason);
  }

  heard(): void {
    this.#pulse.heard();
  }

  #forget(stream: GrpcStream): void {
    this.#streams.delete(stream);
    this.#closeWhenIdle();
  }

  #closeWhenIdle(): void {
    if (this.#retireReason !== undefined && this.#streams.size === 0) this.#end(this.#retireReason);
  }

  #end(reason: string): void {
    if (this.#endReason !== undefined) return;
    this.#endReason = reason;
    this.#pulse.stop();
    this.#session.destroy();
    for (const stream of [...this.#streams]) stream.finish();
    this.#leaving.resolve(reason);
    this.#onEnd();
  }
}
