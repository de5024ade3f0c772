/** A log whose files change under it: found whatever it is, never passed on; and what becomes of the files. */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SeededRandom } from "../../test/sim/random.ts";
import { CorruptLogError, type LogStorage } from "../driver/ports.ts";
import type { Entry, HardState } from "../types.ts";
import { HardStateReserve } from "./hard-state-reserve.ts";
import { openSqliteLog } from "./sqlite-log.ts";

const membership = { voters: [7, 8, 9], learners: [] };
const meta = { index: 30, term: 2, membership };
/** Flips for each file; every one is a start of its own, of some milliseconds. */
const FLIPS = 12;

const entry = (index: number, term: number): Entry => ({
  index,
  term,
  kind: "normal",
  data: new TextEncoder().encode(`command ${index} `.repeat(index % 40)),
});
const run = (from: number, to: number, term: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => entry(from + i, term));

let directory: string;
let path: string;
let opened: LogStorage[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "raft-damage-"));
  path = join(directory, "raft.db");
});
afterEach(async () => {
  for (const storage of opened) await storage.close();
  opened = [];
  rmSync(directory, { recursive: true, force: true });
});

async function open(at = path): Promise<LogStorage> {
  const storage = await openSqliteLog({ path: at, clusterId: "c1", nodeId: 7 });
  opened.push(storage);
  return storage;
}

async function close(): Promise<void> {
  for (const storage of opened) await storage.close();
  opened = [];
}

/** A life with everything in it: terms, a snapshot, entries behind it. */
async function write(storage: LogStorage): Promise<void> {
  const append = (entries: readonly Entry[], hardState: HardState) =>
    storage.append({ hardState, entries, mustSync: true });
  await append(run(1, 20, 1), { term: 1, vote: 8, commit: 3 });
  await append(run(21, 40, 2), { term: 2, vote: 9, commit: 30 });
  const writer = await storage.createSnapshot(meta);
  for (let i = 0; i < 4; i++) await writer.write(new TextEncoder().encode(`chunk ${i} `.repeat(50)));
  await writer.finish();
  await append(run(41, 60, 2), { term: 2, vote: 9, commit: 50 });
  await append(run(61, 61, 4), { term: 4, vote: 0, commit: 60 });
  await append([], { term: 4, vote: 7, commit: 61 });
}

/** The files as a kill leaves them. */
function copyTo(folder: string): void {
  for (const name of readdirSync(directory)) {
    if (name.startsWith("raft.db")) copyFileSync(join(directory, name), join(folder, name));
  }
}

interface Content {
  readonly hardState: HardState;
  readonly base: number;
  readonly snapshot: string;
  readonly entries: readonly string[];
}

async function readAll(storage: LogStorage): Promise<Content> {
  const { hardState, snapshot: named, entries } = await storage.load();
  let snapshot = "";
  for await (const chunk of (await storage.readSnapshot())?.chunks ?? []) snapshot += new TextDecoder().decode(chunk);
  return { hardState, base: named?.index ?? 0, snapshot, entries: entries.map(show) };
}

function show({ index, term, kind, data }: Entry): string {
  return `${index}/${term} ${kind} ${Bun.hash(data)}`;
}

const WRITTEN = [...run(1, 20, 1), ...run(21, 60, 2), ...run(61, 61, 4)].map(show);

function flip(file: string, random: SeededRandom): string {
  const bytes = readFileSync(file);
  const at = random.int(0, bytes.length - 1);
  const bit = random.int(0, 7);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
  writeFileSync(file, bytes);
  return `byte ${at} bit ${bit} of ${file}`;
}

