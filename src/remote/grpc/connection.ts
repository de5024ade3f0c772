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
import { type ClientHttp2Session, connect, type SecureClientSessionOptions, type Settings } from "node:http2";
import type { Clock } from "../../lib/clock.ts";
import { reasonOf } from "../../lib/log.ts";
import { VERSION } from "../../lib/version.ts";
import { Pulse } from "./pulse.ts";
import { SESSION_MEMORY_MB, Slots } from "./slots.ts";
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
const STREAMS_UNLIMITED = 0xffff_ffff;

type Metadata = Readonly<Record<string, string>>;

export class Connection implements StreamHost {
  readonly url: string;
  readonly #session: ClientHttp2Session;
  readonly #clock: Clock;
  readonly #onEnd: () => void;
  readonly #pulse: Pulse;
  readonly #slots: Slots;
  readonly #streams = new Set<GrpcStream>();
  /** Those of them that open() gave away. */
  readonly #lasting = new Set<GrpcStream>();
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
    this.#slots = new Slots(clock, streamsMax(session.remoteSettings));
    session.on("remoteSettings", (settings) => {
      this.#slots.limit = streamsMax(settings);
    });
    session.on("goaway", () => this.retire("the server wants no more calls"));
  }

  /** Dials, and waits for the server's first word; throws GrpcError with the reason. */
  static open({ url, tls, clock, timeoutMs, signal, onEnd }: ConnectOptions): Promise<Connection> {
    const options: SecureClientSessionOptions = {
      settings: { initialWindowSize: STREAM_WINDOW_BYTES, enablePush: false },
      maxSessionMemory: SESSION_MEMORY_MB,
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
  async call(path: string, message: Uint8Array, options: GrpcCallOptions): Promise<Uint8Array> {
    const { timeoutMs, signal } = options;
    const beganMs = this.#clock.now();
    await this.#slots.take(message.length, timeoutMs, signal);
    try {
      return await this.#exchange(path, message, { ...options, timeoutMs: timeoutMs + beganMs - this.#clock.now() });
    } finally {
      this.#slots.free(message.length);
    }
  }

  /** A stream that stays open in both directions, the caller's until its end. Throws GrpcError when there can be none. */
  open(path: string, metadata: Metadata, events: StreamEvents): GrpcStream {
    this.#slots.takeLasting();
    try {
      const stream = this.#open(path, metadata, events);
      this.#lasting.add(stream);
      return stream;
    } catch (error) {
      this.#slots.freeLasting();
      throw error;
    }
  }

  #exchange(path: string, message: Uint8Array, options: GrpcCallOptions): Promise<Uint8Array> {
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
        reject(error);
      };
      const abort = () => giveUp(new GrpcError(Status.cancelled, "it was cancelled", "no-answer"));
      const metadata = { ...options.metadata, "grpc-timeout": grpcTimeout(timeoutMs) };
      const stream = this.#open(path, metadata, {
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

  /** Takes no new calls; closes when the open ones are done. */
  retire(reason: string): void {
    this.#retireReason ??= reason;
    this.#slots.close(this.#lostError());
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
  over(stream: GrpcStream): void {
    this.#streams.delete(stream);
    if (this.#lasting.delete(stream)) this.#slots.freeLasting();
    this.#closeWhenIdle();
  }

  #open(path: string, metadata: Metadata, events: StreamEvents): GrpcStream {
    if (!this.usable) throw this.#lostError();
    const request = this.#session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      "user-agent": `flt/${VERSION}`,
      ...metadata,
    });
    const stream = new GrpcStream(request, this, events, ANSWER_BYTES_MAX);
    this.#streams.add(stream);
    return stream;
  }

  #lostError(): GrpcError {
    const reason = this.#endReason ?? this.#retireReason;
    return new GrpcError(Status.unavailable, `the connection was lost: ${reason}`, "not-sent");
  }

  #closeWhenIdle(): void {
    if (this.#retireReason !== undefined && this.#streams.size === 0) this.#end(this.#retireReason);
  }

  #end(reason: string): void {
    if (this.#endReason !== undefined) return;
    this.#endReason = reason;
    this.#pulse.stop();
    this.#slots.close(this.#lostError());
    this.#session.destroy();
    for (const stream of [...this.#streams]) stream.finish();
    this.#leaving.resolve(reason);
    this.#onEnd();
  }
}

/** What says nothing has no limit. */
function streamsMax({ maxConcurrentStreams = STREAMS_UNLIMITED }: Settings): number {
  return maxConcurrentStreams;
}
