/** The codec: what goes in comes out, and no bytes at all make it crash or swell. */
import { expect, test } from "bun:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import type { Entry, Message, SnapshotMeta } from "../types.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import { CodecError, decodeMessage, encodeMessage } from "./codec.ts";

const uint = () => fc.maxSafeNat();
const id = () => fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const envelope = { from: id(), to: id(), term: uint() };
const kind = <K extends Message["kind"]>(value: K) => fc.constant(value);

const entries = fc
  .record({
    prevIndex: fc.nat(),
    kinds: fc.array(
      fc.record({ term: uint(), kind: fc.constantFrom("normal", "noop", "config"), data: fc.uint8Array() }),
    ),
  })
  .map(({ prevIndex, kinds }) => ({
    prevIndex,
    entries: kinds.map((rest, i) => ({ index: prevIndex + 1 + i, ...rest }) as Entry),
  }));
const snapshot: fc.Arbitrary<SnapshotMeta> = fc.record({
  index: id(),
  term: uint(),
  membership: fc.record(
    {
      voters: fc.array(id(), { minLength: 1 }),
      learners: fc.array(id()),
      outgoing: fc.array(id(), { minLength: 1 }),
    },
    { requiredKeys: ["voters", "learners"] },
  ),
});

const messages: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ kind: kind("pre-vote"), ...envelope, lastIndex: uint(), lastTerm: uint() }),
  fc.record({ kind: kind("pre-vote-reply"), ...envelope, granted: fc.boolean() }),
  fc.record({ kind: kind("vote"), ...envelope, lastIndex: uint(), lastTerm: uint(), transfer: fc.boolean() }),
  fc.record({ kind: kind("vote-reply"), ...envelope, granted: fc.boolean() }),
  fc
    .record({ kind: kind("append"), ...envelope, prevTerm: uint(), commit: uint(), log: entries })
    .map(({ log, ...rest }) => ({ ...rest, ...log })),
  fc.record({
    kind: kind("append-reply"),
    ...envelope,
    index: uint(),
    rejected: fc.boolean(),
    hintIndex: uint(),
    hintTerm: uint(),
  }),
  fc.record({ kind: kind("heartbeat"), ...envelope, commit: uint(), readContext: uint() }),
  fc.record({ kind: kind("heartbeat-reply"), ...envelope, readContext: uint() }),
  fc.record({ kind: kind("snapshot"), ...envelope, snapshot }),
  fc.record({ kind: kind("read-index"), ...envelope, context: uint() }),
  fc.record({ kind: kind("read-index-reply"), ...envelope, context: uint(), index: uint(), rejected: fc.boolean() }),
  fc.record({ kind: kind("timeout-now"), ...envelope }),
  fc.record({ kind: kind("recovering"), ...envelope, recovery: uint() }),
  fc.record({ kind: kind("recovered"), ...envelope, recovery: uint() }),
  fc.record({
    kind: kind("recovery-reply"),
    ...envelope,
    recovery: uint(),
    index: uint(),
    rejected: fc.boolean(),
    hintIndex: uint(),
    hintTerm: uint(),
  }),
);

function decodeOrRefuse(bytes: Uint8Array): Message | null {
  try {
    return decodeMessage(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(CodecError);
    return null;
  }
}

test("every message comes back as it was", () => {
  fc.assert(fc.property(messages, (message) => expect(decodeMessage(encodeMessage(message))).toEqual(message)));
});

test("a message that was cut anywhere is refused", () => {
  fc.assert(
    fc.property(messages, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (message, part) => {
      const bytes = encodeMessage(message);
      expect(decodeOrRefuse(bytes.subarray(0, Math.floor(bytes.length * part)))).toBeNull();
    }),
  );
});

test("a flipped bit is refused", () => {
  fc.assert(
    fc.property(messages, fc.nat(), fc.integer({ min: 0, max: 7 }), (message, at, bit) => {
      const bytes = encodeMessage(message).slice();
      const position = at % bytes.length;
      bytes[position] = (bytes[position] ?? 0) ^ (1 << bit);
      expect(decodeOrRefuse(bytes)).toBeNull();
    }),
    { numRuns: 2000 },
  );
});

test("random bytes are refused", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => expect(decodeOrRefuse(bytes)).toBeNull()));
});

test("bytes with a right checksum and nonsense inside are refused or a message, without swelling", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 14 }), fc.uint8Array({ maxLength: 60 }), (kindNumber, body) => {
      const writer = new ByteWriter();
      writer.u8(1);
      writer.u8(kindNumber);
      writer.u32(crc32(body, crc32(new Uint8Array([1, kindNumber]))));
      for (const byte of body) writer.u8(byte);
      const message = decodeOrRefuse(writer.finish());
      if (message?.kind === "append") expect(message.entries.length).toBeLessThanOrEqual(body.length);
    }),
    { numRuns: 2000 },
  );
});

test("a count far beyond the bytes that follow is refused before anything is allocated", () => {
  const writer = new ByteWriter();
  writer.uint(Number.MAX_SAFE_INTEGER);
  expect(() => new ByteReader(writer.finish()).count(1)).toThrow(CodecError);
  expect(() => new ByteReader(writer.finish()).bytes()).toThrow(CodecError);
  expect(new ByteReader(writer.finish()).uint()).toBe(Number.MAX_SAFE_INTEGER);
});

test("a number beyond the safe integers, or spun out with zeroes, is refused", () => {
  expect(() => new ByteReader(new Uint8Array(8).fill(0xff)).uint()).toThrow(CodecError);
  expect(() => new ByteReader(new Uint8Array([...new Array(20).fill(0x80), 0])).uint()).toThrow(CodecError);
});

test("another version is refused by name", () => {
  const bytes = encodeMessage({ kind: "timeout-now", from: 1, to: 2, term: 3 }).slice();
  bytes[0] = 9;
  expect(() => decodeMessage(bytes)).toThrow("its version is 9, this node speaks 1");
});
