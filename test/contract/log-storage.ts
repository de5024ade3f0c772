/**
 * What every LogStorage must do: one suite for the disk and for the fake that the simulator uses.
 *
 * @module
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Entry, HardState, LogStorage, SnapshotMeta } from "#raft";

/** One disk: it can be opened again after a crash (unsynced things lost) and it can be made full. */
export interface LogStorageFixture {
  /** Ends the storage that is open, as a crash does, and opens the same disk again. */
  reopen(): Promise<LogStorage>;
  /** Makes the disk full and returns the storage to go on with. */
  fill(): Promise<LogStorage>;
  /** Damages what was written. */
  corrupt(): Promise<void>;
  end(): Promise<void>;
}

const membership = { voters: [1, 2, 3], learners: [4] };
const hard = (term: number, vote = 0, commit = 0): HardState => ({ term, vote, commit });

function entry(index: number, term: number, data = `entry ${index} of term ${term}`): Entry {
  return { index, term, kind: index === 1 ? "noop" : "normal", data: new TextEncoder().encode(data) };
}

function run(from: number, to: number, term: number): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => entry(from + i, term));
}

async function read(storage: LogStorage): Promise<{ meta: SnapshotMeta; text: string } | null> {
  const snapshot = await storage.readSnapshot();
  if (snapshot === null) return null;
  let text = "";
  for await (const chunk of snapshot.chunks) text += new TextDecoder().decode(chunk);
  return { meta: snapshot.meta, text };
}

async function write(storage: LogStorage, meta: SnapshotMeta, chunks: readonly string[]) {
  const writer = await storage.createSnapshot(meta);
  for (const chunk of chunks) await writer.write(new TextEncoder().encode(chunk));
  return writer;
}

