/**
 * Reading requests with suspicion, writing answers: what all routes share.
 *
 * Invariants.
 * - A body is never held beyond its limit, whatever Content-Length says.
 * - Anything malformed is an ApiError of the 400s, never a fault.
 *
 * @module
 */
import { ApiError } from "./errors.ts";

/** A unit file of a megabyte is already absurd; the store's own limit (KvError request-too-large) lies just above. */
export const MAX_BODY_BYTES = 1_048_576;

export function json(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
}

export function empty(status: 201 | 204): Response {
  return new Response(null, { status });
}

/** fleet takes application/json only, with parameters such as charset. */
export function requireJson(request: Request): void {
  const header = request.headers.get("content-type") ?? "";
  const mediaType = (header.split(";", 1)[0] ?? "").trim().toLowerCase();
  if (mediaType === "application/json") return;
  throw new ApiError(
    "media-type",
    `Cannot read the body: Content-Type is "${header}", only "application/json" is taken`,
  );
}

async function readBytes(body: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function tooLarge(): ApiError {
  return new ApiError("body-too-large", `Cannot read the body: it has more than ${MAX_BODY_BYTES} bytes`);
}

export async function readJson(request: Request): Promise<unknown> {
  if (Number(request.headers.get("content-length") ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  let text = "";
  if (request.body !== null) {
    const bytes = await readBytes(request.body);
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch {
      throw new ApiError("bad-request", "Cannot read the body: it is not UTF-8");
    }
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ApiError("bad-request", `Cannot read the body: it is not JSON (${(error as Error).message})`);
  }
}

/** The decoded pieces of a path. A trailing slash names the same resource. */
export function pathSegments(pathname: string): string[] {
  const raw = pathname.split("/").slice(1);
  if (raw.at(-1) === "") raw.pop();
  return raw.map((segment) => {
    try {
      return decodeURIComponent(segment);
    } catch {
      throw new ApiError("bad-request", `Cannot read the path: "${segment}" is not percent-encoded UTF-8`);
    }
  });
}

/** A flag in the query: present without a value counts as true. */
export function queryFlag(query: URLSearchParams, name: string): boolean {
  const text = query.get(name);
  if (text === null || text === "false" || text === "0") return false;
  if (text === "" || text === "true" || text === "1") return true;
  throw new ApiError("bad-request", `Cannot read the query: "${name}" is "${text}", only true and false are known`);
}

export function queryInteger(query: URLSearchParams, name: string, fallback: number, max: number): number {
  const text = query.get(name);
  if (text === null || text === "") return fallback;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value <= max) return value;
  throw new ApiError("bad-request", `Cannot read the query: "${name}" is "${text}", not a number from 0 to ${max}`);
}
