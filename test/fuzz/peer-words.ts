/**
 * What hostile peers say: frames of both protocols, whole ones with nonsense inside, and damaged ones.
 *
 * @module
 */
import fc from "fast-check";
import { encodeHello, encodeReason, encodeSnapshotBegin, frame as raftFrame } from "../../raft/adapters/frames.ts";
import { encodeMessage } from "../../raft/driver/codec.ts";
import type { Entry, Message } from "../../raft/types.ts";
import {
  CALL_MAGIC,
  encodeFields,
  encodeFrame,
  encodeNumber,
  encodeRequest,
  RAFT_MAGIC,
} from "../../src/platform/call-frames.ts";
import { encodeQuestion, encodeReport, type Reading } from "../../src/replica/consistency-codec.ts";
import { encodeRequest as encodeLeaderRequest } from "../../src/replica/leader-codec.ts";
import { unitName, value } from "./words.ts";

export const CLUSTER = "c1";
export const SELF = 1;
export const PEERS = [2, 3] as const;

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((given) => Buffer.from(given));
const number = fc.oneof(
  { weight: 12, arbitrary: fc.nat(3) },
  { weight: 3, arbitrary: fc.nat(20) },
  fc.maxSafeNat(),
  fc.constant(Number.MAX_SAFE_INTEGER),
);
const id = fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 1, max: 4 }) }, fc.integer({ min: 1, max: 2 ** 50 }));

const entry = fc.record({
  term: number,
  kind: fc.constantFrom<Entry["kind"]>("normal", "noop", "config"),
  data: fc.uint8Array({ maxLength: 20 }),
});
/** Mostly from a peer to this node; what is inside makes no sense. */
const envelope = {
  from: fc.oneof({ weight: 20, arbitrary: fc.constantFrom(...PEERS) }, id),
  to: fc.oneof({ weight: 20, arbitrary: fc.constant(SELF) }, id),
  term: number,
};
const membership = fc.record({
  voters: fc.array(id, { minLength: 1, maxLength: 3 }),
  learners: fc.array(id, { maxLength: 2 }),
});
const snapshotMeta = fc.record({ index: id, term: number, membership });
export const raftMessage: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ kind: fc.constant("pre-vote" as const), ...envelope, lastIndex: number, lastTerm: number }),
  fc.record({
    kind: fc.constantFrom("pre-vote-reply" as const, "vote-reply" as const),
    ...envelope,
    granted: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant("vote" as const),
    ...envelope,
    lastIndex: number,
    lastTerm: number,
    transfer: fc.boolean(),
  }),
  fc
    .record({
      ...envelope,
      prevIndex: fc.oneof({ weight: 4, arbitrary: fc.nat(3) }, fc.nat(20)),
      prevTerm: number,
      commit: number,
      list: fc.array(entry, { maxLength: 4 }),
    })
    .map(({ list, ...rest }) => ({
      kind: "append" as const,
      ...rest,
      entries: list.map((one, at) => ({ ...one, index: rest.prevIndex + 1 + at })),
    })),
  fc.record({
    kind: fc.constant("append-reply" as const),
    ...envelope,
    index: number,
    rejected: fc.boolean(),
    hintIndex: number,
    hintTerm: number,
  }),
  fc.record({ kind: fc.constant("heartbeat" as const), ...envelope, commit: number, readContext: number }),
  fc.record({ kind: fc.constant("heartbeat-reply" as const), ...envelope, readContext: number }),
  fc.record({ kind: fc.constant("snapshot" as const), ...envelope, snapshot: snapshotMeta }),
  fc.record({ kind: fc.constant("read-index" as const), ...envelope, context: number }),
  fc.record({
    kind: fc.constant("read-index-reply" as const),
    ...envelope,
    context: number,
    index: number,
    rejected: fc.boolean(),
  }),
  fc.record({ kind: fc.constant("timeout-now" as const), ...envelope }),
  fc.record({ kind: fc.constantFrom("recovering" as const, "recovered" as const), ...envelope, recovery: number }),
  fc.record({
    kind: fc.constant("recovery-reply" as const),
    ...envelope,
    recovery: number,
    index: number,
    rejected: fc.boolean(),
    hintIndex: number,
    hintTerm: number,
  }),
);

const LONG = "l".repeat(4_000);
const word = fc.oneof(fc.constantFrom(CLUSTER, "", "other", LONG, "a\nb\x1b[2J", "\u202e"), value);

