/** The SQLite log: the LogStorage contract on real files, and what concerns the files themselves. */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { logStorageContract } from "../../test/contract/log-storage.ts";
import type { LogStorage } from "../driver/ports.ts";
import type { Entry } from "../types.ts";
import { HardStateReserve } from "./hard-state-reserve.ts";
import { LogDatabase } from "./log-database.ts";
import { DiskFailedError } from "./log-errors.ts";
import { openSqliteLog } from "./sqlite-log.ts";

const identity = { clusterId: "c1", nodeId: 7 };
const hardState = { term: 1, vote: 0, commit: 0 };
const membership = { voters: [7], learners: [] };

function entries(from: number, to: number, size = 64): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => ({
    index: from + i,
    term: 1,
    kind: "normal" as const,
    data: new Uint8Array(size).fill((from + i) % 251),
  }));
}

/** Changes bytes of the file wherever `pattern` occurs: what a bad disk does under SQLite. */
function flip(path: string, pattern: Uint8Array): void {
  const bytes = readFileSync(path);
  for (let at = bytes.indexOf(pattern); at >= 0; at = bytes.indexOf(pattern, at + 1)) {
    bytes[at + 1] = (bytes[at + 1] ?? 0) ^ 0x01;
  }
  writeFileSync(path, bytes);
}

let directory: string;
let path: string;
let open: LogStorage[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "raft-log-"));
  path = join(directory, "raft.db");
});
afterEach(async () => {
  for (const storage of open) await storage.close();
  open = [];
  rmSync(directory, { recursive: true, force: true });
});

async function log(options: { clusterId?: string; nodeId?: number; maxPages?: number } = {}): Promise<LogStorage> {
  const storage = await openSqliteLog({ path, ...identity, ...options });
  open.push(storage);
  return storage;
}

logStorageContract("SQLite", async () => {
  const own = mkdtempSync(join(tmpdir(), "raft-log-"));
  const file = join(own, "raft.db");
  let storage: LogStorage | null = null;
  let maxPages = 2 ** 30;
  const reopen = async () => {
    await storage?.close();
    storage = await openSqliteLog({ path: file, ...identity, maxPages });
    return storage;
  };
  return {
    reopen,
    fill: () => {
      // SQLite reports a reached quota as it reports a full disk; it never goes below what is used already.
      maxPages = 1;
      return reopen();
    },
    corrupt: async () => {
      await storage?.close();
      storage = null;
      flip(file, new TextEncoder().encode("entry 20 of term 1"));
    },
    end: async () => {
      await storage?.close();
      rmSync(own, { recursive: true, force: true });
    },
  };
});

test("no file can be read by others", async () => {
  const storage = await log();
  await storage.append({ hardState, entries: entries(1, 3), mustSync: true });
  const writer = await storage.createSnapshot({ index: 2, term: 1, membership });
  await writer.write(new Uint8Array(10));
  await writer.finish();
  const modes = readdirSync(directory).map((name) => statSync(join(directory, name)).mode & 0o777);
  expect(modes.length).toBeGreaterThanOrEqual(4);
  expect(new Set(modes)).toEqual(new Set([0o600]));
});

test("a log of another cluster or node is refused, both are named, and nothing is changed", async () => {
  const storage = await log();
  await storage.append({ hardState, entries: entries(1, 3), mustSync: true });
  await storage.close();
  const before = readFileSync(path);
  const refusal = await log({ clusterId: "c2", nodeId: 9 }).catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: "identity-mismatch" });
  for (const name of ["c1", "7", "c2", "9"]) expect(String(refusal)).toContain(name);
  expect(readFileSync(path).equals(before)).toBe(true);
  expect((await (await log()).load()).entries).toHaveLength(3);
});

test("a newer format is refused with advice", async () => {
  await (await log()).close();
  const database = new Database(path);
  database.run("UPDATE meta SET value = 99 WHERE key = 'format'");
  database.close();
  const refusal = await log().catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: "newer-format" });
  expect(String(refusal)).toContain("start the release that wrote it");
});

