/**
 * A foreign client: curl on a host's API socket, and transcripts of what it was told.
 *
 * @module
 */
import type { Host } from "../hosts/lib/host.ts";
import { exec } from "../hosts/lib/shell.ts";

const SOCKET = "/run/flt.sock";
const CURL_MS = 10_000;
/** After the body, on a line of its own. */
const TRAILER = "\n%{http_code} %{content_type} allow=%header{allow}";

export interface CurlAnswer {
  readonly status: number;
  readonly contentType: string;
  /** The Allow header; "" without one. */
  readonly allow: string;
  readonly text: string;
}

export interface CurlRequest {
  readonly method: string;
  /** As it stands in the request line. */
  readonly path: string;
  readonly body?: string;
  /** application/json unless told; null: whatever curl sends on its own. */
  readonly type?: string | null;
}

export async function curl(host: Host, request: CurlRequest): Promise<CurlAnswer> {
  const { method, path, body, type = "application/json" } = request;
  const command = [
    "curl",
    "--silent",
    "--show-error",
    "--path-as-is",
    "--globoff",
    "--max-time",
    String(CURL_MS / 1000),
  ];
  command.push("--unix-socket", host.path(SOCKET), "--write-out", TRAILER, "--request", method);
  if (body !== undefined) command.push("--data-binary", body);
  if (body !== undefined && type !== null) command.push("--header", `Content-Type: ${type}`);
  const outcome = await exec([...command, `http://flt${path}`], { timeoutMs: CURL_MS + 5_000 });
  if (outcome.code !== 0) throw new Error(`curl ${method} ${path} on ${host.name}: ${outcome.stderr}`);
  const end = outcome.stdout.lastIndexOf("\n");
  const [, status, contentType = "", allow = ""] =
    /^(\d{3}) ?(.*?) ?allow=(.*)$/.exec(outcome.stdout.slice(end + 1)) ?? [];
  return { status: Number(status), contentType, allow, text: outcome.stdout.slice(0, end) };
}

/** A request and its answer as a transcript shows them. */
export function transcript(request: CurlRequest, answer: CurlAnswer): string {
  const sent = request.body === undefined ? "" : `\n> ${request.body}`;
  const type = request.type === undefined ? "" : `\n> Content-Type: ${request.type ?? "(curl's)"}`;
  const allow = answer.allow === "" ? "" : `\n< Allow: ${answer.allow}`;
  // How far the store has come is chance.
  const text = answer.text.replace(/\n$/, "").replaceAll(/"revision":\d+/g, '"revision":N');
  const body = answer.text === "" ? "" : `\n${text}`;
  const head = [answer.status, answer.contentType].join(" ").trim();
  return `> ${request.method} ${request.path}${type}${sent}\n< ${head}${allow}${body}\n`;
}
