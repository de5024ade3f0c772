/**
 * One watch on etcd, on an HTTP/2 stream of its own.
 *
 * Problem. etcd can carry many watches on one stream, but then they share its flow control, its token and its progress: the
 * slowest holds up all of them, and progress is told only when every watch of the stream has caught up.
 * Idea. One stream for each watch, all on one connection. A consumer that sleeps lets its queue fill; then this side stops
 * reading, HTTP/2 stops the server, and etcd goes on from its history later, or says `compacted`.
 *
 *   acquire a session ─▶ create ─▶ created (ready) ─▶ events … ─▶ end: closed, compacted, unavailable
 *
 * Progress. A progress request may go unanswered while the server catches up, so it is repeated until it is answered.
 * Before 3.4.25 and 3.5.8 etcd's answer may overtake events that it covers (https://github.com/etcd-io/etcd/issues/15220); there
 * a revision counts only when a second answer follows it a round trip later, and not before a watch that began in
 * the past has been looked after by the server's loop for late watches.
 *
 * Invariants.
 * - Batches have rising revisions, each with all events of its revision; fragments are put together again.
 * - When the connection or the server's word is lost the watch ends with `unavailable`; it never starts again by itself.
 *
 * @module
 */

import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type WatchRequestSchema,
  type WatchResponse,
  WatchResponseSchema,
  Watch as WatchService,
} from "../etcd-proto/etcd_pb.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import {
  KvError,
  type Revision,
  type Watch,
  type WatchBatch,
  type WatchEvent,
  type WatchRequest,
} from "../store/kv.ts";
import { type Decoder, revisionOf, toNumber } from "./decode.ts";
import { watchMessage } from "./encode.ts";
import { closedError, isLeaderless, toKvError } from "./errors.ts";
import { GrpcError, Status } from "./grpc/status.ts";
import type { GrpcStream } from "./grpc/stream.ts";
import { decodeMessage, encodeRequest, methodPath } from "./rpc.ts";
import type { Session } from "./session.ts";
import { WatchQueue } from "./watch-queue.ts";

export interface WatchHost {
  readonly clock: Clock;
  readonly decoder: Decoder;
  /** How long it may take until the watch is placed. */
  readonly timeoutMs: number;
  acquire(options: { readonly timeoutMs: number; readonly signal: AbortSignal }): Promise<Session>;
  /** What every call carries: the token, and that a server without a leader is to say so. */
  metadata(): Readonly<Record<string, string>>;
  distrust(session: Session, reason: string): void;
  /** A refusal may be the token's fault: true when there is a new one, and trying again makes sense. */
  renewToken(session: Session, refused: string | undefined): Promise<boolean>;
  release(watch: RemoteWatch): void;
}

const PROGRESS_REPEAT_MIN_MS = 100;
const PROGRESS_REPEAT_MAX_MS = 1_000;
/** The server looks after watches that begin in the past every 100 ms. */
const CATCH_UP_MS = 300;
const CREATE_TRIES_MAX = 2;

export class RemoteWatch implements Watch {
  readonly ready: Promise<Revision>;
  readonly #request: WatchRequest;
  readonly #host: WatchHost;
  readonly #queue: WatchQueue;
  readonly #placed = Promise.withResolvers<Revision>();
  readonly #closing = new AbortController();
  #session: Session | undefined;
  #stream: GrpcStream | undefined;
  #isPlaced = false;
  #isOver = false;
  /** The last revision whose events are queued. */
  #reached: Revision = 0;
  /** Events of a revision that may go on in the next fragment. */
  #partial: WatchEvent[] = [];
  #wantsProgress = false;
  #progressNotBeforeMs = 0;
  #progressClaim: Revision | undefined;
  #progressTimer: Timer | undefined;

  constructor(request: WatchRequest, host: WatchHost) {
    this.#request = request;
    this.#host = host;
    this.#queue = new WatchQueue(() => this.#stream?.resume());
    this.ready = this.#placed.promise;
    // A watch that nobody waits for fails in its iteration.
    this.ready.catch(() => {});
  }

