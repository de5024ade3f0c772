/**
 * Bytes on the API's real socket: whole requests, damaged ones and none at all, in any pieces, with any end.
 *
 * Idea. Some requests in good order come first; behind them comes whatever the case makes up. The client then stops
 * talking and reads to the end, so that the end of the conversation is an event and no question of time.
 *
 * Checked of each: the daemon's side ends it; what comes back is a row of whole HTTP answers, none of them a 500; the good
 * requests have theirs, in order; a change of the registry has been granted in so many words; and the next client is served.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type ApiListener, listenApi } from "../../src/platform/api-listener.ts";
import { ClusterUnderFire, changedKeys, OTHER_OPTIONS } from "./cluster.ts";
import { readAnswers } from "./http-answers.ts";
import { pageToken, unitName, value } from "./words.ts";

export interface Conversation {
  /** Requests in good order, by name. */
  readonly good: readonly (keyof typeof GOOD)[];
  /** What follows them. */
  readonly rest: Buffer;
  /** Where the bytes are cut into pieces, as shares of the whole. */
  readonly cuts: readonly number[];
  /** `leaves`: the client is gone without having read anything. */
  readonly end: "stops talking" | "leaves";
}

const ENOUGH_MS = 10_000;
const UNIT = "made.service";
const JSON_TYPE = "Content-Type: application/json";

const GOOD = {
  units: { text: "GET /fleet/v1/units HTTP/1.1\r\nHost: flt\r\n\r\n", status: 200 },
  machine: { text: "GET /fleet/v1/machines?alt=json HTTP/1.1\r\nHost: flt\r\nAccept: */*\r\n\r\n", status: 200 },
  unknown: { text: "DELETE /fleet/v1/units/nobody.service HTTP/1.1\r\nHost: flt\r\n\r\n", status: 404 },
  put: { text: put(JSON.stringify({ desiredState: "launched", options: OTHER_OPTIONS })), status: [201, 204] },
  chunked: {
    text: `PATCH /fleet/v1/machines HTTP/1.1\r\nHost: flt\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n1;x=y\r\n]\r\n0\r\n\r\n`,
    status: 204,
  },
  unread: { text: put("not taken", "Content-Type: text/plain"), status: 415 },
} as const;

function put(body: string, type = JSON_TYPE): string {
  return `PUT /fleet/v1/units/${UNIT} HTTP/1.1\r\nHost: flt\r\n${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** The API on a socket; each conversation finds a cluster of its own behind it. */
export class HttpUnderFire {
  readonly #folder: string;
  readonly #path: string;
  readonly #listener: ApiListener;
  #cluster: ClusterUnderFire | null = null;

  private constructor(folder: string, path: string, listener: ApiListener) {
    this.#folder = folder;
    this.#path = path;
    this.#listener = listener;
  }

  static async open(): Promise<HttpUnderFire> {
    const folder = mkdtempSync(join(tmpdir(), "flt-fuzz-http-"));
    const path = join(folder, "flt.sock");
    let own: HttpUnderFire | null = null;
    const listener = await listenApi(`unix://${path}`, async (request) => {
      const cluster = own === null ? null : own.#cluster;
      if (cluster === null) throw new Error("A request without a case");
      return await cluster.api(request, { signal: request.signal });
    });
    own = new HttpUnderFire(folder, path, listener);
    return own;
  }

  /** Must come to an end by itself, whatever was said before. */
  async close(): Promise<void> {
    await inTime(this.#listener.close(), "The listener does not close");
    rmSync(this.#folder, { recursive: true });
  }

  async check(conversation: Conversation): Promise<void> {
    await ClusterUnderFire.with(async (cluster) => {
      this.#cluster = cluster;
      const before = await cluster.snapshot();
      const answers = readAnswers(await this.#talk(conversation));
      if (conversation.end === "stops talking") {
        checkOrder(conversation, answers);
        const changed = changedKeys(before, await cluster.snapshot());
        const granted = answers.some((status) => status === 201 || status === 204);
        if (changed.length > 0 && !granted) throw new Error(`${changed.join(", ")} changed, the answers: ${answers}`);
      }
      cluster.checkFaults();
      const [next] = readAnswers(
        await this.#talk({ good: ["units"], rest: Buffer.alloc(0), cuts: [], end: "stops talking" }),
      );
      if (next !== 200) throw new Error(`The next client is answered with ${next}`);
      cluster.checkFaults();
    });
  }

  #talk(conversation: Conversation): Promise<Buffer> {
    const pieces = piecesOf(conversation);
    const isLeaving = conversation.end === "leaves";
    const heard: Buffer[] = [];
    const ended = new Promise<Buffer>((resolve) => {
      const socket = connect({ path: this.#path, allowHalfOpen: true }, () => {
        void (async () => {
          for (const piece of pieces) {
            if (!socket.writable) break;
            socket.write(piece);
            await new Promise((next) => setImmediate(next));
          }
          if (isLeaving) socket.destroy();
          else if (socket.writable) socket.end();
        })();
      });
      socket.on("data", (chunk) => void heard.push(Buffer.from(chunk)));
      socket.on("end", () => socket.end());
      // The daemon may hang up on what is too much; what it said before counts.
      socket.on("error", () => undefined);
      socket.on("close", () => resolve(Buffer.concat(heard)));
    });
    return inTime(ended, "The connection does not end");
  }
}

export function inTime<T>(work: Promise<T>, problem: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(problem)), ENOUGH_MS);
  return Promise.race([work, promise]).finally(() => clearTimeout(timer));
}

