/**
 * Calls over TCP, the answering side: finds the handler, carries answers, chunks and refusals back.
 *
 * Invariants.
 * - A handler's signal is aborted when its caller cancels or its connection ends; a stream's iterator is always returned.
 * - A stream sends no more than the reader has given credit for: a reader that sleeps costs STREAM_WINDOW_BYTES, not more.
 * - At most MAX_CALLS_UNDER_WAY a connection; beyond that calls are refused with `busy`.
 *
 * @module
 */
import type { Socket } from "node:net";
import type { CallHandler } from "../lib/calls.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import {
  CALL_VERSION,
  decodeFields,
  decodeNumber,
  decodeRequest,
  encodeFields,
  encodeFrame,
  type Frame,
  FrameReader,
  MAX_FRAME_BYTES,
  STREAM_WINDOW_BYTES,
} from "./call-frames.ts";

const MAX_CALLS_UNDER_WAY = 4096;
/** Type and call id, which a frame's length counts too. */
const FRAME_OVERHEAD_BYTES = 5;

export interface CallsServerOptions {
  readonly clusterId: string;
  readonly handlers: ReadonlyMap<string, CallHandler>;
  readonly log: Log;
}

/** Takes inbound call connections from the peer listener. */
export class CallsServer {
  readonly #options: CallsServerOptions;

  constructor(options: CallsServerOptions) {
    this.#options = options;
  }

  accept(socket: Socket, head: Uint8Array): void {
    const connection = new ServedConnection(socket, this.#options);
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
  readonly #reader = new FrameReader();
  readonly #serving = new Map<number, Serving>();
  #greeted = false;

  constructor(socket: Socket, options: CallsServerOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  feed(chunk: Uint8Array): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#onFrame(frame);
    } catch (error) {
      this.#options.log.warning("Closed a peer's connection: it broke the protocol", {
        from: this.#socket.remoteAddress ?? "",
        reason: reasonOf(error),
      });
      this.#socket.destroy();
    }
  }

  end(): void {
    for (const serving of this.#serving.values()) {
      serving.abort.abort();
      serving.onCredit?.();
    }
    this.#serving.clear();
  }

  #onFrame(frame: Frame): void {
    if (frame.type === "hello") return this.#greet(frame.payload);
    if (!this.#greeted) return this.#refuseConnection("The connection did not begin with a hello");
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
        `Refused: the caller speaks version ${version ?? "?"}, this daemon ${CALL_VERSION}`,
      );
    }
    this.#greeted = true;
  }

  #refuseConnection(message: string): void {
    this.#options.log.notice("Refused a peer's connection", {
      from: this.#socket.remoteAddress ?? "",
      reason: message,
    });
    this.#socket.end(encodeFrame("refusal", 0, encodeFields({ code: "refused", message })));
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
    const serving: Serving = { abort: new AbortController(), credit: STREAM_WINDOW_BYTES, onCredit: null };
    this.#serving.set(frame.id, serving);
    const context = { signal: serving.abort.signal };
    const work =
      handler.kind === "unary"
        ? handler.handle(body, context).then((answer) => this.#answer(frame.id, method, answer))
        : this.#pump(frame.id, serving, handler.handle(body, context));
    void work
      .catch((error: unknown) => this.#refuse(frame.id, codeOf(error), reasonOf(error)))
      .finally(() => this.#serving.delete(frame.id));
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
    if (!this.#socket.destroyed && this.#socket.writable) this.#socket.write(bytes);
  }
}

function codeOf(error: unknown): string {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return "internal";
}
