/** Snapshots by TCP on loopback sockets: whole, slow, broken, gone on with. @module */
import { expect, test } from "bun:test";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { connected, Members } from "../../test/fakes/transport-member.ts";
import type { SnapshotPrefix } from "../driver/ports.ts";
import { SnapshotDigest } from "../driver/snapshot-digest.ts";
import type { SnapshotMeta } from "../types.ts";
import type { Connection, ConnectionHandler } from "./connection.ts";
import { encodeSnapshotBegin } from "./frames.ts";
import { receiveSnapshotOver } from "./snapshot-stream.ts";

const members = new Members();
const pair = members.pair.bind(members);
const meta: SnapshotMeta = { index: 10, term: 3, membership: { voters: [1, 2], learners: [] } };

async function* pieces(count: number, size: number, taken: { count: number }): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) {
    taken.count += 1;
    yield new Uint8Array(size).fill(i);
  }
}

test("a snapshot arrives chunk by chunk, and the sender learns when it is on disk", async () => {
  const [one, two] = await pair();
  const sizes: number[] = [];
  let begun: unknown = null;
  two.onSnapshot = async (from, { meta: received, term, chunks }) => {
    begun = { from, received, term };
    for await (const chunk of chunks) sizes.push(chunk.length);
  };
  await one.transport?.sendSnapshot(2, meta, 4, pieces(40, 100_000, { count: 0 }));
  expect(begun).toEqual({ from: 1, received: meta, term: 4 });
  expect(sizes).toEqual(Array.from({ length: 40 }, () => 100_000));
});

test("a slow receiver slows the sender down, and messages pass it", async () => {
  const [one, two] = await pair();
  await connected(one, two);
  const taken = { count: 0 };
  const release = Promise.withResolvers<void>();
  two.onSnapshot = async (_from, { chunks }) => {
    await release.promise;
    for await (const _chunk of chunks);
  };
  const sent = one.transport?.sendSnapshot(2, meta, 4, pieces(50, 200_000, taken));
  await connected(one, two);
  expect(taken.count).toBeLessThanOrEqual(6);
  release.resolve();
  await sent;
  expect(taken.count).toBe(50);
});

test("a receiver that needs no snapshot says so before the end; one that fails says why", async () => {
  const [one, two] = await pair();
  const taken = { count: 0 };
  await one.transport?.sendSnapshot(2, meta, 4, pieces(1000, 1000, taken));
  expect(taken.count).toBeLessThan(1000);
  two.onSnapshot = async () => {
    throw new Error("the disk is full");
  };
  await expect(one.transport?.sendSnapshot(2, meta, 4, pieces(5, 10, taken))).rejects.toThrow("the disk is full");
});

test("a transfer whose peer dies, or is not there, ends with an error on both sides", async () => {
  const [one, two] = await pair();
  const heard = Promise.withResolvers<unknown>();
  two.onSnapshot = async (_from, { chunks }) => {
    try {
      for await (const _chunk of chunks) void one.transport?.stop();
    } catch (error) {
      heard.resolve(error);
      throw error;
    }
  };
  await expect(one.transport?.sendSnapshot(2, meta, 4, pieces(1000, 1000, { count: 0 }))).rejects.toThrow("broke");
  expect(String(await heard.promise)).toContain("the connection broke");
  const third = members.make(3);
  await third.start(new Map([[2, "127.0.0.1:1"]]));
  await expect(third.transport?.sendSnapshot(2, meta, 4, pieces(1, 1, { count: 0 }))).rejects.toThrow("broke");
});

/** The prefix that a receiver would have of pieces(). */
async function prefixOf(chunks: number, size: number): Promise<SnapshotPrefix> {
  const digest = new SnapshotDigest();
  for await (const piece of pieces(chunks, size, { count: 0 })) digest.add(piece);
  return { index: meta.index, term: meta.term, chunks, digest: digest.value() };
}