const raftHello = fc
  .record({
    version: fc.oneof({ weight: 20, arbitrary: fc.constant(1) }, fc.constantFrom(0, 2, 255)),
    purpose: fc.constantFrom("messages" as const, "messages" as const, "snapshot" as const),
    from: fc.oneof({ weight: 20, arbitrary: fc.constantFrom(...PEERS) }, id),
    to: fc.oneof({ weight: 20, arbitrary: fc.constant(SELF) }, id),
    clusterId: fc.oneof({ weight: 20, arbitrary: fc.constant(CLUSTER) }, word),
  })
  .map((hello) => raftFrame("hello", encodeHello(hello)));
const raftBody = fc.oneof(
  { weight: 25, arbitrary: raftMessage.map((message) => raftFrame("message", encodeMessage(message))) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(snapshotMeta, number)
      .map(([meta, term]) => raftFrame("snapshot-begin", encodeSnapshotBegin(meta, term))),
  },
  { weight: 3, arbitrary: bytes(40).map((chunk) => raftFrame("snapshot-chunk", chunk)) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom("ack" as const, "snapshot-end" as const, "snapshot-done" as const, "welcome" as const)
      .map((type) => raftFrame(type)),
  },
  { weight: 1, arbitrary: word.map((reason) => raftFrame("refused", encodeReason(reason))) },
  { weight: 1, arbitrary: bytes(30).map((payload) => raftFrame("message", payload)) },
);

const goodHello = encodeFrame("hello", 0, encodeFields({ cluster: CLUSTER, version: "1" }));
const callHello = fc.oneof(
  { weight: 20, arbitrary: fc.constant(goodHello) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(word, word)
      .map(([cluster, version]) => encodeFrame("hello", 0, encodeFields({ cluster, version }))),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom("{", "null", "[]", '{"__proto__":"x"}', '{"cluster":1}')
      .map((text) => encodeFrame("hello", 0, Buffer.from(text))),
  },
);
const callId = fc.constantFrom(0, 1, 2, 3, 0xffff_ffff);
const INSPECTIONS = ["unit.status", "unit.journal", "unit.properties", "unit.dependencies", "machine.usage"];
const CONSISTENCY = ["kv.digest", "kv.verdict", "kv.state"];
const method = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...INSPECTIONS, ...CONSISTENCY, "kv.leader", "echo", "flood", "throws") },
  fc.constantFrom("", "__proto__", "constructor", "x".repeat(255), "a\nb"),
);
const leaderRequest = fc
  .tuple(
    fc.oneof(
      fc.record({ kind: fc.constantFrom("keep-alive" as const, "remaining" as const), id: number }),
      bytes(40).map((command) => ({ kind: "command" as const, command })),
    ),
    number,
  )
  .map(([request, timeoutMs]) => encodeLeaderRequest(request, timeoutMs));
const word32 = fc.nat(0xffff_ffff);
const reading: fc.Arbitrary<Reading> = fc.oneof(
  fc.record({ kind: fc.constant("digest" as const), digest: fc.record({ high: word32, low: word32 }) }),
  fc.record({ kind: fc.constantFrom("unknown" as const, "distrusted" as const) }),
);
const consistencyBody = fc.oneof(
  fc.tuple(number, number).map(([index, timeoutMs]) => encodeQuestion(index, timeoutMs)),
  fc
    .tuple(number, fc.array(fc.tuple(fc.nat(4), reading), { maxLength: 4 }))
    .map(([index, readings]) => encodeReport({ index, readings: new Map(readings) })),
);
const inspection = fc
  .record(
    {
      unit: fc.oneof({ weight: 6, arbitrary: unitName }, fc.jsonValue({ maxDepth: 1 })),
      lines: fc.oneof(fc.nat(50), fc.constantFrom(-1, 1.5, 1e300, "10", null)),
      follow: fc.constantFrom(true, false, "yes"),
      output: fc.constantFrom("short", "json", "--file=/etc/shadow", "short\n", 1, "-o", ""),
      properties: fc.oneof(
        fc.array(fc.constantFrom("Id", "--all", "A B", "", "__proto__", "x\n"), { maxLength: 2 }),
        fc.constantFrom("Id", null),
      ),
      direction: fc.constantFrom("requires", "before", "--root=/", "__proto__", 1),
      all: fc.constantFrom(true, "--all"),
      units: fc.oneof(fc.array(unitName, { maxLength: 2 }), fc.constantFrom(null, "hello.service")),
      intervalMs: fc.constantFrom(null, 250, 1, -1, 1e300, "250"),
    },
    { requiredKeys: ["unit"] },
  )
  .map((request) => Buffer.from(JSON.stringify(request)));
