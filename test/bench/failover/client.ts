/**
 * The client of the benchmarks that lose or load a member: writes small values through the members that it is told, over HTTP with
 * connections that are kept open, and prints what became of each write.
 *
 * Idea. The same for both systems: one key put a request, flt's as an edit of metadata, etcd's through its JSON gateway. A write begins
 * every EVERY_MS at each member whatever becomes of the earlier ones: so the first acknowledged one tells when the members take writes
 * again, and not how long somebody waited before he asked again. Runs in the namespace of the hosts' bridge, on their clock.
 *
 * Usage: bun client.ts '{"flavour":"flt","members":{"h1":"http://10.77.0.11:4002"}}'; then lines on stdin: {"via":["h2","h3"]} writes
 * through these from now on, {"via":[]} through none. One line on stdout for each write that settled.
 *
 * @module
 */
import { createInterface } from "node:readline";
import { nowMs } from "../frame.ts";

export interface ClientOptions {
  readonly flavour: "flt" | "etcd" | "pulse";
  /** Base URL of each member by its host's name. */
  readonly members: Readonly<Record<string, string>>;
  /** Default: two members at this pace for as long as a write may take stay below the 256 requests that fetch keeps in flight. */
  readonly everyMs?: number;
}

/** One write that settled. Moments in milliseconds of CLOCK_MONOTONIC. */
export interface Settled {
  readonly via: string;
  readonly sentAt: number;
  readonly settledAt: number;
  /** null: acknowledged. */
  readonly failure: string | null;
}

const EVERY_MS = 25;
/** Longer than the outages that are expected. */
export const WRITE_TIMEOUT_MS = 2_000;
/** Keys are written again and again, each by one write at a time. */
const KEYS = 400;
/** A machine that is none: its metadata are keys and nothing else. */
const NOBODY = "f".repeat(32);

function requestOf(flavour: ClientOptions["flavour"], key: string, value: string): { path: string; init: RequestInit } {
  if (flavour === "pulse") return { path: "/flt/v1/version", init: {} };
  if (flavour === "flt") {
    const edit = [{ op: "add", path: `/${NOBODY}/metadata/${key}`, value }];
    return { path: "/fleet/v1/machines", init: { method: "PATCH", body: JSON.stringify(edit) } };
  }
  return { path: "/v3/kv/put", init: { method: "POST", body: JSON.stringify({ key: btoa(key), value: btoa(value) }) } };
}

async function write(options: ClientOptions, via: string, sequence: number): Promise<void> {
  const { path, init } = requestOf(options.flavour, `${via}-${sequence % KEYS}`, `value ${sequence}`);
  const sentAt = nowMs();
  let failure: string | null = null;
  try {
    const signal = AbortSignal.timeout(WRITE_TIMEOUT_MS);
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${options.members[via]}${path}`, { ...init, headers, signal });
    const text = await response.text();
    if (!response.ok) failure = `${response.status} ${text.slice(0, 200)}`;
  } catch (error) {
    failure = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
  const settled: Settled = { via, sentAt, settledAt: nowMs(), failure };
  console.log(JSON.stringify(settled));
}

if (import.meta.main) {
  const options = JSON.parse(process.argv[2] ?? "") as ClientOptions;
  let members: readonly string[] = [];
  let sequence = 0;
  const beat = setInterval(() => {
    for (const via of members) void write(options, via, sequence);
    sequence += 1;
  }, options.everyMs ?? EVERY_MS);
  for await (const line of createInterface({ input: process.stdin })) {
    members = (JSON.parse(line) as { readonly via: readonly string[] }).via;
  }
  clearInterval(beat);
}