function piecesOf({ good, rest, cuts }: Conversation): Buffer[] {
  const bytes = Buffer.concat([...good.map((name) => Buffer.from(GOOD[name].text)), rest]);
  const ends = [...cuts.map((share) => Math.floor(share * bytes.length)), bytes.length].sort(
    (one, other) => one - other,
  );
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end)).filter(({ length }) => length > 0);
}

function checkOrder({ good }: Conversation, answers: readonly number[]): void {
  const bad = answers.find((status) => status >= 500);
  if (bad !== undefined) throw new Error(`Status ${bad}`);
  for (const [index, name] of good.entries()) {
    const wanted: readonly number[] = [GOOD[name].status].flat();
    if (!wanted.includes(answers[index] ?? 0))
      throw new Error(`"${name}" should get ${wanted}, the answers: ${answers}`);
  }
}

const target = fc.oneof(
  fc.constantFrom(
    "/",
    "/fleet/v1/units",
    "/fleet/v1/machines",
    "/flt/v1/units:batch",
    "/metrics",
    "*",
    "",
    "//",
    "/../..",
  ),
  fc.constantFrom(
    "http://flt/fleet/v1/units",
    "http://",
    "ftp://a/b",
    "flt:80",
    "/fleet/v1/units?%",
    "/%ff",
    "/ü",
    "/a#b",
    "?",
  ),
  unitName.map((name) => `/fleet/v1/units/${encodeURIComponent(name.toWellFormed())}`),
  pageToken.map((token) => `/fleet/v1/units?nextPageToken=${token}`),
  fc.integer({ min: 1, max: 40_000 }).map((length) => `/${"a".repeat(length)}`),
  value,
);
const method = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom("GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS") },
  { weight: 2, arbitrary: fc.constantFrom("CONNECT", "TRACE", "M-SEARCH", "PRI", "FOO", "get", "", "\0", "G\0ET") },
);
const version = fc.oneof(
  { weight: 8, arbitrary: fc.constant(" HTTP/1.1") },
  fc.constantFrom(" HTTP/1.0", " HTTP/2.0", " HTTP/9.9", " http/1.1", "", " ", " HTTP/1.1 HTTP/1.1", " HTTP/0.9"),
);
const header = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom("Host: flt", JSON_TYPE, "Connection: close", "Connection: keep-alive") },
  fc.constantFrom(
    "Host: a b",
    "Host: x/../y?",
    "Host:",
    "Host: [::1",
    "Host: flt:99999",
    "Connection: upgrade",
    "Upgrade: websocket",
  ),
  fc.constantFrom(
    "Expect: 100-continue",
    "Expect: else",
    "Content-Encoding: gzip",
    "Transfer-Encoding: gzip",
    "TE: trailers",
  ),
  fc.constantFrom("X: a\0b", "X : y", " X: y", "X", ":", "X: y\r\n folded", "X: \xff\xfe", "X: y\nZ: z", "\0: y"),
  fc.tuple(fc.string({ maxLength: 6 }), value).map(([name, text]) => `${name}: ${text}`),
  fc.integer({ min: 1, max: 30_000 }).map((length) => `X: ${"a".repeat(length)}`),
  fc.integer({ min: 1, max: 3_000 }).map((count) => Array.from({ length: count }, (_, at) => `X${at}: y`).join("\r\n")),
);
const content = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("", "{}", "[]", "hello", JSON.stringify({ desiredState: "loaded" })) },
  { weight: 2, arbitrary: fc.constant(JSON.stringify({ desiredState: "launched", options: OTHER_OPTIONS })) },
  { weight: 1, arbitrary: fc.constantFrom(70_000, 1_048_577).map((length) => " ".repeat(length)) },
);
/** How a body is announced, and how it comes. */
const framed = fc
  .tuple(content, fc.constantFrom(...Object.keys(framings())), fc.nat(40))
  .map(([text, framing, number]) => framings(text, number)[framing] ?? "\r\n");

