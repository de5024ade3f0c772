/**
 * `bun run sim`: replays one seed, or tries many (`--help` tells more).
 *
 * @module
 */
import {
  commandLine,
  range,
  minutes as readMinutes,
  text,
  toggle,
  UsageError,
  wholeNumber,
} from "../programs/flags.ts";
import { commit } from "./commit.ts";
import { Seeds, withLost } from "./seeds.ts";
import { shrink } from "./shrink.ts";
import { FAULT_KINDS, type FaultKind } from "./world/weather.ts";
import { SEED_MS, simulateWorld, type WorldResult } from "./world/world.ts";

const LAST_SEED = 2 ** 31;
const FIRST_SEEDS = 100;

const { first, last, minutes, without, isTraced } = commandLine(
  {
    name: "bun run sim",
    about:
      `Seeds from A to B (1..${FIRST_SEEDS}; as many as there is time for with --minutes), each ${SEED_MS / 1000} s in the life of a cluster: production's classes on ` +
      "virtual time, network and disks, with faults. What breaks a promise is printed with its seed; the end is 0 without, 1 with one.",
    flags: {
      seed: wholeNumber("this seed alone", undefined),
      seeds: range("these seeds"),
      minutes: readMinutes("no new seed after so many minutes"),
      without: text("leave these kinds of faults out, separated by commas", "KINDS", ""),
      trace: toggle("print each life as it goes"),
    },
    examples: [
      ["", `${FIRST_SEEDS} seeds`],
      ["--seeds 1..10000", "many"],
      ["--minutes 10", "for ten minutes"],
      ["--seed 77 --trace", "one again, line by line: byte for byte the same"],
      ["--seed 77 --without crash,pause", "without two kinds of faults"],
    ],
  },
  (given) => {
    if (given.seed !== undefined && given.seeds !== undefined) {
      throw new UsageError("Read --seeds: there is --seed, too; give one of them");
    }
    const single = given.seed === undefined ? undefined : ([given.seed, given.seed] as const);
    const several = [1, given.minutes === undefined ? FIRST_SEEDS : LAST_SEED] as const;
    const [first, last] = single ?? given.seeds ?? several;
    return { first, last, minutes: given.minutes, without: kindsOf(given.without), isTraced: given.trace };
  },
);
const seeds = new Seeds({ first, last, minutes, seedMs: SEED_MS, isQuiet: first === last || isTraced });
const faults = new Map<FaultKind, number>();
const drawn = new Map<FaultKind, number>();
const counts = new Map<string, number>();
const startCpu = process.cpuUsage();
const onLine = isTraced ? (at: number, line: string) => console.log(`${at.toFixed(3)} ${line}`) : undefined;

await seeds.each(async (seed) => {
  const result = await withLost(() => simulateWorld(seed, { onLine, without }));
  for (const kind of result.drawn) drawn.set(kind, (drawn.get(kind) ?? 0) + 1);
  for (const [kind, count] of result.faults) faults.set(kind, (faults.get(kind) ?? 0) + count);
  for (const [kind, count] of Object.entries(result.counts)) counts.set(kind, (counts.get(kind) ?? 0) + count);
  if (result.violation !== null) tell(result);
  if (first === last) console.log(`seed ${seed}, ${result.size} hosts, trace ${result.traceHash.toString(16)}`);
  return result.violation !== null;
});
const { user, system } = process.cpuUsage(startCpu);
const simulatedHours = (seeds.done * SEED_MS) / 3_600_000;
const coreHours = (user + system) / 3_600_000_000;
console.log(`${seeds.done} seeds from ${first}, ${seeds.failed} failed; ${simulatedHours.toFixed(2)} simulated hours`);
console.log(`${Math.round(simulatedHours / coreHours)} simulated hours per core hour`);
console.log("Faults, each with the seeds that drew it and how often it struck:");
for (const kind of FAULT_KINDS) {
  console.log(
    `  ${kind.padEnd(20)}${String(drawn.get(kind) ?? 0).padStart(8)}${String(faults.get(kind) ?? 0).padStart(12)}`,
  );
}
console.log(`Seen: ${listed(counts)}`);
process.exit(seeds.exitCode);

function tell(result: WorldResult): void {
  const { seed, violation } = result;
  seeds.makeRoom();
  console.log(`seed ${seed} at commit ${commit()}: ${violation?.stack ?? violation?.message}`);
  const { needed, without: left } = shrink(result, without);
  const words = left.length > 0 ? ` --without ${left.join(",")}` : "";
  const asGiven = without.size > 0 ? ` --without ${[...without].join(",")}` : "";
  console.log(`  replay with: bun run sim --seed ${seed}${asGiven} --trace`);
  console.log(`  it takes ${needed.join(", ") || "no fault"}: bun run sim --seed ${seed}${words} --trace`);
}

function kindsOf(names: string): ReadonlySet<FaultKind> {
  const kinds = names === "" ? [] : names.split(",");
  const found = FAULT_KINDS.filter((kind) => kinds.includes(kind));
  const unknown = kinds.find((kind) => !FAULT_KINDS.some((known) => known === kind));
  if (unknown === undefined) return new Set(found);
  throw new UsageError(
    `Read --without "${names}": "${unknown}" is no kind of fault; they are ${FAULT_KINDS.join(", ")}`,
  );
}

function listed(map: ReadonlyMap<string, number>): string {
  return [...map]
    .sort()
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
}
