import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FrameReader, frame } from "./frames.ts";
import { GrpcError, Status } from "./status.ts";

/** Cuts bytes into pieces at the given places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  const edges = [0, ...sorted, bytes.length];
  return edges.slice(1).map((edge, i) => bytes.slice(edges[i], edge));
}

describe("FrameReader", () => {
  test("gives back what was framed, however it is cut", () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 });
    fc.assert(
      fc.property(messages, fc.array(fc.nat(), { maxLength: 20 }), (sent, places) => {
        const reader = new FrameReader(1_000);
        const pieces = cut(Buffer.concat(sent.map(frame)), places);
        const received = pieces.flatMap((piece) => reader.push(piece));
        expect(received.map((one) => [...one])).toEqual(sent.map((one) => [...one]));
        expect(reader.isMidway).toBe(false);
      }),
    );
  });

  test("knows when it stands in the middle of a message", () => {
    const bytes = frame(new Uint8Array([1, 2, 3]));
    for (let length = 0; length <= bytes.length; length++) {
      const reader = new FrameReader(10);
      reader.push(bytes.slice(0, length));
      expect(reader.isMidway).toBe(length > 0 && length < bytes.length);
    }
  });

  test("takes twenty megabytes in small pieces", () => {
    const message = new Uint8Array(20_000_000).fill(7);
    message[19_999_999] = 8;
    const bytes = frame(message);
    const reader = new FrameReader(message.length);
    const received: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += 16_384) received.push(...reader.push(bytes.subarray(at, at + 16_384)));
    expect(received.length).toBe(1);
    expect(Buffer.compare(received[0] as Uint8Array, message)).toBe(0);
  });

  test("refuses a length above its limit at once, and what is compressed", () => {
    const refusal = (bytes: number[]) => {
      try {
        new FrameReader(100).push(new Uint8Array(bytes));
      } catch (error) {
        return error as GrpcError;
      }
      return undefined;
    };
    expect(refusal([0, 0, 0, 0, 101])).toMatchObject({ status: Status.resourceExhausted, fate: "no-answer" });
    expect(refusal([0, 0, 0, 0, 100])).toBeUndefined();
    expect(refusal([0, 255, 255, 255, 255])).toBeInstanceOf(GrpcError);
    expect(refusal([1, 0, 0, 0, 1, 0])).toMatchObject({ status: Status.unimplemented });
  });
});
