/**
 * The data directory keeps its identity and its cluster, and says why it refuses.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDataDir } from "./data-dir.ts";

const directory = () => join(mkdtempSync(join(tmpdir(), "flt-data-")), "flt");

test("the identity is made once and found again", async () => {
  const path = directory();
  const first = await openDataDir(path, "cluster-a");
  expect(first.identity).toMatch(/^[0-9a-f]{32}$/);
  expect(await openDataDir(path, "cluster-a")).toMatchObject(first);
});

test("a cluster of one gets an id of its own and stays one", async () => {
  const path = directory();
  const first = await openDataDir(path, null);
  expect((await openDataDir(path, null)).clusterId).toBe(first.clusterId);
  await expect(openDataDir(path, "cluster-a")).rejects.toThrow("it belongs to a cluster of one");
});

test("another cluster's directory is refused and left as it was", async () => {
  const path = directory();
  await openDataDir(path, "cluster-a");
  const before = readFileSync(join(path, "identity.json"), "utf8");
  await expect(openDataDir(path, "cluster-b")).rejects.toThrow("it belongs to cluster cluster-a");
  await expect(openDataDir(path, null)).rejects.toThrow("initial_cluster is not set");
  expect(readFileSync(join(path, "identity.json"), "utf8")).toBe(before);
});

test("a damaged or newer identity is refused with advice", async () => {
  const path = directory();
  await openDataDir(path, "cluster-a");
  const file = join(path, "identity.json");
  writeFileSync(file, "{");
  await expect(openDataDir(path, "cluster-a")).rejects.toThrow("it is damaged");
  writeFileSync(file, JSON.stringify({ version: 2, identity: "x", cluster: "cluster-a" }));
  await expect(openDataDir(path, "cluster-a")).rejects.toThrow("use the newer flt");
});

test("a directory that cannot be made says why", async () => {
  await expect(openDataDir("/proc/flt-nowhere", null)).rejects.toThrow(
    '"/proc/flt-nowhere" failed: no such file or directory',
  );
});
