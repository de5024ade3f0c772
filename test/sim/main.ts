/**
 * `bun run sim [--seed N [--trace]] [--seeds A..B] [--minutes M] [--without KIND,KIND]`: replays one seed, or tries many.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { commit } from "./commit.ts";
import { shrink } from "./shrink.ts";
import { FAULT_KINDS, type FaultKind } from "./world/weather.ts";
import { SEED_MS, simulateWorld, type WorldResult } from "./world/world.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string" },
    minutes: { type: "string" },
    without: { type: "string", default: "" },
    trace: { type: "boolean", default: false },
  },
});

const LAST_SEED = 2 ** 31;
const [first, last] = rangeOf();
const without = withoutOf();
const until = values.minutes === undefined ? Number.POSITIVE_INFINITY : Date.now() + Number(values.minutes) * 60_000;
const faults = new Map<FaultKind, number>();
const drawn = new Map<FaultKind, number>();
const counts = new Map<string, number>();
const startCpu = process.cpuUsage();
let done = 0;
let failed = 0;

for (let seed = first; seed <= last && Date.now() < until; seed++) {
  const result = await simulated(seed);
  done += 1;
  for (const kind of result.drawn) drawn.set(kind, (drawn.get(kind) ?? 0) + 1);
  for (const [kind, count] of result.faults) faults.set(kind, (faults.get(kind) ?? 0) + count);
  for (const [kind, count] of Object.entries(result.counts)) counts.set(kind, (counts.get(kind) ?? 0) + count);
  if (result.violation !== null) {
    failed += 1;
    tell(result);
  }
  if (first === last) console.log(`seed ${seed}, ${result.size} hosts, trace ${result.traceHash.toString(16)}`);
}
const { user, system } = process.cpuUsage(startCpu);
const simulatedHours = (done * SEED_MS) / 3_600_000;
const coreHours = (user + system) / 3_600_000_000;
console.log(`${done} seeds from ${first}, ${failed} failed; ${simulatedHours.toFixed(2)} simulated hours`);
console.log(`${Math.round(simulatedHours / coreHours)} simulated hours per core hour`);
console.log("Faults, each with the seeds that drew it and how often it struck:");
for (const kind of FAULT_KINDS) {
  console.log(
    `  ${kind.padEnd(20)}${String(drawn.get(kind) ?? 0).padStart(8)}${String(faults.get(kind) ?? 0).padStart(12)}`,
  );
}
console.log(`Seen: ${listed(counts)}`);
process.exit(failed > 0 ? 1 : 0);

/** A promise that nobody holds and that fails is found between two seeds. */
async function simulated(seed: number): Promise<WorldResult> {
  let lost: unknown = null;
  const onLost = (error: unknown) => {
    lost ??= error;
  };
  process.on("unhandledRejection", onLost);
  const onLine = values.trace ? (at: number, line: string) => console.log(`${at.toFixed(3)} ${line}`) : undefined;
  const result = simulateWorld(seed, { onLine, without });
  await new Promise<void>((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", onLost);
  if (lost === null || result.violation !== null) return result;
  return { ...result, violation: new Error(`Nobody took a failure: ${String(lost)}`, { cause: lost }) };
}

function tell(result: WorldResult): void {
  const { seed, violation } = result;
  console.log(`seed ${seed} at commit ${commit()}: ${violation?.stack ?? violation?.message}`);
  const { needed, without: left } = shrink(result, without);
  const words = left.length > 0 ? ` --without ${left.join(",")}` : "";
  console.log(`  replay with: bun run sim --seed ${seed}${values.without && ` --without ${values.without}`} --trace`);
  console.log(`  it takes ${needed.join(", ") || "no fault"}: bun run sim --seed ${seed}${words} --trace`);
}

function withoutOf(): ReadonlySet<FaultKind> {
  const kinds = values.without === "" ? [] : values.without.split(",");
  const found = FAULT_KINDS.filter((kind) => kinds.includes(kind));
  if (found.length === kinds.length) return new Set(found);
  console.error(`Reading --without failed: the kinds of faults are ${FAULT_KINDS.join(", ")}`);
  process.exit(2);
}

function rangeOf(): readonly [number, number] {
  if (values.seed !== undefined) return [Number(values.seed), Number(values.seed)];
  const [from, to] = (values.seeds ?? (values.minutes === undefined ? "1..100" : `1..${LAST_SEED}`))
    .split("..")
    .map(Number);
  if (from === undefined || to === undefined || !(from <= to)) {
    console.error('Reading --seeds failed: write it as "1..1000"');
    process.exit(2);
  }
  return [from, to];
}

function listed(map: ReadonlyMap<string, number>): string {
  return [...map]
    .sort()
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
}
