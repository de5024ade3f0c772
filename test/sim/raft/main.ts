/**
 * `bun run sim:raft`: replays one seed of raft alone, or tries many (`--help` tells more).
 *
 * @module
 */
import { commandLine, toggle, UsageError, wholeNumber } from "../../programs/flags.ts";
import { commit } from "../commit.ts";
import { Seeds, withLost } from "../seeds.ts";
import { SEED_MS, simulate } from "./simulation.ts";

const SEEDS = 1000;
const { first, count, isTraced } = commandLine(
  {
    name: "bun run sim:raft",
    about:
      `Seeds, each ${SEED_MS / 1000} s in the life of three or five members of raft alone, on virtual time, network and disks, with faults. What breaks ` +
      "a promise is printed with its seed; the end is 0 without, 1 with one.",
    flags: {
      seed: wholeNumber("this seed alone, with what came of it as JSON", undefined),
      from: wholeNumber("the first seed (1)", undefined),
      count: wholeNumber(`how many (${SEEDS})`, undefined, { min: 1 }),
      trace: toggle("print each life as it goes"),
    },
    examples: [
      ["", "1,000 seeds"],
      ["--from 1001 --count 500", "the next 500"],
      ["--seed 77 --trace", "one again, line by line: byte for byte the same"],
    ],
  },
  ({ seed, from, count, trace }) => {
    if (seed === undefined) return { first: from ?? 1, count: count ?? SEEDS, isTraced: trace };
    if (from === undefined && count === undefined) return { first: seed, count: 1, isTraced: trace };
    throw new UsageError("Read --seed: there is --from or --count, too; give the one or the others");
  },
);
const last = first + count - 1;
const seeds = new Seeds({ first, last, seedMs: SEED_MS, isQuiet: count === 1 || isTraced });
const onLine = (at: number, line: string) => console.log(`${at.toFixed(3)} ${line}`);
await seeds.each(async (seed) => {
  const result = await withLost(() => simulate(seed, isTraced ? { onLine } : {}));
  if (result.violation !== null) {
    seeds.makeRoom();
    console.log(`seed ${seed} at commit ${commit()}: ${result.violation.stack ?? result.violation.message}`);
    console.log(`  replay with: bun run sim:raft --seed ${seed} --trace`);
  }
  if (count === 1) console.log(JSON.stringify({ ...result, violation: result.violation?.message ?? null }));
  return result.violation !== null;
});
if (count > 1) console.log(`${seeds.done} seeds from ${first}: ${seeds.failed} failed`);
process.exit(seeds.exitCode);
