import { expect, test } from "bun:test";
import fc from "fast-check";
import { BinaryReader, BinaryWriter, CodecError } from "./binary.ts";

test("what was written is read, to the byte", () => {
  const item = fc.oneof(
    fc.maxSafeNat().map((value) => ({ kind: "varint", value }) as const),
    fc.integer({ min: 0, max: 0xffff_ffff }).map((value) => ({ kind: "u32", value }) as const),
    fc.uint8Array({ maxLength: 300 }).map((value) => ({ kind: "bytes", value }) as const),
    fc.string({ unit: "grapheme" }).map((value) => ({ kind: "text", value }) as const),
    fc.boolean().map((value) => ({ kind: "bool", value }) as const),
  );
  fc.assert(
    fc.property(fc.array(item), (items) => {
      const writer = new BinaryWriter(1);
      for (const { kind, value } of items) {
        if (kind === "varint") writer.varint(value);
        else if (kind === "u32") writer.u32(value);
        else if (kind === "bytes") writer.bytes(value);
        else if (kind === "text") writer.text(value);
        else writer.bool(value);
      }
      const reader = new BinaryReader(writer.finish());
      for (const { kind, value } of items) expect(reader[kind]()).toEqual(value);
      reader.end();
    }),
  );
});

test("refuses what is too short, too long, padded or too large", () => {
  const read = (...bytes: number[]) => new BinaryReader(new Uint8Array(bytes));
  expect(() => read().u8()).toThrow(CodecError);
  expect(() => read(0, 0, 0).u32()).toThrow(CodecError);
  expect(() => read(5, 1).bytes()).toThrow(CodecError);
  expect(() => read(0x80, 0x00).varint()).toThrow("padded");
  expect(() => read(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1).varint()).toThrow("larger");
  expect(() => read(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f).varint()).toThrow("larger");
  expect(() => read(2).bool()).toThrow(CodecError);
  expect(() => read(1, 0xff).text()).toThrow("UTF-8");
  expect(() => read(9).count()).toThrow("do not fit");
  expect(() => read(1).end()).toThrow("left over");
  expect(() => new BinaryWriter().varint(-1)).toThrow(CodecError);
  expect(() => new BinaryWriter().varint(2 ** 53)).toThrow(CodecError);
});
