/**
 * Options that only make sense, or no sense, together: an etcd as the store, and who may listen.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { DEFAULT_CONFIG_PATH, type LoadedConfig, loadConfig } from "./load.ts";

function load(...lines: readonly string[]): LoadedConfig {
  const readFile = (path: string) => (path === DEFAULT_CONFIG_PATH ? lines.join("\n") : null);
  return loadConfig({ argv: [], env: {}, readFile, argv0Name: "flt", user: { uid: 0, home: "/root" } });
}
const SAFE = "etcd_servers=https://10.0.0.5:2379";
const CALM = "agent_ttl=30s";

test("a store of each kind is a contradiction, with both places", () => {
  expect(() => load(SAFE, "initial_cluster=10.0.0.1,10.0.0.2")).toThrow(
    `Cannot use etcd_servers in "${DEFAULT_CONFIG_PATH}" line 1 together with initial_cluster in ` +
      `"${DEFAULT_CONFIG_PATH}" line 2: the store is either an etcd or flt's own. Remove one of the two`,
  );
});

test("halves of pairs", () => {
  const place = `in "${DEFAULT_CONFIG_PATH}" line 2`;
  expect(() => load(SAFE, "etcd_keyfile=/k")).toThrow(`Cannot use etcd_keyfile ${place} without etcd_certfile`);
  expect(() => load(SAFE, "etcd_certfile=/c")).toThrow(`Cannot use etcd_certfile ${place} without etcd_keyfile`);
  expect(() => load(SAFE, "etcd_username=u")).toThrow(`Cannot use etcd_username ${place} without etcd_password`);
  expect(() => load(SAFE, "etcd_password=hidden")).toThrow(`Cannot use etcd_password ${place} without etcd_username`);
});

test("a complete access says nothing", () => {
  const access = ["etcd_cafile=/a", "etcd_keyfile=/k", "etcd_certfile=/c", "etcd_username=u", "etcd_password=p"];
  expect(load(SAFE, CALM, ...access, "etcd_request_timeout=2").warnings).toEqual([]);
  expect(load('etcd_servers=["http://127.0.0.1:2379","http://127.0.0.1:4001"]', CALM).warnings).toEqual([]);
});

test("without etcd_servers the rest of etcd's options is noted, and never refused", () => {
  const { warnings } = load("etcd_keyfile=/k", "etcd_username=u", "etcd_password=hidden");
  expect(warnings).toEqual([
    expect.stringMatching(/^Option "etcd_keyfile" in .* line 1 has no effect: without etcd_servers/),
    expect.stringMatching(/^Option "etcd_username" in .* line 2 has no effect: without etcd_servers/),
    expect.stringMatching(/^Option "etcd_password" in .* line 3 has no effect: without etcd_servers/),
  ]);
  expect(warnings.join()).not.toContain("hidden");
});

test("certificates for plain http, and a password for everybody to read", () => {
  const { warnings } = load(
    "etcd_servers=http://10.0.0.5:2379",
    CALM,
    "etcd_cafile=/a",
    "etcd_username=u",
    "etcd_password=p",
  );
  expect(warnings).toEqual([
    expect.stringMatching(/^Option "etcd_cafile" .* has no effect: none of etcd_servers begins with https$/),
    expect.stringMatching(/^Sending etcd's password over the network in clear text/),
  ]);
  expect(load("etcd_servers=http://127.0.0.1:2379", CALM, "etcd_username=u", "etcd_password=p").warnings).toEqual([]);
});

test("a short agent_ttl with nobody to ask", () => {
  expect(load(SAFE).warnings).toEqual([
    expect.stringContaining("agent_ttl=4s, even if its host lives: set listen_peer"),
  ]);
  expect(load(SAFE, "listen_peer=10.0.0.1:2381").warnings).toEqual([]);
  expect(load(SAFE, "advertise_peer=10.0.0.1:2381").warnings).toEqual([]);
  expect(load(SAFE, CALM).warnings).toEqual([]);
  expect(load().warnings).toEqual([]);
});

describe("a password in a file that every user can read", () => {
  const text = [SAFE, CALM, "etcd_username=u", "etcd_password=hidden"].join("\n");
  const loadAs = (uid: number, path: string, isPublic: boolean, argv: readonly string[] = []): LoadedConfig =>
    loadConfig({
      argv,
      env: {},
      readFile: (candidate) => (candidate === path ? text : null),
      isPublic: (candidate) => isPublic && candidate === path,
      argv0Name: "flt",
      user: { uid, home: "/home/u" },
    });
  const own = "/home/u/.config/flt/flt.conf";

  test("is warned of, with what to do", () => {
    expect(loadAs(0, DEFAULT_CONFIG_PATH, true).warnings).toEqual([
      `Every user of this host can read etcd_password in "${DEFAULT_CONFIG_PATH}" line 4: chmod 600 ${DEFAULT_CONFIG_PATH}`,
    ]);
    expect(loadAs(1000, own, true, ["--systemd-user"]).warnings).toEqual([
      `Every user of this host can read etcd_password in "${own}" line 4: chmod 600 ${own}`,
    ]);
    // A user's daemon that takes the host's file: closed to it, it would not start.
    expect(loadAs(1000, DEFAULT_CONFIG_PATH, true).warnings).toEqual([
      expect.stringContaining(
        `give this daemon a file of its own, ${own}, and as root: chmod 600 ${DEFAULT_CONFIG_PATH}`,
      ),
    ]);
  });

  test("not in a closed one, nor one that stands elsewhere", () => {
    expect(loadAs(0, DEFAULT_CONFIG_PATH, false).warnings).toEqual([]);
    expect(loadAs(0, DEFAULT_CONFIG_PATH, true, ["--etcd-password=other"]).warnings).toEqual([]);
  });

  test("a host's file that is closed to a user's daemon: where its own is", () => {
    const readFile = (path: string): string | null => {
      if (path === DEFAULT_CONFIG_PATH) throw new Error("EACCES: permission denied, open");
      return null;
    };
    const request = { argv: [], env: {}, readFile, argv0Name: "flt" };
    expect(() => loadConfig({ ...request, user: { uid: 1000, home: "/home/u" } })).toThrow(
      `"${DEFAULT_CONFIG_PATH}": EACCES: permission denied, open. A daemon of your own reads ${own} instead, with systemd_user=true in it`,
    );
    expect(() => loadConfig({ ...request, user: { uid: 0, home: "/root" } })).toThrow(/permission denied, open$/);
  });
});