function framings(text = "", number = 0): Readonly<Record<string, string>> {
  const size = Buffer.byteLength(text);
  const length = `Content-Length: ${size}`;
  const hex = size.toString(16);
  const chunked = "Transfer-Encoding: chunked";
  return {
    none: "\r\n",
    whole: `${length}\r\n\r\n${text}`,
    unannounced: `\r\n${text}`,
    short: `Content-Length: ${size + number}\r\n\r\n${text}`,
    long: `Content-Length: ${Math.max(0, size - number)}\r\n\r\n${text}`,
    twice: `${length}\r\nContent-Length: ${size + number}\r\n\r\n${text}`,
    list: `${length}, ${size}\r\n\r\n${text}`,
    signed: `Content-Length: +${size}\r\n\r\n${text}`,
    negative: `Content-Length: -${size}\r\n\r\n${text}`,
    enormous: `Content-Length: 9${"9".repeat(number)}\r\n\r\n${text}`,
    chunks: `${chunked}\r\n\r\n${size > 0 ? `${hex}\r\n${text}\r\n` : ""}0\r\n\r\n`,
    trailers: `${chunked}\r\n\r\n${size > 0 ? `${hex}\r\n${text}\r\n` : ""}0\r\nContent-Length: 5\r\n\r\n`,
    "chunks without end": `${chunked}\r\n\r\n${hex}\r\n${text}\r\n`,
    "chunk cut short": `${chunked}\r\n\r\n${(size + 1 + number).toString(16)}\r\n${text}`,
    "chunk of no length": `${chunked}\r\n\r\n-1\r\n${text}\r\n0\r\n\r\n`,
    "enormous chunk": `${chunked}\r\n\r\nf${"f".repeat(number)}\r\n${text}`,
    "both ways": `${length}\r\n${chunked}\r\n\r\n0\r\n\r\n${text}`,
    "chunked twice": `${chunked}\r\n${chunked}\r\n\r\n0\r\n\r\n`,
    "chunked not last": `Transfer-Encoding: chunked, identity\r\n\r\n${text}`,
  };
}

const request = fc
  .tuple(method, target, version, fc.array(header, { maxLength: 4 }), framed)
  .map(([verb, at, http, headers, body]) => {
    return Buffer.from(`${verb} ${at}${http}\r\n${headers.map((text) => `${text}\r\n`).join("")}${body}`, "utf8");
  });

interface Damage {
  readonly at: number;
  readonly kind: "flip" | "cut" | "insert";
  readonly bytes: Uint8Array;
}
const damage: fc.Arbitrary<Damage> = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  kind: fc.constantFrom("flip", "cut", "insert"),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 4 }),
});

function damaged(whole: Buffer, { at, kind, bytes }: Damage): Buffer {
  const place = Math.floor(at * whole.length);
  if (kind === "cut") return whole.subarray(0, place);
  if (kind === "insert") return Buffer.concat([whole.subarray(0, place), bytes, whole.subarray(place)]);
  const copy = Buffer.from(whole);
  copy.set(bytes.subarray(0, copy.length - place), place);
  return copy;
}

const rest = fc.oneof(
  { weight: 4, arbitrary: request },
  { weight: 2, arbitrary: fc.tuple(request, damage).map(([whole, how]) => damaged(whole, how)) },
  {
    weight: 1,
    arbitrary: fc.tuple(request, request, damage).map(([one, two, how]) => damaged(Buffer.concat([one, two]), how)),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom("", "\r\n\r\n", "\0".repeat(500), "\x16\x03\x01\x02\x00\x01\x00")
      .map((text) => Buffer.from(text, "latin1")),
  },
);

export const conversation: fc.Arbitrary<Conversation> = fc.record({
  good: fc.array(fc.constantFrom(...(Object.keys(GOOD) as (keyof typeof GOOD)[])), { maxLength: 3 }),
  rest,
  cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 4 }),
  end: fc.constantFrom("stops talking", "stops talking", "stops talking", "leaves"),
});
