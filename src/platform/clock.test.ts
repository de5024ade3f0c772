import { expect, spyOn, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "./clock.ts";

test("now() does not move with the wall clock", () => {
  const before = systemClock.now();
  const wallClock = spyOn(Date, "now").mockReturnValue(before + 365 * 24 * 3_600_000);
  try {
    expect(systemClock.now() - before).toBeLessThan(60_000);
    wallClock.mockReturnValue(0);
    expect(systemClock.now()).toBeGreaterThanOrEqual(before);
  } finally {
    wallClock.mockRestore();
  }
});

/** Dashboards and lists of events want it. */
const MAY_READ_WALL_CLOCK = [
  // In the name of a damaged file that is set aside.
  "raft/adapters/sqlite-log.ts",
  "src/cli/main.ts",
  "src/daemon/daemon.ts",
  "src/platform/metrics.ts",
];

test("nothing but a metric, a name and the client read the wall clock: no decision can hang on it", () => {
  const root = join(import.meta.dir, "../..");
  const readers = ["src", "raft"].flatMap((folder) => {
    const files = [...new Bun.Glob(`${folder}/**/*.ts`).scanSync({ cwd: root })];
    return files.filter((file) => {
      if (file.endsWith(".test.ts")) return false;
      const code = readFileSync(join(root, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
      return /\bDate\b[.(]|\bhrtime\b.*CLOCK_REALTIME/.test(code);
    });
  });
  expect(readers.toSorted()).toEqual(MAY_READ_WALL_CLOCK);
});
