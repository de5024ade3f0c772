/** Lives of whole clusters, each from its seed; and that the simulation itself can be trusted. */
import { describe, expect, test } from "bun:test";
import { FAULT_KINDS } from "./weather.ts";
import { simulateWorld } from "./world.ts";

/** Five seconds of a core; `scripts/test sim` goes on from there. */
const SEEDS = 45;
const BATCH = 15;
/** A seed takes about 100 ms of CPU; this is for machines that are very busy. */
const BATCH_DEADLINE_MS = 180_000;

const struck = new Map<string, number>();
const seen: Record<string, number> = {};

function expectClean(seed: number): void {
  const { violation, faults, counts } = simulateWorld(seed);
  for (const [kind, count] of faults) struck.set(kind, (struck.get(kind) ?? 0) + count);
  for (const [name, count] of Object.entries(counts)) seen[name] = (seen[name] ?? 0) + count;
  if (violation === null) return;
  throw new Error(`seed ${seed}: ${violation.message}; replay with: bun run sim --seed ${seed} --trace`, {
    cause: violation,
  });
}

describe("whatever happens, every promise holds", () => {
  for (let first = 1; first <= SEEDS; first += BATCH) {
    test(
      `seeds ${first} to ${first + BATCH - 1}`,
      () => {
        for (let seed = first; seed < first + BATCH; seed++) expectClean(seed);
      },
      BATCH_DEADLINE_MS,
    );
  }

  test("and everything happened", () => {
    for (const kind of FAULT_KINDS) expect([kind, struck.get(kind) ?? 0]).not.toEqual([kind, 0]);
    for (const [name, count] of Object.entries(seen)) expect([name, count]).not.toEqual([name, 0]);
  });
});

test(
  "a failure prints its seed, the commit, and the faults that it takes",
  () => {
    const [plant, main] = ["../bugs/plant.ts", "../main.ts"].map((file) =>
      Bun.fileURLToPath(new URL(file, import.meta.url)),
    );
    const child = Bun.spawnSync({
      cmd: [process.execPath, "--preload", `${plant}`, `${main}`, "--seed", "3"],
      env: { ...process.env, FLT_SIM_BUG: "half of the voters are a majority" },
    });
    expect(child.exitCode).toBe(1);
    const told = child.stdout.toString();
    expect(told).toMatch(/^seed 3 at commit \S+: Violation: leader completeness/);
    expect(told).toContain("replay with: bun run sim --seed 3 --trace");
    const [, needed, without] = told.match(/it takes ([a-z, -]+): bun run sim --seed 3 --without (\S+) --trace/) ?? [];
    const { violation, drawn } = simulateWorld(3, {
      without: new Set(FAULT_KINDS.filter((kind) => without?.split(",").includes(kind))),
    });
    expect(violation).toBeNull();
    expect([...drawn].join(", ")).toBe(`${needed}`);
  },
  BATCH_DEADLINE_MS,
);

test(
  "the same seed gives the same trace, here and in another process",
  () => {
    const here = simulateWorld(77).traceHash;
    expect(simulateWorld(77).traceHash).toBe(here);
    expect(simulateWorld(78).traceHash).not.toBe(here);
    const main = Bun.fileURLToPath(new URL("../main.ts", import.meta.url));
    const child = Bun.spawnSync({ cmd: [process.execPath, main, "--seed", "77"] });
    expect(child.stdout.toString()).toContain(`trace ${here.toString(16)}`);
  },
  BATCH_DEADLINE_MS,
);
