/** What is said when the disk fails for another reason than want of room. Failures of SQLite's own calls: test/failpoints. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteLog } from "./sqlite-log.ts";

const directory = mkdtempSync(join(tmpdir(), "raft-disk-"));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("a snapshot that cannot be written says what was attempted, why it failed, and where to look", async () => {
  const storage = await openSqliteLog({ path: join(directory, "raft.db"), clusterId: "c1", nodeId: 1 });
  rmSync(directory, { recursive: true });
  const refusal = storage.createSnapshot({ index: 1, term: 1, membership: { voters: [1], learners: [] } });
  await expect(refusal).rejects.toMatchObject({ code: "disk-failed" });
  await expect(refusal).rejects.toThrow(/^Write a snapshot: the disk failed \(ENOENT.*\); look at the kernel's log/);
  await storage.close();
});