export function logStorageContract(name: string, make: () => Promise<LogStorageFixture>): void {
  describe(`LogStorage: ${name}`, () => {
    let fixture: LogStorageFixture;
    let storage: LogStorage;
    beforeEach(async () => {
      fixture = await make();
      storage = await fixture.reopen();
    });
    afterEach(() => fixture.end());
    const reopen = async () => {
      storage = await fixture.reopen();
      return storage.load();
    };
    const append = (entries: readonly Entry[], hardState: HardState | null = null) =>
      storage.append({ hardState, entries, mustSync: true });

    test("an empty disk holds nothing", async () => {
      expect(await storage.load()).toEqual({ hardState: hard(0), snapshot: null, entries: [] });
      expect(await storage.readSnapshot()).toBeNull();
    });

    test("what a resolved append wrote survives a crash, byte for byte", async () => {
      const big: Entry = { index: 3, term: 2, kind: "normal", data: new Uint8Array(300_000).map((_, i) => i) };
      const empty: Entry = { index: 4, term: 2, kind: "config", data: new Uint8Array(0) };
      await append([entry(1, 1), entry(2, 1)], hard(1, 3));
      await append([big, empty], hard(2, 281_474_976_710_655, 2));
      const loaded = await reopen();
      expect(loaded).toEqual({
        hardState: hard(2, 281_474_976_710_655, 2),
        snapshot: null,
        entries: [entry(1, 1), entry(2, 1), big, empty],
      });
    });

    test("thesis 3.5: entries replace everything from the first of them on", async () => {
      await append(run(1, 10, 1), hard(1));
      await append(run(4, 5, 2), hard(2));
      const { entries } = await reopen();
      expect(entries).toEqual([...run(1, 3, 1), ...run(4, 5, 2)]);
    });

    test("a null hard state leaves the one on disk", async () => {
      await append([], hard(7, 2, 0));
      await append(run(1, 2, 7));
      expect((await reopen()).hardState).toEqual(hard(7, 2, 0));
    });

    test("a finished snapshot is what the next life starts from", async () => {
      await append(run(1, 20, 1), hard(1, 1, 15));
      const meta = { index: 15, term: 1, membership };
      await (await write(storage, meta, ["ab", "", "cd"])).finish();
      const loaded = await reopen();
      expect(loaded.snapshot).toEqual(meta);
      expect(loaded.entries).toEqual(run(16, 20, 1));
      expect(await read(storage)).toEqual({ meta, text: "abcd" });
    });

    test("an unfinished snapshot is nothing after a crash, an aborted one at once", async () => {
      await append(run(1, 5, 1), hard(1));
      await write(storage, { index: 5, term: 1, membership }, ["lost"]);
      expect(await read(storage)).toBeNull();
      expect((await reopen()).snapshot).toBeNull();
      await (await write(storage, { index: 5, term: 1, membership }, ["lost"])).abort();
      expect(await read(storage)).toBeNull();
      await (await write(storage, { index: 5, term: 1, membership }, ["kept"])).finish();
      expect((await read(storage))?.text).toBe("kept");
    });

    test("one snapshot is written at a time", async () => {
      const writer = await write(storage, { index: 5, term: 1, membership }, ["a"]);
      await expect(storage.createSnapshot({ index: 6, term: 1, membership })).rejects.toThrow();
      await writer.abort();
      await writer.abort();
      await (await storage.createSnapshot({ index: 6, term: 1, membership })).abort();
    });

    test("a reader is not disturbed by the next snapshot", async () => {
      await append(run(1, 20, 1), hard(1));
      await (await write(storage, { index: 10, term: 1, membership }, ["old ", "old"])).finish();
      const reader = await storage.readSnapshot();
      await (await write(storage, { index: 20, term: 1, membership }, ["new"])).finish();
      let text = "";
      for await (const chunk of reader?.chunks ?? []) text += new TextDecoder().decode(chunk);
      expect(text).toBe("old old");
      expect((await read(storage))?.text).toBe("new");
    });

    test("compaction drops entries, and never more than the snapshot stands for", async () => {
      await append(run(1, 20, 1), hard(1));
      await storage.compact(20);
      expect((await reopen()).entries).toHaveLength(20);
      await (await write(storage, { index: 10, term: 1, membership }, ["s"])).finish();
      await storage.compact(20);
      expect((await reopen()).entries).toEqual(run(11, 20, 1));
      await append(run(21, 22, 1));
      expect((await reopen()).entries).toEqual(run(11, 22, 1));
    });

    test("an installed snapshot takes the place of log and hard state together", async () => {
      await append(run(1, 20, 1), hard(1));
      const meta = { index: 100, term: 5, membership };
      const writer = await write(storage, meta, ["state"]);
      await writer.seal();
      expect(await read(storage)).toBeNull();
      await storage.installSnapshot(writer, hard(6, 0, 100));
      const loaded = await reopen();
      expect(loaded).toEqual({ hardState: hard(6, 0, 100), snapshot: meta, entries: [] });
      await append(run(101, 102, 6));
      expect((await reopen()).entries).toEqual(run(101, 102, 6));
      expect((await read(storage))?.text).toBe("state");
    });

    test("a full disk refuses entries with DiskFullError, writes nothing, and still takes hard state", async () => {
      await append(run(1, 3, 1), hard(1));
      storage = await fixture.fill();
      const big: Entry = { index: 4, term: 1, kind: "normal", data: new Uint8Array(1_000_000) };
      await expect(append([big], hard(1, 0, 3))).rejects.toMatchObject({ code: "disk-full" });
      await append([], hard(2, 3, 2));
      const loaded = await reopen();
      expect(loaded.hardState).toEqual(hard(2, 3, 2));
      expect(loaded.entries).toEqual(run(1, 3, 1));
    });

    test("damage is found by load(), not passed on", async () => {
      await append(run(1, 50, 1), hard(1));
      await fixture.corrupt();
      const load = async () => (await fixture.reopen()).load();
      await expect(load()).rejects.toMatchObject({ code: "corrupt-log" });
    });

    test("verify() passes over what is sound, beside a snapshot that is taken, and finds what is not", async () => {
      await append(run(1, 1200, 1), hard(1));
      await (await write(storage, { index: 15, term: 1, membership }, ["ab", "cd"])).finish();
      const verified = storage.verify(() => false);
      await append(run(1201, 1300, 1), hard(1, 0, 1200));
      await (await write(storage, { index: 1200, term: 1, membership }, ["ef"])).finish();
      await Promise.all([verified, storage.compact(1100)]);
      await storage.verify(() => false);
    });

    test("what was condemned is not believed by the next life, for the reason that was given, until it is recovered from", async () => {
      await append(run(1, 50, 1), hard(1));
      await storage.condemn("It is another disk");
      storage = await fixture.reopen();
      await expect(storage.load()).rejects.toThrow("It is another disk");
      await storage.recover();
      expect((await storage.load()).hardState.recovery).toBeGreaterThan(0);
      expect((await reopen()).hardState.recovery).toBeGreaterThan(0);
    });

    test("after damage recover() keeps an unbroken beginning, and a number that stays until a hard state has none", async () => {
      await append(run(1, 50, 1), hard(1));
      await append([], hard(3, 2, 5));
      await fixture.corrupt();
      storage = await fixture.reopen();
      await storage.load().catch(() => {});
      await storage.recover();
      const { hardState, entries } = await storage.load();
      expect(entries).toEqual(run(1, entries.length, 1));
      expect(entries.length).toBeLessThan(50);
      expect(hardState).toEqual({ ...hard(3, 2, 5), recovery: expect.any(Number) });
      const numbered = { ...hard(4), recovery: hardState.recovery ?? 0 };
      await append([entry(entries.length + 1, 4)], numbered);
      expect((await reopen()).hardState).toEqual(numbered);
      await append([], hard(4, 1));
      expect((await reopen()).hardState).toEqual(hard(4, 1));
    });

    test("numbers of recoveries rise, and a full disk holds up the end of none", async () => {
      await append(run(1, 50, 1), hard(1));
      const damaged = async () => {
        await fixture.corrupt();
        storage = await fixture.reopen();
        await storage.recover();
        return (await storage.load()).hardState.recovery ?? 0;
      };
      const first = await damaged();
      await append(run(1, 50, 1), { ...hard(1), recovery: first });
      expect(await damaged()).toBeGreaterThan(first);
      storage = await fixture.fill();
      await append([], hard(9, 2));
      expect((await reopen()).hardState).toEqual(hard(9, 2));
    });

    test("a number that an installed snapshot came with stays, too", async () => {
      await append(run(1, 50, 1), hard(1));
      await fixture.corrupt();
      storage = await fixture.reopen();
      await storage.recover();
      const recovery = (await storage.load()).hardState.recovery ?? 0;
      const meta = { index: 100, term: 5, membership };
      await storage.installSnapshot(await write(storage, meta, ["state"]), { ...hard(6, 0, 100), recovery });
      expect((await reopen()).hardState.recovery).toBe(recovery);
      await append([entry(101, 6)], hard(6, 3, 100));
      expect((await reopen()).hardState).toEqual(hard(6, 3, 100));
    });
  });
}