test("a second process is refused while the first is open, and welcome afterwards", async () => {
  const first = await log();
  const second = Bun.spawnSync({
    cmd: [
      process.execPath,
      "-e",
      `const { openSqliteLog } = await import(${JSON.stringify(join(import.meta.dir, "sqlite-log.ts"))});
       await openSqliteLog(${JSON.stringify({ path, ...identity })}).then(() => console.log("opened"), (e) => console.log(e.code));`,
    ],
  });
  expect(second.stdout.toString().trim()).toBe("in-use");
  await first.close();
  await log();
});

test("a file that is no database is refused as damaged", async () => {
  writeFileSync(path, "this is not a log".repeat(1000));
  await expect((await log()).load()).rejects.toMatchObject({ code: "corrupt-log" });
});

test("entries that vanish at the end are noticed", async () => {
  const storage = await log();
  await storage.append({ hardState, entries: entries(1, 9), mustSync: true });
  await storage.close();
  const database = new Database(path);
  database.run("DELETE FROM entry WHERE log_index > 7");
  database.close();
  const again = await log();
  await expect(again.load()).rejects.toThrow("it ends at entry 7, but 9 was written");
});

test("a changed hard state is noticed", async () => {
  const storage = await log();
  await storage.append({ hardState: { term: 5, vote: 3, commit: 0 }, entries: [], mustSync: true });
  await storage.close();
  const database = new Database(path);
  database.run("UPDATE state SET vote = 2");
  database.close();
  await expect((await log()).load()).rejects.toMatchObject({ code: "corrupt-log" });
});

describe("a snapshot's file", () => {
  const saved = async () => {
    const storage = await log();
    await storage.append({ hardState, entries: entries(1, 9), mustSync: true });
    const writer = await storage.createSnapshot({ index: 9, term: 1, membership });
    await writer.write(new TextEncoder().encode("first chunk"));
    await writer.write(new TextEncoder().encode("second chunk"));
    await writer.finish();
    await storage.close();
    const name = readdirSync(directory).find((file) => file.includes("snapshot"));
    return join(directory, name ?? "");
  };
  const readAll = async () => {
    const snapshot = await (await log()).readSnapshot();
    let text = "";
    for await (const chunk of snapshot?.chunks ?? []) text += new TextDecoder().decode(chunk);
    return text;
  };

  test("with a flipped bit is refused when it is read", async () => {
    flip(await saved(), new TextEncoder().encode("second"));
    await expect(readAll()).rejects.toThrow("chunk 1 is damaged");
  });

  test("that is cut or gone is refused at the start", async () => {
    const file = await saved();
    truncateSync(file, 20);
    await expect((await log()).load()).rejects.toMatchObject({ code: "corrupt-log" });
    await open.pop()?.close();
    rmSync(file);
    await expect((await log()).load()).rejects.toThrow("the file is missing");
  });

  test.each([
    ["reached the disk", true, "another state"],
    ["did not reach it", false, "first chunksecond chunk"],
  ])(
    "whose name %s, though the disk reported a failure, is found by the next start",
    async (_what, isWritten, found) => {
      await saved();
      const storage = await log();
      const write = LogDatabase.prototype.nameSnapshot;
      const failing = spyOn(LogDatabase.prototype, "nameSnapshot").mockImplementation(function (
        this: LogDatabase,
        ...args
      ) {
        if (isWritten) write.apply(this, args);
        throw new DiskFailedError("Use the raft log", new Error("disk I/O error"));
      });
      const writer = await storage.createSnapshot({ index: 9, term: 1, membership });
      await writer.write(new TextEncoder().encode("another state"));
      await expect(writer.finish()).rejects.toBeInstanceOf(DiskFailedError);
      failing.mockRestore();
      // As the driver does with a snapshot that it could not finish, before the process ends.
      await writer.abort();
      await storage.close();
      expect(await readAll()).toBe(found);
      expect(readdirSync(directory).filter((name) => name.includes("snapshot"))).toHaveLength(1);
    },
  );

  test("is removed when a newer one counts, or nothing names it", async () => {
    const file = await saved();
    const orphan = `${path}.snapshot-77`;
    writeFileSync(orphan, "left by a crash");
    const storage = await log();
    expect(readdirSync(directory).filter((name) => name.includes("snapshot"))).toHaveLength(1);
    const writer = await storage.createSnapshot({ index: 9, term: 1, membership });
    await writer.finish();
    const left = readdirSync(directory).filter((name) => name.includes("snapshot"));
    expect(left).toHaveLength(1);
    expect(file).not.toEndWith(left[0] ?? "");
  });
});

