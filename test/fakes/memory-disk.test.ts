/** The memory disk is a LogStorage, and tears as a disk does. */
import { expect, test } from "bun:test";
import { logStorageContract } from "../contract/log-storage.ts";
import { SeededRandom } from "../sim/random.ts";
import { MemoryDisk } from "./memory-disk.ts";

logStorageContract("in memory", async () => {
  const disk = new MemoryDisk();
  return {
    reopen: async () => disk.open(),
    fill: async () => {
      disk.full = true;
      return disk.open();
    },
    corrupt: async () => disk.corrupt(),
    end: async () => {},
  };
});

const entry = { index: 1, term: 1, kind: "normal", data: new Uint8Array(1) } as const;
const batch = { hardState: { term: 1, vote: 0, commit: 0 }, entries: [entry], mustSync: true };

test("a crash loses a write under way, or lets it through as a whole", async () => {
  for (const [chance, entries] of [
    [0.9, []],
    [0.1, [entry]],
  ] as const) {
    const disk = new MemoryDisk({ delay: () => new Promise(() => {}), random: () => chance });
    void disk.open().append(batch);
    const after = await disk.open().load();
    expect(after.entries).toEqual([...entries]);
    expect(after.hardState.term).toBe(entries.length);
  }
});

test("of several writes under way a crash keeps the first ones, from none to all, and never one behind a gap", async () => {
  const random = new SeededRandom(1);
  const kept = new Map<number, number>();
  for (let crash = 0; crash < 300; crash++) {
    const disk = new MemoryDisk({ delay: () => new Promise(() => {}), random: () => random.next() });
    const log = disk.open();
    for (let index = 1; index <= 4; index++) void log.append({ ...batch, entries: [{ ...entry, index }] });
    const { entries } = await disk.open().load();
    expect(entries.map(({ index }) => index)).toEqual([1, 2, 3, 4].slice(0, entries.length));
    kept.set(entries.length, (kept.get(entries.length) ?? 0) + 1);
  }
  expect([...kept.keys()].sort()).toEqual([0, 1, 2, 3, 4]);
});
