/**
 * The data directory keeps its identity and its cluster, and says why it refuses.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolders } from "../../test/fakes/temporary-folder.ts";
import { ETCD_CLUSTER, openDataDir, rememberRegistry } from "./data-dir.ts";

const A = { id: "cluster-a", members: ["10.0.0.1:2380", "10.0.0.2:2380"] };
const B = { id: "cluster-b", members: ["10.0.0.9:2380"] };
const folder = temporaryFolders("data");
const directory = () => join(folder(), "flt");

test("the identity is made once and found again", async () => {
  const path = directory();
  const first = await openDataDir(path, A);
  expect(first.identity).toMatch(/^[0-9a-f]{32}$/);
  expect(await openDataDir(path, A)).toMatchObject(first);
});

test("a cluster of one gets an id of its own and stays one", async () => {
  const path = directory();
  const first = await openDataDir(path, null);
  expect((await openDataDir(path, null)).clusterId).toBe(first.clusterId);
  await expect(openDataDir(path, A)).rejects.toThrow(
    "it was made without an initial_cluster, for a cluster of one, but the configuration says " +
      "initial_cluster=10.0.0.1:2380,10.0.0.2:2380. Remove initial_cluster, or set data_dir to an empty folder",
  );
});

test("another cluster's directory is refused and left as it was", async () => {
  const path = directory();
  await openDataDir(path, A);
  const before = readFileSync(join(path, "identity.json"), "utf8");
  const was = "it was made with initial_cluster=10.0.0.1:2380,10.0.0.2:2380, but the configuration";
  const again = "Set initial_cluster to that list again, or set data_dir to an empty folder";
  await expect(openDataDir(path, B)).rejects.toThrow(`${was} says initial_cluster=10.0.0.9:2380. ${again}`);
  await expect(openDataDir(path, null)).rejects.toThrow(`${was} sets none. ${again}`);
  expect(readFileSync(join(path, "identity.json"), "utf8")).toBe(before);
});

test("a directory of a release that did not note the members is refused without them", async () => {
  const path = directory();
  await openDataDir(path, A);
  const file = join(path, "identity.json");
  const { members: _members, ...older } = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  writeFileSync(file, JSON.stringify(older));
  expect(await openDataDir(path, A)).toMatchObject({ clusterId: A.id });
  await expect(openDataDir(path, B)).rejects.toThrow("it was made with another initial_cluster, but");
});

test("a store of one's own and an etcd are not the same, in either direction", async () => {
  const path = directory();
  const { identity } = await openDataDir(path, ETCD_CLUSTER);
  expect((await openDataDir(path, ETCD_CLUSTER)).identity).toBe(identity);
  const was = "it was made with etcd_servers, for a store in an etcd, but the configuration";
  await expect(openDataDir(path, null)).rejects.toThrow(`${was} sets none. Set etcd_servers again, or set data_dir`);
  await expect(openDataDir(path, B)).rejects.toThrow(
    `${was} says initial_cluster=10.0.0.9:2380. Set etcd_servers again`,
  );
  const alone = directory();
  await openDataDir(alone, null);
  await expect(openDataDir(alone, ETCD_CLUSTER)).rejects.toThrow(
    "for a cluster of one, but the configuration says etcd_servers. Remove etcd_servers, or set data_dir",
  );
});

test("the registry of an etcd is remembered beside the identity, which stays", async () => {
  const path = directory();
  const first = await openDataDir(path, ETCD_CLUSTER);
  expect(first.registry).toBeUndefined();
  await rememberRegistry(path, { prefix: "/p/", name: "x" });
  expect(await openDataDir(path, ETCD_CLUSTER)).toMatchObject({ ...first, registry: { prefix: "/p/", name: "x" } });
  await rememberRegistry(path, { prefix: "/q/", name: "y" });
  expect((await openDataDir(path, ETCD_CLUSTER)).registry).toEqual({ prefix: "/q/", name: "y" });
});

test("a damaged or newer identity is refused with advice", async () => {
  const path = directory();
  await openDataDir(path, A);
  const file = join(path, "identity.json");
  writeFileSync(file, "{");
  await expect(openDataDir(path, A)).rejects.toThrow("it is damaged");
  writeFileSync(file, JSON.stringify({ version: 2, identity: "x", cluster: "cluster-a" }));
  await expect(openDataDir(path, A)).rejects.toThrow("use the newer flt");
});

test("a directory that cannot be made says why", async () => {
  await expect(openDataDir("/proc/flt-nowhere", null)).rejects.toThrow(
    '"/proc/flt-nowhere" failed: no such file or directory',
  );
});
