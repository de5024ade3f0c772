/**
 * One gRPC exchange on an HTTP/2 stream: messages in, messages out, one outcome.
 *
 * Invariants.
 * - `onEnd` is called once, after the last message: null for status 0, or the reason.
 * - After cancel() nothing is called any more.
 * - A paused stream takes at most one flow-control window more; then the server waits.
 *
 * Not here. Deadlines and who may use which connection (connection.ts).
 *
 * @module
 */
import type { ClientHttp2Stream, IncomingHttpHeaders, IncomingHttpStatusHeader } from "node:http2";
import { constants } from "node:http2";
import { reasonOf } from "../../lib/log.ts";
import { FrameReader, frame } from "./frames.ts";
import { decodeStatusMessage, GrpcError, Status } from "./status.ts";

export interface StreamEvents {
  onMessage(message: Uint8Array): void;
  onEnd(error: GrpcError | null): void;
}

/** What a stream has to know about its connection. */
export interface StreamHost {
  heard(): void;
  /** Once for each stream: it ended, or was cancelled. */
  over(stream: GrpcStream): void;
  /** Why the connection ended, when it did. */
  readonly endReason: string | undefined;
}

export class GrpcStream {
  readonly #stream: ClientHttp2Stream;
  readonly #host: StreamHost;
  readonly #events: StreamEvents;
  readonly #reader: FrameReader;
  #status: number | undefined;
  #message = "";
  #failure: GrpcError | undefined;
  #errorText: string | undefined;
  #isOver = false;

  constructor(stream: ClientHttp2Stream, host: StreamHost, events: StreamEvents, messageBytesMax: number) {
    this.#stream = stream;
    this.#host = host;
    this.#events = events;
    this.#reader = new FrameReader(messageBytesMax);
    stream.on("response", (headers) => this.#response(headers));
    stream.on("trailers", (headers) => this.#takeStatus(headers));
    stream.on("data", (piece: Uint8Array) => this.#data(piece));
    stream.on("error", (error) => {
      this.#errorText = reasonOf(error);
    });
    // A server ends a call with its trailers, whatever this side still has to say: its half is all there is to wait for.
    stream.on("end", () => {
      this.finish();
      if (!stream.writableEnded) stream.close();
    });
    stream.on("close", () => this.finish());
  }

  send(message: Uint8Array): void {
    if (!this.#isOver) this.#stream.write(frame(message));
  }

  /** No more messages from this side. */
  end(message: Uint8Array): void {
    if (!this.#isOver) this.#stream.end(frame(message));
  }

  pause(): void {
    this.#stream.pause();
  }
  resume(): void {
    this.#stream.resume();
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stream.close(constants.NGHTTP2_CANCEL);
    this.#host.over(this);
  }

  /** The stream, or its connection, is over: says how it went. */
  finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#host.over(this);
    this.#events.onEnd(this.#outcome());
  }

  #response(headers: IncomingHttpHeaders & IncomingHttpStatusHeader): void {
    this.#host.heard();
    this.#takeStatus(headers);
    if (this.#status !== undefined) return;
    const httpStatus = headers[":status"];
    const type = headers["content-type"] ?? "";
    if (httpStatus === 200 && type.startsWith("application/grpc")) return;
    const what = httpStatus === 200 ? `content of type "${type}"` : `HTTP status ${httpStatus}`;
    this.#fail(new GrpcError(Status.unavailable, `it answered with ${what}, not with gRPC`, "no-answer"));
  }

  #takeStatus(headers: IncomingHttpHeaders): void {
    this.#host.heard();
    const status = headers["grpc-status"];
    if (status === undefined) return;
    this.#status = Number(status);
    this.#message = decodeStatusMessage(String(headers["grpc-message"] ?? ""));
  }

  #data(piece: Uint8Array): void {
    this.#host.heard();
    if (this.#isOver || this.#failure !== undefined) return;
    try {
      for (const message of this.#reader.push(piece)) {
        this.#events.onMessage(message);
        if (this.#isOver) return;
      }
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      this.#fail(error);
    }
  }

  #fail(error: GrpcError): void {
    this.#failure ??= error;
    this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  #outcome(): GrpcError | null {
    if (this.#failure !== undefined) return this.#failure;
    if (this.#status === Status.ok) {
      return this.#reader.isMidway
        ? new GrpcError(Status.internal, "the answer ended in the middle of a message", "no-answer")
        : null;
    }
    if (this.#status !== undefined) return new GrpcError(this.#status, this.#message, "answered");
    // Also what a GOAWAY did not cover: node:http2 resets those streams so.
    if (this.#stream.rstCode === constants.NGHTTP2_REFUSED_STREAM) {
      return new GrpcError(Status.unavailable, "the server turned the call away", "not-sent");
    }
    const reason = this.#host.endReason ?? this.#errorText ?? `stream reset with code ${this.#stream.rstCode}`;
    return new GrpcError(Status.unavailable, `the connection was lost: ${reason}`, "no-answer");
  }
}