describe("a flipped bit", () => {
  // A killed log is in its write-ahead file alone; of a closed one, half is free room or names of columns.
  for (const [suffix, closed, leastFound] of [
    ["", true, 2],
    ["-wal", false, 10],
    [".reserve", false, 0],
    [".snapshot-1", true, FLIPS],
  ] as const) {
    test(`in raft.db${suffix} of a log that was ${closed ? "closed" : "killed"} is harmless or found`, async () => {
      const storage = await open();
      await write(storage);
      const whole = await readAll(storage);
      if (closed) await close();
      const random = new SeededRandom(suffix.length + 7);
      let found = 0;
      for (let i = 0; i < FLIPS; i++) {
        const folder = join(directory, "copy");
        rmSync(folder, { recursive: true, force: true });
        mkdirSync(folder);
        copyTo(folder);
        const what = flip(join(folder, `raft.db${suffix}`), random);
        const damaged = await openSqliteLog({ path: join(folder, "raft.db"), clusterId: "c1", nodeId: 7 });
        try {
          expect(await readAll(damaged), what).toEqual(whole);
        } catch (error) {
          if (!(error instanceof CorruptLogError)) throw error;
          found += 1;
          await damaged.recover();
          const { hardState, base, snapshot, entries } = await readAll(damaged);
          expect(hardState.recovery, what).toBeGreaterThan(0);
          expect(snapshot, what).toBe(base === 0 ? "" : whole.snapshot);
          expect(entries, what).toEqual(WRITTEN.slice(base, base + entries.length));
        } finally {
          await damaged.close();
        }
      }
      expect(found).toBeGreaterThanOrEqual(leastFound);
    }, 60_000);
  }
});

