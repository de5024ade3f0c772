/**
 * Kv contract: watches (etcd's API guide, "Watch API").
 *
 * @module
 */
import { expect, test } from "bun:test";
import { encodeText } from "../../../src/lib/text.ts";
import type { WatchRequest } from "../../../src/store/kv.ts";
import { expectRefused, type Room, takeBatches, takeEvents } from "./room.ts";

export function watchContract(open: () => Room): void {
  const events = async (room: Room, request: Partial<WatchRequest>, count: number): Promise<string> => {
    const watch = room.kv.watch({ ...room.all(), ...request });
    const shown = room.showEvents(await takeEvents(watch, count));
    watch.close();
    return shown;
  };

  test("a watch delivers what comes after it was placed, a transaction at a time", async () => {
    const room = open();
    await room.put("before", "1");
    const watch = room.kv.watch(room.all());
    const placed = await watch.ready;
    const first = await room.put("a", "1");
    await room.write(room.putOp("b", "1"), room.deleteOp("a"), room.putOp("c", "1"));
    const batches = await takeBatches(watch, 4);
    expect(placed).toBeLessThan(first);
    expect(batches.map((batch) => [batch.revision, room.showEvents(batch.events)])).toEqual([
      [first, "+a=1"],
      [first + 1, "+b=1 -a +c=1"],
    ]);
    const [put, , deleted] = batches.flatMap((batch) => batch.events);
    expect(put?.kv).toMatchObject({ createRevision: first, modRevision: first, version: 1 });
    expect(deleted?.kv).toEqual({
      key: room.key("a"),
      value: new Uint8Array(),
      createRevision: 0,
      modRevision: first + 1,
      version: 0,
      lease: 0,
    });
    watch.close();
  });

  test("history is replayed from any revision, then goes on live without a gap", async () => {
    const room = open();
    const first = await room.put("a", "1");
    await room.put("b", "1");
    await room.delete("a");
    expect(await events(room, { startRevision: first }, 3)).toBe("+a=1 +b=1 -a");
    const watch = room.kv.watch({ ...room.all(), startRevision: first + 1 });
    await room.put("c", "1");
    expect(room.showEvents(await takeEvents(watch, 3))).toBe("+b=1 -a +c=1");
    await room.put("d", "1");
    expect(room.showEvents(await takeEvents(watch, 1))).toBe("+d=1");
    watch.close();
  });

  test("a start in the future holds back what comes before it", async () => {
    const room = open();
    const now = await room.put("a", "1");
    const watch = room.kv.watch({ ...room.all(), startRevision: now + 3 });
    await watch.ready;
    for (const value of ["2", "3", "4"]) await room.put("a", value);
    expect(room.showEvents(await takeEvents(watch, 1))).toBe("+a=4");
    watch.close();
  });

  test("one key, a span, and filters select", async () => {
    const room = open();
    const first = await room.put("a", "1");
    await room.put("ab", "1");
    await room.put("b", "1");
    await room.delete("ab");
    await room.put("end", "1");
    const startRevision = first;
    const single = room.kv.watch({ key: room.key("ab"), startRevision });
    expect(room.showEvents(await takeEvents(single, 2))).toBe("+ab=1 -ab");
    single.close();
    expect(await events(room, { ...room.span("a", "b"), startRevision }, 3)).toBe("+a=1 +ab=1 -ab");
    expect(await events(room, { startRevision, noDelete: true }, 4)).toBe("+a=1 +ab=1 +b=1 +end=1");
    expect(await events(room, { startRevision, noPut: true }, 1)).toBe("-ab");
  });

  test("prevKv shows what was there before", async () => {
    const room = open();
    const first = await room.put("a", "1");
    await room.put("a", "2");
    await room.delete("a");
    await room.put("a", "3");
    const watch = room.kv.watch({ ...room.all(), startRevision: first, prevKv: true });
    const prev = (await takeEvents(watch, 4)).map((event) => event.prevKv && room.show([event.prevKv]));
    expect(prev).toEqual([undefined, "a=1", "a=2", undefined]);
    watch.close();
  });

  test("watches do not disturb each other", async () => {
    const room = open();
    const watches = ["a", "b", "a"].map((name) => room.kv.watch({ key: room.key(name) }));
    const wide = room.kv.watch(room.all());
    await Promise.all([...watches, wide].map((watch) => watch.ready));
    await room.put("a", "1");
    watches[0]?.close();
    await room.put("b", "1");
    await room.put("a", "2");
    const [, second, third] = watches;
    expect(second && room.showEvents(await takeEvents(second, 1))).toBe("+b=1");
    expect(third && room.showEvents(await takeEvents(third, 2))).toBe("+a=1 +a=2");
    expect(room.showEvents(await takeEvents(wide, 3))).toBe("+a=1 +b=1 +a=2");
    for (const watch of [...watches, wide]) watch.close();
  });

  test("a start below the compaction floor ends with compacted", async () => {
    const room = open();
    const first = await room.put("a", "1");
    await room.put("a", "2");
    const floor = await room.put("a", "3");
    await room.kv.compact(floor);
    const watch = room.kv.watch({ ...room.all(), startRevision: first });
    const error = await expectRefused(watch[Symbol.asyncIterator]().next(), "compacted");
    expect(error.compactRevision).toBe(floor);
    expect(await watch[Symbol.asyncIterator]().next()).toMatchObject({ done: true });
    expect(await events(room, { startRevision: floor }, 1)).toBe("+a=3");
  });

  test("progress on request: an empty batch that covers everything so far", async () => {
    const room = open();
    const watch = room.kv.watch({ key: room.key("quiet") });
    await watch.ready;
    const revision = await room.put("loud", "1");
    watch.requestProgress();
    const next = await watch[Symbol.asyncIterator]().next();
    expect(next.done).toBeFalsy();
    expect(next.value?.events).toEqual([]);
    expect(next.value?.revision).toBeGreaterThanOrEqual(revision);
    watch.close();
  });

  test("a closed watch ends quietly, also for who waits", async () => {
    const room = open();
    const watch = room.kv.watch(room.all());
    await watch.ready;
    const waiting = watch[Symbol.asyncIterator]().next();
    watch.close();
    watch.close();
    expect(await waiting).toMatchObject({ done: true });
    await room.put("a", "1");
    let seen = 0;
    for await (const _ of watch) seen++;
    expect(seen).toBe(0);
  });

  test("leaving the loop closes the watch", async () => {
    const room = open();
    const first = await room.put("a", "1");
    const watch = room.kv.watch({ ...room.all(), startRevision: first });
    for await (const batch of watch) {
      expect(room.showEvents(batch.events)).toBe("+a=1");
      break;
    }
    expect(await watch[Symbol.asyncIterator]().next()).toMatchObject({ done: true });
  });

  test("a consumer that sleeps through thousands of events gets every one", async () => {
    const room = open();
    const watch = room.kv.watch(room.all());
    await watch.ready;
    const rounds = 50;
    for (let round = 0; round < rounds; round++) {
      await room.write(
        ...Array.from({ length: 100 }, (_, i) => ({
          op: "put" as const,
          key: room.key(`${i}`),
          value: encodeText(`${round}`),
        })),
      );
    }
    const batches = await takeBatches(watch, rounds * 100);
    expect(batches.length).toBe(rounds);
    expect(batches.every((batch, i) => i === 0 || batch.revision === (batches[i - 1]?.revision ?? 0) + 1)).toBe(true);
    expect(batches.every((batch, i) => batch.events.every((e) => e.kv.version === i + 1))).toBe(true);
    watch.close();
  });
}
