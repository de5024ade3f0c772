/**
 * `bun run fuzz [--count N] [--only NAME] [--seed N] [--path P]`: all cases there are, or one that failed.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { TARGETS } from "./targets.ts";

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "100000" },
    only: { type: "string", default: "" },
    seed: { type: "string" },
    path: { type: "string" },
  },
});

let failed = 0;
let total = 0;
for (const target of TARGETS.filter(({ name }) => name.includes(values.only))) {
  const count = Math.ceil(Number(values.count) * target.share);
  const begin = performance.now();
  try {
    await target.run({
      count,
      ...(values.seed !== undefined && { seed: Number(values.seed) }),
      ...(values.path !== undefined && { path: values.path }),
    });
    total += count;
    console.log(`${target.name}: ${count} cases in ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  } catch (error) {
    failed += 1;
    const cause = error instanceof Error && error.cause instanceof Error ? `\n${error.cause.stack}` : "";
    console.log(`${target.name}: ${error instanceof Error ? error.message : String(error)}${cause}`);
    console.log(`  replay with: bun run fuzz --only "${target.name}" --seed SEED --path PATH, as named above`);
  }
}
console.log(`${total} cases, ${failed} targets failed`);
process.exit(failed > 0 ? 1 : 0);
