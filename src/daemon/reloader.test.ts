/**
 * SIGHUP's reload: what is applied, what is said, and in which order.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { ConfigError } from "../config/config-error.ts";
import { DEFAULT_CONFIG_PATH, type LoadedConfig, loadConfig } from "../config/load.ts";
import type { FltConfig } from "../config/table.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { Reloader } from "./reloader.ts";

function load(file: string): LoadedConfig {
  const readFile = (path: string) => (path === DEFAULT_CONFIG_PATH ? file : null);
  return loadConfig({ argv: [], env: {}, readFile, argv0Name: "flt", user: { uid: 0, home: "/root" } });
}

class World {
  file = "";
  readonly said: string[] = [];
  readonly applied: FltConfig[] = [];
  apply = async (config: FltConfig): Promise<void> => {
    this.applied.push(config);
  };
  readonly reloader: Reloader;

  constructor(file: string) {
    this.file = file;
    const say = (message: string) => void this.said.push(message);
    this.reloader = new Reloader(load(file).config, {
      log: { ...SILENT_LOG, notice: say, warning: say, error: say },
      load: () => load(this.file),
      apply: (config) => this.apply(config),
      announce: say,
      isExpected: (error) => error instanceof ConfigError,
    });
  }
}

test("what changed is applied between reloading and ready; what cannot change is named, each time", async () => {
  const world = new World("metadata=a=1\ndata_dir=/a");
  world.file = "metadata=a=2\ndata_dir=/b\nverify_units=true";
  for (let round = 0; round < 2; round++) {
    await world.reloader.reload();
    expect(world.said.splice(0)).toEqual([
      "reloading",
      expect.stringMatching(/^Option "verify_units" in /),
      expect.stringMatching(/^Cannot change data_dir /),
      "Read the configuration again",
      "ready",
    ]);
    expect(world.applied.at(-1)).toMatchObject({ metadata: { a: "2" }, dataDir: "/a" });
  }
});

test("a file that cannot be used changes nothing, and its line is told", async () => {
  const world = new World("metadata=a=1");
  world.file = "metadata=a=2\nagent_ttl=soon";
  await world.reloader.reload();
  expect(world.applied).toEqual([]);
  expect(world.said).toEqual([
    "reloading",
    expect.stringMatching(/changed nothing: Cannot use agent_ttl="soon" in ".etc.flt.flt.conf" line 2: /),
    "ready",
  ]);
});

test("a mistyped option takes nothing away: the daemon goes on with what it had, and all else in the file waits, too", async () => {
  const world = new World("metadata=disk=ssd");
  world.file = "metdata=disk=ssd\nverbosity=1";
  await world.reloader.reload();
  expect(world.applied).toEqual([]);
  expect(world.said).toEqual([
    "reloading",
    expect.stringMatching(
      /changed nothing: Cannot use "metdata" in .* line 1: there is no such option. Did you mean "metadata"\?$/,
    ),
    "ready",
  ]);
});

test("a configuration that the daemon refuses is not taken for the one it runs with", async () => {
  const world = new World("metadata=a=1");
  const follow = world.apply;
  world.apply = () => Promise.reject(new ConfigError("no place"));
  world.file = "metadata=a=2";
  await world.reloader.reload();
  expect(world.said).toContain("Reading the configuration again changed nothing: no place");
  world.apply = follow;
  world.file = "verbosity=1";
  await world.reloader.reload();
  expect(world.applied).toMatchObject([{ verbosity: 1, metadata: {} }]);
});

test("reloads do not overlap: what is asked meanwhile is one more", async () => {
  const world = new World("");
  const held = Promise.withResolvers<void>();
  let running = 0;
  world.apply = async (config) => {
    running += 1;
    expect(running).toBe(1);
    await held.promise;
    running -= 1;
    world.applied.push(config);
  };
  world.file = "verbosity=1";
  const all = [world.reloader.reload(), world.reloader.reload(), world.reloader.reload()];
  world.file = "verbosity=2";
  held.resolve();
  await Promise.all(all);
  expect(world.applied.map((config) => config.verbosity)).toEqual([1, 2]);
  expect(world.said.filter((line) => line === "ready")).toHaveLength(2);
});

test("a fault of the program is no fault of the file: it gets out", async () => {
  const world = new World("");
  world.apply = () => Promise.reject(new TypeError("x is not a function"));
  world.file = "verbosity=1";
  await expect(world.reloader.reload()).rejects.toThrow("x is not a function");
});
