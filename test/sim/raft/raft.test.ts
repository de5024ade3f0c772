/** Lives of raft clusters of three and five, each from its seed; and that the simulation itself can be trusted. */
import { describe, expect, test } from "bun:test";
import { simulate } from "./simulation.ts";

/** `scripts/test sim` goes on from there. */
const SEEDS = 150;
const BATCH = 25;
/** A seed takes about 70 ms of CPU; this is for machines that are very busy. */
const BATCH_DEADLINE_MS = 120_000;

function expectClean(seed: number): void {
  const { violation } = simulate(seed);
  if (violation === null) return;
  throw new Error(`seed ${seed}: ${violation.message}; replay with: bun run sim:raft --seed ${seed} --trace`, {
    cause: violation,
  });
}

describe("thesis figure 3.2 holds under faults", () => {
  for (let first = 1; first <= SEEDS; first += BATCH) {
    test(
      `seeds ${first} to ${first + BATCH - 1}`,
      () => {
        for (let seed = first; seed < first + BATCH; seed++) expectClean(seed);
      },
      BATCH_DEADLINE_MS,
    );
  }
});

describe("the simulation", () => {
  test("gives the same trace for the same seed, here and in another process", () => {
    const here = simulate(77).traceHash;
    expect(simulate(77).traceHash).toBe(here);
    expect(simulate(78).traceHash).not.toBe(here);
    const main = Bun.fileURLToPath(new URL("./main.ts", import.meta.url));
    const child = Bun.spawnSync({ cmd: [process.execPath, main, "--seed", "77"] });
    expect(JSON.parse(child.stdout.toString())).toMatchObject({ seed: 77, traceHash: here });
  }, 60_000);

  test("gets something done in both sizes of cluster", () => {
    const results = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => simulate(seed));
    expect(new Set(results.map((result) => result.size))).toEqual(new Set([3, 5]));
    expect(results.filter(({ counts }) => (counts.changes ?? 0) > 0).length).toBeGreaterThan(1);
    for (const { counts } of results) {
      expect(counts.done).toBeGreaterThan(50);
      expect(counts.reads).toBeGreaterThan(20);
    }
  }, 60_000);

  test("notices disks that lose what was synced", () => {
    const seeds = Array.from({ length: 30 }, (_, i) => i + 1);
    const noticed = seeds.filter((seed) => simulate(seed, { forgetfulDisks: true }).violation !== null);
    expect(noticed.length).toBeGreaterThan(3);
  }, 60_000);
});
