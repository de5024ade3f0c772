/**
 * Random runs of cores alone. The driver with its real loop is tortured in test/sim.
 *
 * Replay one: `CORE_SEED=123 bun test raft/core/random.test.ts`.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { CoreChaos } from "../../test/fakes/core-chaos.ts";

const SEEDS = process.env.CORE_SEED === undefined ? range(1, 400) : [Number(process.env.CORE_SEED)];
const SHAPES = [
  { voters: 3, learners: 0, spares: 2 },
  { voters: 5, learners: 0, spares: 0 },
  { voters: 1, learners: 1, spares: 1 },
  { voters: 4, learners: 1, spares: 1 },
];

test("whatever happens: one leader a term, one entry an index, no stale read, and recovery afterwards", () => {
  const total = {
    leaders: 0,
    committed: 0,
    snapshots: 0,
    restarts: 0,
    reads: 0,
    fullDisks: 0,
    simpleChanges: 0,
    jointChanges: 0,
  };
  for (const seed of SEEDS) {
    const shape = SHAPES[seed % SHAPES.length] ?? { voters: 3, learners: 0, spares: 0 };
    const chaos = new CoreChaos(seed, shape.voters, shape.learners, shape.spares);
    try {
      chaos.run(8_000);
      chaos.recover();
      for (const { core } of chaos.cluster.nodes.values()) {
        expect(core.status()).toMatchObject({ protocolViolations: 0, forgotten: null });
      }
    } catch (error) {
      throw new Error(`Seed ${seed} failed; replay it with CORE_SEED=${seed}`, { cause: error });
    }
    for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += chaos.seen[key];
  }
  if (process.env.CORE_SEED !== undefined) return;
  // The checks prove something only if all of this happened.
  for (const [what, count] of Object.entries(total)) {
    const often = what === "jointChanges" ? 200 : 800;
    expect({ what, isOften: count > often }).toEqual({ what, isOften: true });
  }
}, 60_000);

test("a seed gives the same run twice", () => {
  const trace = () => {
    const chaos = new CoreChaos(7, 3);
    chaos.run(2_000);
    return JSON.stringify([...chaos.cluster.nodes.values()].map((node) => [node.core.status(), node.applied]));
  };
  expect(trace()).toBe(trace());
});

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}
