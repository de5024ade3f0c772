/**
 * The executable by itself: how light its first step is, and what it does not let the working directory do.
 *
 * @module
 */
import { afterAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { resolveImport } from "../../scripts/layers/rules.ts";
import { scan } from "../../scripts/layers/scan.ts";
import { FLT_BINARY } from "./lib/cluster.ts";
import { BARE_ENVIRONMENT } from "./lib/shell.ts";

const ROOT = `${import.meta.dir}/../..`;
const CPU_MS_MAX = 15;
const absent = !existsSync(FLT_BINARY);
const trap = await mkdtemp(`${tmpdir()}/flt-binary-`);
afterAll(() => rm(trap, { recursive: true, force: true }));

/** Every module that is loaded before the first line of main.ts runs. */
async function loadedAtOnce(path: string, seen = new Set<string>()): Promise<Set<string>> {
  if (seen.has(path)) {
    return seen;
  }
  seen.add(path);
  for (const site of scan(await Bun.file(`${ROOT}/${path}`).text()).imports) {
    const target = resolveImport(path, site.specifier);
    if (site.typeOnly || site.dynamic) {
      continue;
    }
    if (target.endsWith(".ts")) {
      await loadedAtOnce(target, seen);
    } else {
      seen.add(target);
    }
  }
  return seen;
}

test("--version loads nothing but itself", async () => {
  expect([...(await loadedAtOnce("src/main.ts"))].filter((path) => !path.startsWith("src/lib/"))).toEqual([
    "src/main.ts",
  ]);
});

test.skipIf(absent)("--version takes less than 15 ms of CPU", () => {
  const spent = Array.from({ length: 11 }, () => {
    const { resourceUsage, exitCode } = Bun.spawnSync([FLT_BINARY, "--version"], { env: { ...BARE_ENVIRONMENT } });
    expect(exitCode).toBe(0);
    return Number(resourceUsage.cpuTime.total) / 1_000;
  }).sort((left, right) => left - right);
  // The median: a neighbour's burst is not ours.
  expect(spent[5]).toBeLessThan(CPU_MS_MAX);
});

test.skipIf(absent)("the working directory cannot make it run code", async () => {
  const evil = 'console.log("EVIL");\n';
  await Bun.write(`${trap}/.env`, "FLTCTL_ENDPOINT=http://evil.invalid\nNODE_ENV=evil\n");
  await Bun.write(`${trap}/bunfig.toml`, 'preload = ["./evil.ts"]\n');
  await Bun.write(`${trap}/evil.ts`, evil);
  for (const name of ["usocket", "x11", "dbus-next", "debug"]) {
    await Bun.write(`${trap}/node_modules/${name}/index.js`, evil);
  }
  for (const words of [["--version"], ["list-units"], ["daemon", "--help"], ["daemon"]]) {
    const { stdout, stderr } = Bun.spawnSync([FLT_BINARY, ...words], {
      cwd: trap,
      env: { ...BARE_ENVIRONMENT, FLT_DATA_DIR: `${trap}/.env`, FLT_LISTEN_API: `unix://${trap}/flt.sock` },
      timeout: 10_000,
    });
    expect(stdout.toString() + stderr.toString()).not.toMatch(/evil/i);
  }
});