test("hard state in the reserve outlives the process, as often as it changes, and ends with the next batch", async () => {
  const storage = await log({ maxPages: 1 });
  const fat = entries(1, 1, 100_000);
  await expect(storage.append({ hardState, entries: fat, mustSync: true })).rejects.toMatchObject({
    code: "disk-full",
  });
  const reserve = new HardStateReserve(`${path}.other`);
  for (let term = 1; term <= 300; term++) reserve.save({ term, vote: term % 3, commit: 0 });
  reserve.save({ term: 300, vote: 0, commit: 0 });
  expect(reserve.load()).toMatchObject({ term: 300, vote: 0, commit: 0 });
  reserve.save({ term: 301, vote: 2, commit: 5 });
  reserve.close();
  const again = new HardStateReserve(`${path}.other`);
  expect(again.load()).toMatchObject({ term: 301, vote: 2, commit: 5 });
  again.save({ term: 302, vote: 0, commit: 5 });
  again.close();
  flip(`${path}.other`, new Uint8Array(new Float64Array([302]).buffer).reverse());
  const torn = new HardStateReserve(`${path}.other`);
  expect(torn.load()).toMatchObject({ term: 301, vote: 2, commit: 5 });
  torn.close();
});

test("a kill in the middle of writing loses nothing that was acknowledged", async () => {
  const child = Bun.spawn({
    cmd: [
      process.execPath,
      "-e",
      `const { openSqliteLog } = await import(${JSON.stringify(join(import.meta.dir, "sqlite-log.ts"))});
       const log = await openSqliteLog(${JSON.stringify({ path, ...identity })});
       for (let index = 1; ; index++) {
         const entry = { index, term: 1, kind: "normal", data: new Uint8Array(200) };
         await log.append({ hardState: { term: 1, vote: 0, commit: index - 1 }, entries: [entry], mustSync: true });
         process.stdout.write(index + "\\n");
       }`,
    ],
    stdout: "pipe",
  });
  let acknowledged = 0;
  for await (const chunk of child.stdout) {
    acknowledged = Number(new TextDecoder().decode(chunk).trim().split("\n").at(-1));
    if (acknowledged > 200) child.kill("SIGKILL");
  }
  await child.exited;
  const loaded = await (await log()).load();
  expect(loaded.entries.length).toBeGreaterThanOrEqual(acknowledged);
  expect(loaded.hardState.commit).toBe(loaded.entries.length - 1);
});

test("a snapshot that is read while a newer one takes its place is one of the two, never missing", async () => {
  const storage = await log();
  await storage.append({ hardState, entries: entries(1, 40), mustSync: true });
  const take = async (index: number) => {
    const writer = await storage.createSnapshot({ index, term: 1, membership });
    await writer.write(new Uint8Array([index]));
    await writer.finish();
  };
  await take(1);
  for (let index = 2; index <= 6; index++) {
    let taken = false;
    const taking = take(index).then(() => {
      taken = true;
    });
    const reads: Promise<void>[] = [];
    const read = async () => {
      const snapshot = await storage.readSnapshot();
      const found = [];
      for await (const chunk of snapshot?.chunks ?? []) found.push(...chunk);
      expect(found).toEqual([snapshot?.meta.index ?? 0]);
    };
    while (!taken) {
      for (let i = 0; i < 100; i++) reads.push(read());
      await new Promise((resolve) => setImmediate(resolve));
    }
    await taking;
    await Promise.all(reads);
  }
});
