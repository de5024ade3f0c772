/**
 * How talking to flt can fail, as one class: which request, to where, why, and what to do about it.
 *
 * @module
 */

export type ClientErrorCode =
  /** The endpoint is not one. */
  | "bad-endpoint"
  /** No connection, or it broke before the answer began. */
  | "unreachable"
  /** No answer within the request timeout. */
  | "timeout"
  /** The answer is an error; `status` is its HTTP status. */
  | "refused"
  /** The answer is not what flt would say. */
  | "bad-answer"
  /** The caller's own signal. */
  | "cancelled";

export class ClientError extends Error {
  readonly code: ClientErrorCode;
  readonly status: number;
  constructor(code: ClientErrorCode, message: string, status = 0) {
    super(message);
    this.name = "ClientError";
    this.code = code;
    this.status = status;
  }
}
