/**
 * The one table from refusals to HTTP statuses, and the body that carries them.
 *
 * Idea. Every room's refusals have a stable `code`; here, and only here, a code becomes a status. What has no code is a
 * fault of ours: it is logged with its stack and the client is told no more than that.
 *
 * @module
 */
import { CallError } from "../../lib/calls.ts";
import { type Log, reasonOf } from "../../lib/log.ts";

export type ApiErrorCode =
  | "bad-request"
  | "not-found"
  | "method-not-allowed"
  | "conflict"
  | "body-too-large"
  | "media-type"
  | "not-implemented"
  | "not-ready";

/** A refusal of the API itself. */
export class ApiError extends Error {
  readonly code: ApiErrorCode;
  /** Methods that would be allowed, for 405. */
  readonly allow: readonly string[];
  constructor(code: ApiErrorCode, message: string, allow: readonly string[] = []) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.allow = allow;
  }
}

interface Rule {
  readonly status: number;
  /** Put before the refusal's own words, where those do not say what it means for the caller. */
  readonly prefix?: string;
  /** Put after them: what to do. */
  readonly advice?: string;
}

const NOTHING_DONE = "nothing was done, try again";

const RULES: Readonly<Record<string, Rule>> = {
  // The API's own.
  "bad-request": { status: 400 },
  "not-found": { status: 404 },
  "method-not-allowed": { status: 405 },
  conflict: { status: 409 },
  "body-too-large": { status: 413 },
  "media-type": { status: 415 },
  "not-implemented": { status: 501 },
  "not-ready": { status: 503 },
  // model/: what the caller sent is wrong.
  "bad-unit-name": { status: 400 },
  "bad-unit-file": { status: 400 },
  "bad-unit-options": { status: 400 },
  "bad-entity": { status: 400 },
  "bad-glob": { status: 400 },
  "bad-page-token": { status: 400 },
  "bad-metadata": { status: 400 },
  // platform/: its client left, or lost its way, in the middle of the body.
  "broken-request": { status: 400 },
  // registry/.
  "unit-not-found": { status: 404 },
  // store/: KvErrorCode.
  unavailable: { status: 503, prefix: "The cluster cannot answer now", advice: NOTHING_DONE },
  closed: { status: 503, prefix: "This daemon is stopping", advice: NOTHING_DONE },
  cancelled: { status: 504, prefix: "Gave up waiting", advice: "look whether it happened before you repeat it" },
  "unknown-fate": {
    status: 504,
    prefix: "The change may or may not have happened",
    advice: "look before you repeat it",
  },
  "request-too-large": { status: 413 },
  "too-many-operations": { status: 413 },
  "no-space": { status: 507, prefix: "The cluster's disk is full", advice: "nothing was done" },
  // lib/calls.ts: another machine.
  "not-sent": { status: 502, prefix: "Cannot reach the unit's machine" },
  lost: { status: 504, prefix: "Lost the unit's machine" },
  refused: { status: 502 },
};

function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

function ruleOf(error: unknown): Rule | undefined {
  const code = codeOf(error);
  // RegistryError also says "conflict", where the key changed under us again and again: that is no fault of the caller.
  if (code === "conflict" && !(error instanceof ApiError)) return { status: 503, advice: NOTHING_DONE };
  // What the other machine refused as nonsense, the caller has written.
  if (code === "refused" && error instanceof CallError && error.refusal === "bad-request") return RULES[error.refusal];
  return code === undefined || !Object.hasOwn(RULES, code) ? undefined : RULES[code];
}

/** The error body of section 6. */
export function errorResponse(status: number, message: string, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify({ error: { code: status, message } }), {
    status,
    headers: { "content-type": "application/json", ...headers },
  });
}

/** The status and the words for whatever was thrown; a fault of ours is logged here. */
export function refusalOf(error: unknown, request: string, log: Log): { status: number; message: string } {
  const rule = ruleOf(error);
  if (rule === undefined) {
    log.error(`Cannot answer ${request}: ${reasonOf(error)}`, {
      stack: error instanceof Error ? error.stack : undefined,
    });
    return {
      status: 500,
      message: "Cannot answer: a fault in flt itself, its log on this machine has the details",
    };
  }
  const words = [rule.prefix, reasonOf(error), rule.advice].filter((part) => part !== undefined && part !== "");
  return { status: rule.status, message: words.join(": ") };
}

/** Answers whatever a handler threw. */
export function responseOf(error: unknown, request: string, log: Log): Response {
  const { status, message } = refusalOf(error, request, log);
  const headers: Record<string, string> = {};
  if (error instanceof ApiError && error.allow.length > 0) headers.allow = error.allow.join(", ");
  return errorResponse(status, message, headers);
}
