/** What is said when the disk fails for another reason than want of room. Failures of SQLite's own calls: test/failpoints. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HardStateReserve } from "./hard-state-reserve.ts";
import { openSqliteLog } from "./sqlite-log.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "raft-disk-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("a snapshot that cannot be written says what was attempted, why it failed, and where to look", async () => {
  const storage = await openSqliteLog({ path: join(directory, "raft.db"), clusterId: "c1", nodeId: 1 });
  rmSync(directory, { recursive: true });
  const refusal = storage.createSnapshot({ index: 1, term: 1, membership: { voters: [1], learners: [] } });
  await expect(refusal).rejects.toMatchObject({ code: "disk-failed" });
  await expect(refusal).rejects.toThrow(/^Write a snapshot: the disk failed \(ENOENT.*\); look at the kernel's log/);
  await storage.close();
});

test("so does a hard state, or a note of what was committed, that cannot be written", () => {
  const reserve = new HardStateReserve(join(directory, "raft.db.reserve"));
  // What a disk that failed answers is out of a test's reach; this is no room, either.
  reserve.close();
  const where = /^Write the raft log's \w.*: the disk failed \(EBADF.*\); look at the kernel's log/;
  expect(() => reserve.save({ term: 1, vote: 1, commit: 0 })).toThrow(where);
  expect(() => reserve.note({ term: 1, vote: 1, lastIndex: 0, lastTerm: 0 })).toThrow(where);
});