test("a snapshot goes on behind what the peer has of it, and ends with the digest of all", async () => {
  const [one, two] = await pair();
  two.prefix = await prefixOf(30, 1000);
  const seen: unknown[] = [];
  two.onSnapshot = async (_from, { skipped, chunks, digest }) => {
    for await (const chunk of chunks) seen.push(chunk[0]);
    seen.push(skipped, digest());
  };
  await one.transport?.sendSnapshot(2, meta, 4, pieces(33, 1000, { count: 0 }));
  expect(seen).toEqual([30, 31, 32, 30, (await prefixOf(33, 1000)).digest]);
});

test("a peer with the beginning of another snapshot gets all of this one, at once or with the next try", async () => {
  const [one, two] = await pair();
  const arrived: string[] = [];
  two.onSnapshot = async (_from, { skipped, chunks }) => {
    let count = 0;
    two.note(() => {
      two.prefix = null;
    });
    try {
      for await (const _chunk of chunks) count++;
    } finally {
      arrived.push(`${skipped}+${count}`);
    }
  };
  two.prefix = { ...(await prefixOf(3, 10)), index: 9 };
  await one.transport?.sendSnapshot(2, meta, 4, pieces(5, 10, { count: 0 }));
  // The same position in the log, other bytes.
  two.prefix = await prefixOf(3, 11);
  await expect(one.transport?.sendSnapshot(2, meta, 4, pieces(5, 10, { count: 0 }))).rejects.toThrow("another");
  await two.until(() => two.prefix === null);
  two.prefix = await prefixOf(7, 10);
  await expect(one.transport?.sendSnapshot(2, meta, 4, pieces(5, 10, { count: 0 }))).rejects.toThrow("another");
  await two.until(() => two.prefix === null);
  await one.transport?.sendSnapshot(2, meta, 4, pieces(5, 10, { count: 0 }));
  expect(arrived).toEqual(["0+5", "0+0", "0+0", "0+5"]);
});

test("a transfer that is begun anew ends the one before it", async () => {
  const [one, two] = await pair();
  const ends: string[] = [];
  let begun = 0;
  two.onSnapshot = async (_from, { chunks }) => {
    try {
      for await (const _chunk of chunks) two.note(() => begun++);
      ends.push("whole");
    } catch (error) {
      two.note(() => ends.push(String(error)));
    }
  };
  const stuck = one.transport?.sendSnapshot(2, meta, 4, neverEnding());
  stuck?.catch(() => {});
  await two.until(() => begun === 1);
  await one.transport?.sendSnapshot(2, meta, 4, pieces(5, 10, { count: 0 }));
  expect(ends).toEqual([expect.stringContaining("began anew"), "whole"]);
});

async function* neverEnding(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(10);
  await new Promise(() => {});
}

test("a sender of an earlier release may send four chunks ahead, however large, and not one more", () => {
  const closings: string[] = [];
  let handler: ConnectionHandler = { frame() {}, closed() {} };
  const connection = {
    write() {},
    close: (reason: string) => closings.push(reason),
    set handler(next: ConnectionHandler) {
      handler = next;
    },
  } as unknown as Connection;
  const take = ({ chunks }: { readonly chunks: AsyncIterable<Uint8Array> }) => Array.fromAsync(chunks).then(() => {});
  receiveSnapshotOver(connection, new ManualClock(), take, () => {});
  handler.frame({ type: "snapshot-begin", payload: encodeSnapshotBegin(meta, 4) });
  for (let i = 0; i < 4; i++) handler.frame({ type: "snapshot-chunk", payload: new Uint8Array(1_600_000) });
  expect(closings).toEqual([]);
  handler.frame({ type: "snapshot-chunk", payload: new Uint8Array(10) });
  expect(closings).toEqual(["the sender ignores the window"]);
});

test("connections that carried a snapshot are forgotten with their end", async () => {
  const [one, two] = await pair();
  await connected(one, two);
  await connected(two, one);
  const before = two.transport?.connectionCount;
  for (let i = 0; i < 10; i++) {
    await one.transport?.sendSnapshot(2, meta, 4, pieces(3, 10, { count: 0 }));
  }
  await connected(one, two);
  expect(two.transport?.connectionCount).toBe(before);
});
