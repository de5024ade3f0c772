/**
 * gRPC's status codes, and the one error that leaves this folder.
 *
 * @module
 */

/** The codes that anybody here asks for, out of gRPC's seventeen. */
export const Status = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** How sure it is that the server did nothing with the call. */
export type Fate =
  /** It never reached a handler: HTTP/2 says so, or it was not sent. */
  | "not-sent"
  /** No answer came, or one that cannot be read. */
  | "no-answer"
  /** The server answered with this status. */
  | "answered";

export class GrpcError extends Error {
  readonly status: number;
  readonly fate: Fate;
  constructor(status: number, message: string, fate: Fate) {
    super(message);
    this.name = "GrpcError";
    this.status = status;
    this.fate = fate;
  }
}

/** gRPC sends messages percent-encoded; what is not validly so is shown as it came. */
export function decodeStatusMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** grpc-timeout has at most eight digits. */
export function grpcTimeout(timeoutMs: number): string {
  const wholeMs = Math.max(1, Math.ceil(timeoutMs));
  return wholeMs < 100_000_000 ? `${wholeMs}m` : `${Math.min(Math.ceil(wholeMs / 1_000), 99_999_999)}S`;
}
