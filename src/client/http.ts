/**
 * One request and its answer, with an end to every wait and a readable reason for every failure.
 *
 * Idea. The transport is a function like Bun's fetch (with its `unix` option), so that tests put the API itself in its
 * place and no socket is opened. The request timeout covers the time until an answer begins and, for answers that are
 * read whole, until it is there; streams have their own rules for silence.
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import { reasonOf } from "../lib/log.ts";
import type { Endpoint } from "./endpoint.ts";
import { ClientError } from "./errors.ts";

export interface FetchInit {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
  readonly signal: AbortSignal;
  readonly unix?: string;
  readonly tls?: TlsFiles;
  /** Bun's own idle timeout is off: streams may be silent. */
  readonly timeout: false;
}

/** PEM texts for https endpoints. */
export interface TlsFiles {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export type Fetch = (url: string, init: FetchInit) => Promise<Response>;

export interface HttpOptions {
  readonly fetch: Fetch;
  readonly endpoint: Endpoint;
  readonly clock: Clock;
  readonly requestTimeoutMs: number;
  readonly tls?: TlsFiles;
  /** Told of each request and its status (--debug). */
  readonly trace?: (line: string) => void;
}

export interface HttpRequest {
  readonly method: string;
  /** Below the origin, encoded, with its query. */
  readonly path: string;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
  /** Instead of the options' requestTimeoutMs; null: none, the caller's signal alone ends the wait. */
  readonly timeoutMs?: number | null;
}

export interface JsonAnswer {
  readonly status: number;
  /** null when the answer has no body. */
  readonly body: unknown;
}

export async function requestJson(options: HttpOptions, request: HttpRequest): Promise<JsonAnswer> {
  const { response, guard } = await send(options, request);
  try {
    const text = await response.text();
    return { status: response.status, body: text === "" ? null : parseJson(text, options, request) };
  } catch (error) {
    throw guard.explain(error);
  } finally {
    guard.release();
  }
}

/** The body as it comes. Leaving the loop closes the connection. */
export async function* requestStream(options: HttpOptions, request: HttpRequest): AsyncGenerator<Uint8Array> {
  const { response, guard } = await send(options, request);
  guard.stopTimeout();
  try {
    if (response.body === null) return;
    for await (const chunk of response.body) {
      yield chunk;
    }
    // A connection that is closed under an abort may look like the end of the body.
    if (request.signal?.aborted === true) throw new Error("The body may be cut short");
  } catch (error) {
    throw guard.explain(error);
  } finally {
    guard.release();
  }
}

export function describe(request: HttpRequest): string {
  return `${request.method} ${request.path.split("?", 1)[0]}`;
}

function parseJson(text: string, options: HttpOptions, request: HttpRequest): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ClientError(
      "bad-answer",
      `Cannot read the answer to ${describe(request)} from ${options.endpoint.text}: it is not JSON. Is it flt that listens there?`,
    );
  }
}

interface Guard {
  stopTimeout(): void;
  release(): void;
  explain(error: unknown): ClientError;
}

async function send(options: HttpOptions, request: HttpRequest): Promise<{ response: Response; guard: Guard }> {
  const abort = new AbortController();
  const guard = makeGuard(options, request, abort);
  const { endpoint } = options;
  let response: Response;
  try {
    response = await options.fetch(`${endpoint.origin}${request.path}`, {
      method: request.method,
      headers: request.body === undefined ? {} : { "content-type": "application/json" },
      signal: abort.signal,
      timeout: false,
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      ...(endpoint.socketPath === undefined ? {} : { unix: endpoint.socketPath }),
      ...(options.tls === undefined ? {} : { tls: options.tls }),
    });
    options.trace?.(`${request.method} ${endpoint.text}${request.path} -> ${response.status}`);
    if (response.ok) return { response, guard };
    throw refusal(response.status, await response.text(), request);
  } catch (error) {
    guard.release();
    throw guard.explain(error);
  }
}

