/**
 * Calls over TCP, the answering side: finds the handler, carries answers, chunks and refusals back.
 *
 * Invariants.
 * - A handler's signal is aborted when its caller cancels or its connection ends; a stream's iterator is always returned.
 * - A stream sends no more than the reader has given credit for: a reader that sleeps costs STREAM_WINDOW_BYTES, not more.
 * - At most MAX_CALLS_UNDER_WAY a connection; beyond that calls are refused with `busy`.
 * - Who has not said hello within HELLO_TIMEOUT_MS, or was refused, is hung up on; until then only a short frame is believed.
 * - A caller that takes no answers is hung up on when MAX_UNREAD_BYTES of them wait.
 *
 * @module
 */
import type { Socket } from "node:net";
import type { CallHandler } from "../lib/calls.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import { VERSION } from "../lib/version.ts";
import {
  CALL_VERSION,
  decodeFields,
  decodeNumber,
  decodeRequest,
  encodeFields,
  encodeFrame,
  type Frame,
  FrameError,
  FrameReader,
  MAX_FRAME_BYTES,
  oneShortLine,
  STREAM_WINDOW_BYTES,
} from "./call-frames.ts";
import { Refusals } from "./refusals.ts";

const MAX_CALLS_UNDER_WAY = 4096;
/** Type and call id, which a frame's length counts too. */
const FRAME_OVERHEAD_BYTES = 5;
/** A stranger holds a socket for so long at most. */
const HELLO_TIMEOUT_MS = 5000;
/** Cluster, version, and whatever a later hello adds. */
const MAX_HELLO_BYTES = 4096;
/** The largest answer and the windows of some two hundred streams. */
const MAX_UNREAD_BYTES = 4 * MAX_FRAME_BYTES;

export interface CallsServerOptions {
  readonly clusterId: string;
  readonly handlers: ReadonlyMap<string, CallHandler>;
  readonly log: Log;
  /** Default: HELLO_TIMEOUT_MS. */
  readonly helloTimeoutMs?: number;
}

/** Takes inbound call connections from the peer listener. */
export class CallsServer {
  readonly #options: CallsServerOptions;
  readonly #refusals: Refusals;

  constructor(options: CallsServerOptions) {
    this.#options = options;
    this.#refusals = new Refusals(options.log);
  }

  accept(socket: Socket, head: Uint8Array): void {
    const connection = new ServedConnection(socket, this.#options, this.#refusals);
    connection.feed(head);
    socket.on("data", (chunk: Buffer) => connection.feed(chunk));
    socket.on("close", () => connection.end());
  }
}

interface Serving {
  readonly abort: AbortController;
  credit: number;
  onCredit: (() => void) | null;
}

class ServedConnection {
  readonly #socket: Socket;
  readonly #options: CallsServerOptions;
  readonly #refusals: Refusals;
  readonly #reader = new FrameReader(MAX_HELLO_BYTES);
  readonly #serving = new Map<number, Serving>();
  /** Runs until the hello was accepted: who is refused, or says nothing, does not keep the socket. */
  readonly #helloTimer: NodeJS.Timeout;
  #stage: "strange" | "greeted" | "refused" = "strange";

  constructor(socket: Socket, options: CallsServerOptions, refusals: Refusals) {
    this.#socket = socket;
    this.#options = options;
    this.#refusals = refusals;
    this.#helloTimer = setTimeout(() => socket.destroy(), options.helloTimeoutMs ?? HELLO_TIMEOUT_MS);
  }

