import { expect, test } from "bun:test";
import fc from "fast-check";
import { anyCommand } from "../../test/fakes/store-arbitraries.ts";
import { CodecError } from "../lib/binary.ts";
import { NewerFormatError } from "../lib/format.ts";
import { decodeCommand, encodeCommand, encodeProposal } from "./codec.ts";
import type { Command } from "./command.ts";
import { KvError, type Op } from "./kv.ts";
import { decodeResult, encodeResult } from "./result-codec.ts";
import { Store } from "./store.ts";

test("a command survives the way through bytes, and does the same afterwards", () => {
  fc.assert(
    fc.property(fc.array(anyCommand, { maxLength: 15 }), (commands) => {
      const [one, two] = [new Store(), new Store()];
      for (const command of commands) {
        const bytes = encodeCommand(command);
        const decoded = decodeCommand(bytes);
        expect(encodeCommand(decoded)).toEqual(bytes);
        const result = one.apply(command);
        expect(two.apply(decoded)).toEqual(result);
        const returned = decodeResult(encodeResult(result));
        // Some are views into a Buffer: compare them as plain bytes.
        expect(encodeResult(returned)).toEqual(encodeResult(result));
        expect(returned.kind).toBe(result.kind);
      }
      expect(two.hash()).toEqual(one.hash());
    }),
    { numRuns: 200 },
  );
});

test("any bytes are a command, a CodecError or of a later format, never anything else", () => {
  const attempt = (decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array) => {
    try {
      decode(bytes);
    } catch (error) {
      expect(error instanceof CodecError || error instanceof NewerFormatError).toBe(true);
    }
  };
  const raw = fc.uint8Array({ maxLength: 80 });
  fc.assert(
    fc.property(raw, fc.nat(4), (bytes, kind) => {
      for (const decode of [decodeCommand, decodeResult]) {
        attempt(decode, bytes);
        attempt(decode, new Uint8Array([1, kind, ...bytes]));
      }
    }),
    { numRuns: 2_000 },
  );
  // Nearly right ones go deeper: one byte changed, some cut off.
  fc.assert(
    fc.property(anyCommand, fc.nat(), fc.nat(255), (command, at, byte) => {
      const bytes = encodeCommand(command);
      const result = encodeResult(new Store().apply(command));
      for (const [decode, good] of [
        [decodeCommand, bytes],
        [decodeResult, result],
      ] as const) {
        const changed = good.slice();
        changed[at % changed.length] = byte;
        attempt(decode, changed);
        expect(() => decode(good.subarray(0, at % good.length))).toThrow(CodecError);
      }
    }),
    { numRuns: 1_000 },
  );
});

test("endless nesting and endless lists are refused before they cost anything", () => {
  const nested = new Uint8Array(4_000).fill(0);
  nested.set([1, 0]);
  for (let i = 2; i + 3 < nested.length; i += 3) nested.set([0, 1, 3], i);
  expect(() => decodeCommand(nested)).toThrow("nested too deeply");
  const list = new Uint8Array([1, 2, 0xff, 0xff, 0xff, 0xff, 0x7f]);
  expect(() => decodeCommand(list)).toThrow("do not fit");
});

test("another version is refused with advice", () => {
  expect(() => decodeCommand(new Uint8Array([2, 0]))).toThrow("upgrade");
});

test("what the format cannot say is an invalid request", () => {
  const put: Op = { op: "put", key: new Uint8Array([1]), value: new Uint8Array(), lease: -1 };
  const command: Command = { kind: "txn", request: { compare: [], success: [put], failure: [] } };
  expect(() => encodeProposal(command)).toThrow(KvError);
});
