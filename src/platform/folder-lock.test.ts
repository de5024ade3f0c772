/**
 * A lock on a folder: one holder, and nothing but the holder's life keeps it.
 *
 * @module
 */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FolderLock, lockFolder } from "./folder-lock.ts";

const folder = mkdtempSync(join(tmpdir(), "flt-folder-lock-"));
afterAll(() => rmSync(folder, { recursive: true }));

function taken(): FolderLock {
  return lockFolder(folder) ?? expect.unreachable("the folder is free");
}

test("one at a time; released twice is released once; nothing lies in the folder", () => {
  const lock = taken();
  expect(lockFolder(folder)).toBeNull();
  lock.release();
  const next = taken();
  lock.release();
  expect(lockFolder(folder)).toBeNull();
  expect(readdirSync(folder)).toEqual([]);
  next.release();
});

test("a child that outlives its holder keeps nobody out", async () => {
  const lock = taken();
  const child = Bun.spawn(["sh", "-c", "echo up; exec sleep 60"], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
  });
  // By its first word the kernel has closed what it does not inherit.
  await child.stdout.getReader().read();
  lock.release();
  taken().release();
  child.kill();
  await child.exited;
});

test("a holder that is killed leaves it free", async () => {
  const code = `const { lockFolder } = await import(${JSON.stringify(join(import.meta.dir, "folder-lock.ts"))});
    console.log(lockFolder(${JSON.stringify(folder)}) !== null); setTimeout(() => {}, 60_000);`;
  const holder = Bun.spawn([process.execPath, "-e", code], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const { value } = await holder.stdout.getReader().read();
  expect(new TextDecoder().decode(value)).toBe("true\n");
  expect(lockFolder(folder)).toBeNull();
  holder.kill("SIGKILL");
  await holder.exited;
  taken().release();
});

test("a folder that is not there is said to be missing", () => {
  expect(() => lockFolder(join(folder, "missing"))).toThrow("ENOENT");
});