/** A method and what it takes, mostly. */
const asked = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(fc.constantFrom(...INSPECTIONS), inspection) },
  { weight: 3, arbitrary: fc.tuple(fc.constant("kv.leader"), leaderRequest) },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom(...CONSISTENCY), consistencyBody) },
  { weight: 2, arbitrary: fc.tuple(method, fc.oneof(leaderRequest, inspection, bytes(60))) },
);
const callBody = fc.oneof(
  {
    weight: 30,
    arbitrary: fc
      .tuple(fc.constantFrom("unary" as const, "stream" as const, "stream" as const), callId, asked)
      .map(([type, call, [name, content]]) => encodeFrame(type, call, encodeRequest(name, content))),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(callId, fc.constantFrom(0, 1, 0xffff_ffff))
      .map(([call, credit]) => encodeFrame("credit", call, encodeNumber(credit))),
  },
  { weight: 1, arbitrary: callId.map((call) => encodeFrame("cancel", call)) },
  { weight: 1, arbitrary: callHello },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.constantFrom(
          "unary" as const,
          "stream" as const,
          "credit" as const,
          "cancel" as const,
          "answer" as const,
          "chunk" as const,
        ),
        callId,
        bytes(30),
      )
      .map(([type, call, payload]) => encodeFrame(type, call, payload)),
  },
);

export interface Damage {
  readonly at: number;
  readonly kind: "none" | "flip" | "cut" | "insert";
  readonly bytes: Uint8Array;
}
export const damage: fc.Arbitrary<Damage> = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  kind: fc.constantFrom("none", "none", "none", "none", "flip", "cut", "insert"),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
});

export function damaged(whole: Buffer, { at, kind, bytes: given }: Damage): Buffer {
  const place = Math.floor(at * whole.length);
  if (kind === "none") return whole;
  if (kind === "cut") return whole.subarray(0, place);
  if (kind === "insert") return Buffer.concat([whole.subarray(0, place), given, whole.subarray(place)]);
  const copy = Buffer.from(whole);
  copy.set(given.subarray(0, copy.length - place), place);
  return copy;
}

function conversation(
  magic: string,
  hello: fc.Arbitrary<Uint8Array>,
  rest: fc.Arbitrary<Uint8Array>,
): fc.Arbitrary<Buffer> {
  const start = fc.oneof(
    { weight: 20, arbitrary: fc.constant(magic) },
    fc.constantFrom("", "GET / HTT", "FLT1", "FLT9CALL", "\x16\x03\x01"),
  );
  return fc
    .tuple(start, hello, fc.array(rest, { minLength: 1, maxLength: 6 }), damage)
    .map(([first, greeting, frames, how]) =>
      damaged(Buffer.concat([Buffer.from(first, "latin1"), greeting, ...frames]), how),
    );
}

/** All that one connection to the peer port brings. */
export const peerBytes = fc.oneof(
  { weight: 5, arbitrary: conversation(CALL_MAGIC, callHello, callBody) },
  { weight: 5, arbitrary: conversation(RAFT_MAGIC, raftHello, raftBody) },
  { weight: 1, arbitrary: bytes(100) },
);

const answerFrame = fc.oneof(
  fc
    .tuple(
      fc.constantFrom("answer" as const, "refusal" as const, "chunk" as const, "end" as const, "unary" as const),
      callId,
      bytes(40),
    )
    .map(([type, call, payload]) => encodeFrame(type, call, payload)),
  fc
    .tuple(callId, word, word)
    .map(([call, code, message]) => encodeFrame("refusal", call, encodeFields({ code, message }))),
);
/** What a listener says that this daemon has dialed: to a call, and to raft's greeting. */
export const answerBytes = fc
  .tuple(
    fc.oneof(
      fc.array(answerFrame, { maxLength: 5 }),
      fc.array(fc.oneof(raftBody, fc.constant(raftFrame("welcome"))), { maxLength: 5 }),
    ),
    damage,
  )
  .map(([frames, how]) => damaged(Buffer.concat(frames), how));
