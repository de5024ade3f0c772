/**
 * The event stream as an async iterable: lines become events, silence becomes an error.
 *
 * Invariants.
 * - A line is at most MAX_LINE_LENGTH characters; what is not flt's is refused, not guessed at.
 * - A stream that says nothing for three keep-alives is over, whatever the socket believes.
 *
 * @module
 */
import type { Timer } from "../lib/clock.ts";
import { textLines } from "../lib/lines.ts";
import { EVENT_KEEP_ALIVE_MS, type FleetEvent } from "../model/events.ts";
import { ClientError } from "./errors.ts";
import { type HttpOptions, type HttpRequest, requestStream } from "./http.ts";

const MAX_LINE_LENGTH = 4 * 1_048_576;
const SILENCE_MS = 3 * EVENT_KEEP_ALIVE_MS;
/** Longer queries go into a body: common limits for a request's head begin at 8 kB. */
const MAX_QUERY_LENGTH = 4_000;

const KNOWN_TYPES: ReadonlySet<string> = new Set<FleetEvent["type"]>([
  "unit",
  "unit-gone",
  "state",
  "state-gone",
  "reasons",
  "machine",
  "machine-gone",
  "synced",
  "reset",
  "keep-alive",
]);

/** `names` empty: everything in the cluster. */
export async function* readEvents(
  options: HttpOptions,
  path: string,
  names: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<FleetEvent> {
  const silence = new AbortController();
  const cancel = (): void => silence.abort();
  signal.addEventListener("abort", cancel, { once: true });
  if (signal.aborted) cancel();
  let wentSilent = false;
  const watch = (): Timer =>
    options.clock.after(SILENCE_MS, () => {
      wentSilent = true;
      silence.abort();
    });
  let timer = watch();
  try {
    const chunks = requestStream(options, { ...eventRequest(path, names), signal: silence.signal });
    for await (const line of textLines(chunks, MAX_LINE_LENGTH, endless)) {
      timer.cancel();
      timer = watch();
      const event = parseEvent(line, options);
      if (event !== null) yield event;
    }
  } catch (error) {
    if (signal.aborted) throw new ClientError("cancelled", "The event stream was cancelled");
    if (!wentSilent) throw error;
    throw new ClientError(
      "unreachable",
      `Lost flt at ${options.endpoint.text}: its event stream was silent for ${SILENCE_MS / 1000} s`,
    );
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", cancel);
  }
}

function endless(): ClientError {
  return new ClientError("bad-answer", "Cannot read the event stream: a line has no end");
}

function eventRequest(path: string, names: readonly string[]): HttpRequest {
  const query = names.map((name) => `unitName=${encodeURIComponent(name)}`).join("&");
  if (query.length > MAX_QUERY_LENGTH) return { method: "POST", path, body: { unitNames: names } };
  return { method: "GET", path: query === "" ? path : `${path}?${query}` };
}

/** Events of a kind that this client does not know yet are passed over: a newer daemon may have more to say. */
function parseEvent(line: string, options: HttpOptions): FleetEvent | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    value = null;
  }
  if (typeof value !== "object" || value === null || !("type" in value) || typeof value.type !== "string") {
    throw new ClientError(
      "bad-answer",
      `Cannot read the event stream from ${options.endpoint.text}: a line is no event`,
    );
  }
  return KNOWN_TYPES.has(value.type) ? (value as FleetEvent) : null;
}
