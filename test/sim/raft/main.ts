/**
 * `bun run sim:raft [--seed N] [--from N] [--count N] [--trace]`: replays one seed, or tries many.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { commit } from "../commit.ts";
import { simulate } from "./simulation.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    from: { type: "string", default: "1" },
    count: { type: "string", default: "1000" },
    trace: { type: "boolean", default: false },
  },
});

const first = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.count) : 1;
let failed = 0;
for (let seed = first; seed < first + count; seed++) {
  const result = simulate(seed, {
    ...(values.trace ? { onLine: (at: number, line: string) => console.log(`${at.toFixed(3)} ${line}`) } : {}),
  });
  if (result.violation !== null) {
    failed += 1;
    console.log(`seed ${seed} at commit ${commit()}: ${result.violation.stack ?? result.violation.message}`);
    console.log(`  replay with: bun run sim:raft --seed ${seed} --trace`);
  }
  if (count === 1) console.log(JSON.stringify({ ...result, violation: result.violation?.message ?? null }));
}
if (count > 1) console.log(`${count} seeds from ${first}: ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
