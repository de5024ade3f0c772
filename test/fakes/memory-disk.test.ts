/** The memory disk is a LogStorage, and tears as a disk does. */
import { expect, test } from "bun:test";
import { logStorageContract } from "../contract/log-storage.ts";
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