  /** Places it; settles when that succeeded or failed, never throws a KvError. */
  async start(): Promise<void> {
    const { clock, timeoutMs } = this.#host;
    const deadlineMs = clock.now() + timeoutMs;
    try {
      for (let tries = 1; !this.#isOver && !this.#isPlaced; tries++) {
        const session = await this.#host.acquire({ timeoutMs: deadlineMs - clock.now(), signal: this.#closing.signal });
        const metadata = this.#host.metadata();
        const refusal = await this.#place(session, metadata, deadlineMs - clock.now());
        if (refusal === undefined) break;
        const again = tries < CREATE_TRIES_MAX && (await this.#host.renewToken(session, metadata.token));
        if (!again) this.#fail(unavailable(`etcd says: ${refusal}`));
      }
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      this.#fail(toKvError("Watch", error, false));
    }
  }

  requestProgress(): void {
    if (this.#isOver || this.#wantsProgress) return;
    this.#wantsProgress = true;
    if (this.#isPlaced) this.#askProgress(PROGRESS_REPEAT_MIN_MS);
  }

  close(): void {
    this.#finish();
    this.#queue.close();
  }

  /** The store is closed. */
  abandon(): void {
    this.#fail(closedError("Watch"));
  }

  [Symbol.asyncIterator](): AsyncIterator<WatchBatch> {
    return {
      next: () => this.#queue.next(),
      return: () => {
        this.close();
        return this.#queue.next();
      },
    };
  }

  /** Creates it on the server. @returns Why the server refused, when another token might help. */
  #place(session: Session, metadata: Readonly<Record<string, string>>, timeoutMs: number): Promise<string | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
    const stream = session.connection.open(methodPath(WatchService.method.watch), metadata, {
      onMessage: (bytes) => {
        const response = decodeMessage(WatchResponseSchema, bytes);
        if (this.#isPlaced) return this.#take(response, bytes.length);
        if (response.canceled && response.compactRevision === 0n) {
          stream.cancel();
          resolve(response.cancelReason || "the watch was refused");
        } else if (response.canceled) {
          this.#canceled(response);
          resolve(undefined);
        } else if (response.created) {
          this.#created(response);
          resolve(undefined);
        }
      },
      onEnd: (error) => {
        const reason = error ?? new GrpcError(Status.unavailable, "the server ended it", "no-answer");
        if (isLeaderless(reason)) this.#host.distrust(session, reason.message);
        if (this.#isPlaced) this.#fail(toKvError("Watch", reason, false));
        else reject(reason);
      },
    });
    // From here on nothing throws: the promise has its owner.
    const late = this.#host.clock.after(timeoutMs, () =>
      reject(new GrpcError(Status.deadlineExceeded, `not placed within ${Math.round(timeoutMs)} ms`, "no-answer")),
    );
    this.#session = session;
    this.#stream = stream;
    // The watch may be over by another way: the deadline, a close.
    this.#closing.signal.addEventListener("abort", () => resolve(undefined));
    this.#send({ requestUnion: { case: "createRequest", value: watchMessage(this.#request) } });
    return promise.finally(() => late.cancel());
  }

  #created(response: WatchResponse): void {
    const revision = revisionOf(response);
    this.#isPlaced = true;
    const begins = this.#request.startRevision || revision + 1;
    this.#reached = begins - 1;
    if (begins <= revision) this.#progressNotBeforeMs = this.#host.clock.now() + CATCH_UP_MS;
    this.#placed.resolve(revision);
    if (this.#wantsProgress) this.#askProgress(PROGRESS_REPEAT_MIN_MS);
  }

  #take(response: WatchResponse, bytes: number): void {
    if (response.canceled) return this.#canceled(response);
    if (response.events.length === 0) return this.#progressed(revisionOf(response));
    let weight = bytes;
    for (const one of response.events) {
      const event = this.#host.decoder.event(one);
      const revision = event.kv.modRevision;
      if (revision < (this.#partial[0]?.kv.modRevision ?? this.#reached + 1)) {
        const reason = `the server sent revision ${revision} after ${this.#reached}`;
        return this.#fail(unavailable(reason));
      }
      if (revision > (this.#partial[0]?.kv.modRevision ?? revision)) {
        this.#flush(weight);
        weight = 0;
      }
      this.#partial.push(event);
    }
    if (!response.fragment) this.#flush(weight);
    if (this.#queue.isFull) this.#stream?.pause();
  }

  #flush(bytes: number): void {
    const first = this.#partial[0];
    if (first === undefined) return;
    this.#reached = first.kv.modRevision;
    this.#queue.push({ revision: this.#reached, events: this.#partial }, bytes);
    this.#partial = [];
  }

  #canceled({ compactRevision, cancelReason }: WatchResponse): void {
    if (compactRevision === 0n) return this.#fail(unavailable(`etcd says: ${cancelReason || "canceled"}`));
    const left = toNumber(compactRevision);
    const wanted = this.#isPlaced ? this.#reached + 1 : this.#request.startRevision;
    const message = `Watch failed: revision ${wanted} was compacted away, ${left} is the oldest one left`;
    this.#fail(new KvError("compacted", message, left));
  }

  #askProgress(repeatMs: number): void {
    this.#progressTimer?.cancel();
    if (this.#isOver || !this.#wantsProgress) return;
    const { clock } = this.#host;
    const earlyMs = this.#session?.ordersProgress ? 0 : this.#progressNotBeforeMs - clock.now();
    if (earlyMs > 0) {
      this.#progressTimer = clock.after(earlyMs, () => this.#askProgress(repeatMs));
      return;
    }
    this.#send({ requestUnion: { case: "progressRequest", value: {} } });
    const nextMs = Math.min(2 * repeatMs, PROGRESS_REPEAT_MAX_MS);
    this.#progressTimer = clock.after(repeatMs, () => this.#askProgress(nextMs));
  }

  #progressed(revision: Revision): void {
    if (!this.#session?.ordersProgress && this.#progressClaim === undefined) {
      this.#progressClaim = revision;
      return this.#askProgress(PROGRESS_REPEAT_MIN_MS);
    }
    const covered = Math.max(this.#progressClaim ?? revision, this.#reached);
    this.#progressClaim = undefined;
    this.#wantsProgress = false;
    this.#progressTimer?.cancel();
    this.#queue.push({ revision: covered, events: [] }, 0);
  }

  #send(request: MessageInitShape<typeof WatchRequestSchema>): void {
    this.#stream?.send(encodeRequest(WatchService.method.watch.input, request));
  }

  #fail(error: KvError): void {
    if (this.#isOver) return;
    this.#queue.fail(error);
    this.#finish(error);
  }

  #finish(error: KvError = closedError("Watch")): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#placed.reject(error);
    this.#progressTimer?.cancel();
    this.#closing.abort();
    this.#stream?.cancel();
    this.#host.release(this);
  }
}

function unavailable(reason: string): KvError {
  return new KvError("unavailable", `Watch failed: ${reason}`);
}
