/**
 * Calls between the cluster's machines: the port that replica/ and api/fleet/ use to ask another daemon something.
 *
 * Idea. One request with one answer, or one request with a stream of chunks; bytes in, bytes out. Each user brings its
 * own encoding and its own method names ("kv.txn", "unit.journal").
 *
 * Invariants.
 * - A failure says whether the request can have been acted on: see {@link wasNotBegun}. A `refused` alone does not: a handler
 *   may fail, and an answer may be too large, after the work is done.
 *
 * Not here. Sockets and frames (platform/).
 *
 * @module
 */

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

/** `address` is host:port of the other daemon's peer listener. */
export interface Calls {
  call(address: string, method: string, body: Uint8Array, options?: CallOptions): Promise<Uint8Array>;
  /** Ends when the other side ends; throws CallError. Leaving the loop early cancels the other side. Reading slowly slows
   *  the sender down: chunks are not piled up without bound. */
  stream(address: string, method: string, body: Uint8Array, options?: CallOptions): AsyncIterable<Uint8Array>;
}

export interface CallContext {
  /** Aborted when the caller goes away or cancels. */
  readonly signal: AbortSignal;
}

/** What answers a method. A thrown error with a string `code` reaches the caller as a refusal with that code. */
export type CallHandler =
  | { readonly kind: "unary"; handle(body: Uint8Array, context: CallContext): Promise<Uint8Array> }
  | { readonly kind: "stream"; handle(body: Uint8Array, context: CallContext): AsyncIterable<Uint8Array> };

export type CallErrorCode =
  /** Never left this machine. */
  | "not-sent"
  /** The connection broke, or time ran out, after it may have been sent. */
  | "lost"
  /** The other side answered with an error: `refusal` is its code. */
  | "refused";

export class CallError extends Error {
  readonly code: CallErrorCode;
  readonly refusal: string | undefined;
  constructor(code: CallErrorCode, message: string, refusal?: string) {
    super(message);
    this.name = "CallError";
    this.code = code;
    this.refusal = refusal;
  }
}

/** Refusals by the connection itself, before any handler saw the request. */
const REFUSED_UNSEEN: ReadonlySet<string | undefined> = new Set(["unknown-method", "busy"]);

/** Whether this failure proves that nothing was done, so that the request may be repeated. */
export function wasNotBegun({ code, refusal }: CallError): boolean {
  return code === "not-sent" || (code === "refused" && REFUSED_UNSEEN.has(refusal));
}