  feed(chunk: Uint8Array): void {
    if (this.#stage === "refused") return;
    try {
      for (const frame of this.#reader.push(chunk)) {
        this.#onFrame(frame);
        if (this.#hasEnded()) return;
      }
    } catch (error) {
      const fields = { from: this.#socket.remoteAddress ?? "", reason: reasonOf(error) };
      if (this.#stage === "greeted")
        this.#options.log.warning("Closed a peer's connection: it broke the protocol", fields);
      else this.#refusals.tell("Refused a connection: it broke the protocol before it said who it is", fields);
      this.#socket.destroy();
    }
  }

  end(): void {
    clearTimeout(this.#helloTimer);
    for (const serving of this.#serving.values()) {
      serving.abort.abort();
      serving.onCredit?.();
    }
    this.#serving.clear();
  }

  #hasEnded(): boolean {
    return this.#stage === "refused" || this.#socket.destroyed;
  }

  #onFrame(frame: Frame): void {
    if (frame.type === "hello") return this.#greet(frame.payload);
    if (this.#stage !== "greeted") return this.#refuseConnection("The connection did not begin with a hello");
    if (frame.type === "unary" || frame.type === "stream") return this.#serve(frame);
    const serving = this.#serving.get(frame.id);
    if (serving === undefined) return;
    if (frame.type === "cancel") serving.abort.abort();
    else if (frame.type === "credit") serving.credit += decodeNumber(frame.payload);
    serving.onCredit?.();
  }

  #greet(payload: Uint8Array): void {
    const { cluster, version } = decodeFields(payload);
    if (cluster !== this.#options.clusterId) {
      return this.#refuseConnection(
        `Refused: the caller belongs to cluster "${cluster ?? ""}", this daemon to "${this.#options.clusterId}"; check initial_cluster on both`,
      );
    }
    if (version !== String(CALL_VERSION)) {
      return this.#refuseConnection(
        `Refused: the caller speaks version ${version ?? "?"} of the protocol, this daemon (flt ${VERSION}) version ${CALL_VERSION}; upgrade the older of the two`,
      );
    }
    this.#stage = "greeted";
    this.#reader.limit = MAX_FRAME_BYTES;
    clearTimeout(this.#helloTimer);
  }

  #refuseConnection(message: string): void {
    this.#stage = "refused";
    // Words of a stranger's are in it.
    const reason = oneShortLine(message);
    this.#refusals.tell("Refused a peer's connection", { from: this.#socket.remoteAddress ?? "", reason });
    this.#socket.end(encodeFrame("refusal", 0, encodeFields({ code: "refused", message: reason })));
  }

  #serve(frame: Frame): void {
    const { method, body } = decodeRequest(frame.payload);
    const handler = this.#options.handlers.get(method);
    if (handler === undefined || handler.kind !== frame.type) {
      return this.#refuse(
        frame.id,
        "unknown-method",
        `No ${frame.type} method "${method}" here: is this daemon older?`,
      );
    }
    if (this.#serving.size >= MAX_CALLS_UNDER_WAY) {
      return this.#refuse(frame.id, "busy", `Refused ${method}: ${MAX_CALLS_UNDER_WAY} calls are under way already`);
    }
    if (this.#serving.has(frame.id)) throw new FrameError(`Call ${frame.id} is under way already`);
    const serving: Serving = { abort: new AbortController(), credit: STREAM_WINDOW_BYTES, onCredit: null };
    this.#serving.set(frame.id, serving);
    void this.#work(frame.id, method, handler, body, serving)
      .catch((error: unknown) => this.#refuse(frame.id, codeOf(error), reasonOf(error)))
      .finally(() => this.#serving.delete(frame.id));
  }

  /** Async as a whole: a handler that throws before its first promise is refused like any other. */
  async #work(id: number, method: string, handler: CallHandler, body: Uint8Array, serving: Serving): Promise<void> {
    const context = { signal: serving.abort.signal };
    if (handler.kind === "unary") this.#answer(id, method, await handler.handle(body, context));
    else await this.#pump(id, serving, handler.handle(body, context));
  }

  async #pump(id: number, serving: Serving, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of chunks) {
      while (serving.credit <= 0 && !serving.abort.signal.aborted) {
        await new Promise<void>((resolve) => {
          serving.onCredit = resolve;
        });
        serving.onCredit = null;
      }
      if (serving.abort.signal.aborted) return;
      serving.credit -= chunk.length;
      for (let at = 0; at < chunk.length; at += STREAM_WINDOW_BYTES) {
        this.#write(encodeFrame("chunk", id, chunk.subarray(at, at + STREAM_WINDOW_BYTES)));
      }
    }
    this.#write(encodeFrame("end", id));
  }

  #answer(id: number, method: string, answer: Uint8Array): void {
    if (answer.length <= MAX_FRAME_BYTES - FRAME_OVERHEAD_BYTES) this.#write(encodeFrame("answer", id, answer));
    else
      this.#refuse(
        id,
        "answer-too-large",
        `Answering ${method} failed: ${answer.length} bytes are too many; ask for less`,
      );
  }

  #refuse(id: number, code: string, message: string): void {
    this.#write(encodeFrame("refusal", id, encodeFields({ code, message })));
  }

  #write(bytes: Uint8Array): void {
    if (this.#socket.destroyed || !this.#socket.writable) return;
    this.#socket.write(bytes);
    if (this.#socket.writableLength <= MAX_UNREAD_BYTES) return;
    this.#options.log.warning("Closed a peer's connection: it reads no answers", {
      from: this.#socket.remoteAddress ?? "",
    });
    this.#socket.destroy();
  }
}

function codeOf(error: unknown): string {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return "internal";
}