describe("a log that lost its files", () => {
  const gone: readonly (readonly [string, () => void, string])[] = [
    ["whole", () => rmSync(path), `"${"raft.db"}" is gone`],
    ["to an empty one", () => writeFileSync(path, ""), "is empty"],
    ["in part", () => truncateSync(path, 5000), "damaged"],
    ["to another one", () => writeFileSync(path, "no log at all ".repeat(1000)), "not a database"],
  ];
  for (const [how, lose, words] of gone) {
    test(`${how} is not a new one`, async () => {
      await write(await open());
      await close();
      lose();
      const storage = await open();
      const found = await storage.load().catch((error: unknown) => error);
      expect(found).toBeInstanceOf(CorruptLogError);
      expect(String(found)).toContain(words.replace('"raft.db"', `"${path}"`));
      await storage.recover();
      const { hardState, base, entries } = await readAll(storage);
      expect([hardState.recovery === undefined, base, entries.length]).toEqual([false, 0, 0]);
    });
  }

  test("and everything beside it is not a new one to whoever is told so", async () => {
    writeFileSync(`${path}.condemned`, "the disk was replaced\n");
    const storage = await open();
    await expect(storage.load()).rejects.toThrow("the disk was replaced");
    await storage.recover();
    const { hardState, base, entries } = await readAll(storage);
    expect([(hardState.recovery ?? 0) > 0, base, entries.length]).toEqual([true, 0, 0]);
    await close();
    expect((await (await open()).load()).hardState.recovery).toBe(hardState.recovery ?? 0);
  });

  test("and is told of without a word is a damaged one, too", async () => {
    writeFileSync(`${path}.condemned`, "");
    await expect((await open()).load()).rejects.toThrow("is there, without a reason in it");
  });

  test("that cannot be noted for the next start is told now, with the reason", async () => {
    const storage = await open();
    mkdirSync(`${path}.condemned`);
    await expect(storage.condemn("it is another disk")).rejects.toThrow(
      /^Note for the next start that the raft log is damaged \(it is another disk\): the disk failed \(EISDIR/,
    );
  });

  test("in its write-ahead file alone is known by its note", async () => {
    await write(await open());
    const folder = join(directory, "copy");
    mkdirSync(folder);
    copyTo(folder);
    rmSync(join(folder, "raft.db-wal"));
    const storage = await open(join(folder, "raft.db"));
    await expect(storage.load()).rejects.toThrow("what was written last is missing");
  });
});

describe("what is behind the damage in a write-ahead file", () => {
  const DAMAGED_AT = [
    ["its first frame", () => 32 + 24 + 100],
    ["its middle", (size: number) => size >> 1],
  ] as const;
  for (const [where, at] of DAMAGED_AT) {
    test(`is still there after a start that was refused, and set aside by recover(): ${where}`, async () => {
      await write(await open());
      const folder = join(directory, "copy");
      mkdirSync(folder);
      copyTo(folder);
      const file = join(folder, "raft.db-wal");
      const bytes = readFileSync(file);
      const place = at(bytes.length);
      bytes[place] = (bytes[place] ?? 0) ^ 1;
      writeFileSync(file, bytes);
      for (let starts = 0; starts < 2; starts++) {
        const storage = await open(join(folder, "raft.db"));
        await expect(storage.load()).rejects.toBeInstanceOf(CorruptLogError);
        await storage.close();
        expect(readFileSync(file).equals(bytes), `start ${starts}`).toBe(true);
      }
      const { setAside } = await (await open(join(folder, "raft.db"))).recover();
      expect(readFileSync(join(setAside, "raft.db-wal")).equals(bytes)).toBe(true);
    });
  }
});

test("a log that lost its end is known by its note also after an election on a full disk, whose commit index is not believed", async () => {
  const first = await open();
  await first.append({ hardState: { term: 2, vote: 9, commit: 5 }, entries: run(1, 10, 2), mustSync: true });
  await close();
  const older = readFileSync(path);
  const second = await open();
  await second.append({ hardState: { term: 3, vote: 8, commit: 8 }, entries: run(6, 10, 3), mustSync: true });
  await close();
  // Elections on a full disk.
  const reserve = new HardStateReserve(`${path}.reserve`);
  reserve.save({ term: 4, vote: 7, commit: 8 });
  reserve.note({ term: 4, vote: 7, lastIndex: 10, lastTerm: 3 });
  reserve.close();
  expect((await (await open()).load()).hardState).toEqual({ term: 4, vote: 7, commit: 8 });
  await close();
  writeFileSync(path, older);
  const storage = await open();
  await expect(storage.load()).rejects.toThrow("what was written last is missing");
  await storage.recover();
  const { hardState, entries } = await storage.load();
  expect([hardState.term, hardState.vote, hardState.commit]).toEqual([4, 7, 5]);
  expect(entries.at(-1)).toEqual(entry(10, 2));
});

describe("files set aside", () => {
  const damage = async () => {
    await write(await open());
    await close();
    truncateSync(path, 5000);
  };
  const names = () => readdirSync(directory).sort();

  test("are kept, snapshots with them, and named in what the operator reads", async () => {
    await damage();
    const { setAside } = await (await open()).recover();
    expect(setAside).toMatch(/raft\.db\.damaged-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$/);
    expect(readdirSync(setAside).sort()).toEqual(["raft.db", "raft.db.reserve", "raft.db.snapshot-1"]);
    await close();
    expect(names()).toEqual(["raft.db", setAside.slice(directory.length + 1), "raft.db.reserve"].sort());
  });

  test("are moved by the next start when a crash came between", async () => {
    await damage();
    await (await open()).recover();
    await close();
    // As the crash left it: the new log is whole and waits for its place.
    renameSync(path, `${path}.new`);
    writeFileSync(path, "the damaged one");
    writeFileSync(`${path}-wal`, "its end");
    expect((await (await open()).load()).hardState.recovery).toBeGreaterThan(0);
    expect(names().filter((name) => name.includes("new") || name.includes("wal"))).toEqual(["raft.db-wal"]);
  });

  test("are forgotten, the oldest first, when there are too many", async () => {
    for (let year = 2001; year < 2008; year++) mkdirSync(join(directory, `raft.db.damaged-${year}-01-01T00-00-00Z`));
    await damage();
    await (await open()).recover();
    const folders = names().filter((name) => name.includes("damaged"));
    expect(folders.map((name) => name.slice(16, 20)).slice(0, 2)).toEqual(["2006", "2007"]);
    expect(folders).toHaveLength(3);
  });
});

test("damage that SQLite meets while it writes is remembered for the next start", async () => {
  await write(await open());
  await close();
  // A row that came from nowhere: what is written next finds its place taken.
  const database = new Database(path);
  database.run("INSERT INTO entry VALUES (62, 1, 0, x'00', 0)");
  database.close();
  const storage = await open();
  const batch = { hardState: null, entries: run(62, 62, 4), mustSync: true };
  await expect(storage.append(batch)).rejects.toBeInstanceOf(CorruptLogError);
  await close();
  await expect((await open()).load()).rejects.toThrow("UNIQUE constraint failed");
  await close();
  const again = await open();
  await again.recover();
  // A tree that SQLite called damaged is not read once more.
  expect((await readAll(again)).entries).toEqual([]);
});