function makeGuard(options: HttpOptions, request: HttpRequest, abort: AbortController): Guard {
  let timedOut = false;
  const timeoutMs = timeoutOf(options, request);
  const expire = (): void => {
    timedOut = true;
    abort.abort();
  };
  const timer = timeoutMs === null ? null : options.clock.after(timeoutMs, expire);
  const cancel = (): void => abort.abort();
  request.signal?.addEventListener("abort", cancel, { once: true });
  if (request.signal?.aborted === true) cancel();
  return {
    stopTimeout: () => timer?.cancel(),
    release: () => {
      timer?.cancel();
      request.signal?.removeEventListener("abort", cancel);
      abort.abort();
    },
    explain: (error) => {
      if (error instanceof ClientError) return error;
      if (request.signal?.aborted === true) return new ClientError("cancelled", `${describe(request)} was cancelled`);
      if (timedOut) return timeoutError(options, request);
      return unreachable(options.endpoint, error);
    },
  };
}

function timeoutOf(options: HttpOptions, request: HttpRequest): number | null {
  return request.timeoutMs === undefined ? options.requestTimeoutMs : request.timeoutMs;
}

function timeoutError(options: HttpOptions, request: HttpRequest): ClientError {
  const seconds = (timeoutOf(options, request) ?? 0) / 1000;
  const doubt = request.method === "GET" ? "" : " The change may or may not have happened: look before you repeat it.";
  return new ClientError(
    "timeout",
    `No answer from flt at ${options.endpoint.text} to ${describe(request)} within ${seconds} s.${doubt} ` +
      "A longer --request-timeout waits longer",
  );
}

/** Bun's own words speak of typing errors in a URL. */
const CONNECT_REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such socket",
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "the connection was closed",
  EACCES: "permission denied",
  EPERM: "permission denied",
  ENOTFOUND: "the host's name is not known",
  EAI_AGAIN: "the host's name is not known, or no name server answers",
  EPROTO: "the TLS handshake failed",
};

const UNTRUSTED = "its certificate is signed by no authority that is trusted here. Name its authority: --ca-file";
/** OpenSSL's and Bun's words for what a server's certificate can have wrong. */
const CERTIFICATE_REASONS: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  CERT_SIGNATURE_FAILURE: UNTRUSTED,
  CERT_HAS_EXPIRED: "its certificate has expired",
  CERT_NOT_YET_VALID: "its certificate is not valid yet. Are both clocks right?",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another host name",
};

function unreachable(endpoint: Endpoint, error: unknown): ClientError {
  const code = typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
  const certificate = CERTIFICATE_REASONS[code];
  if (certificate !== undefined) {
    return new ClientError("unreachable", `Cannot trust flt at ${endpoint.text}: ${certificate}`);
  }
  const why = CONNECT_REASONS[code] ?? reasonOf(error);
  let advice = "Is flt listening there (listen_api)? Another address: --endpoint";
  if (endpoint.socketPath !== undefined)
    advice = "Is `flt daemon` running here (systemctl status flt)? Another address: --endpoint";
  if (code === "EACCES" || code === "EPERM")
    advice = "It takes root, or membership of the group flt (usermod -aG flt USER, and a new login)";
  // So it ends where the server wants a certificate and got none, or another authority's.
  if (code === "EPROTO")
    advice = "Does it speak TLS there, and ask for a client certificate (--cert-file, --key-file)?";
  return new ClientError("unreachable", `Cannot reach flt at ${endpoint.text}: ${why}. ${advice}`);
}

function refusal(status: number, text: string, request: HttpRequest): ClientError {
  let message = "";
  try {
    const body = JSON.parse(text) as { error?: { message?: unknown } } | null;
    if (typeof body?.error?.message === "string") message = body.error.message;
  } catch {
    // Not flt's own words (a proxy's page): the status has to do.
  }
  return new ClientError(
    "refused",
    message === "" ? `${describe(request)} was answered with ${status}` : message,
    status,
  );
}
