/**
 * `bun run fuzz [--count N] [--only NAME] [--seed N] [--path P]`: all cases there are, or the ones that failed.
 *
 * Each case stands alone, so a seed finds the same ones again; the path that a failure prints leads straight to the smallest.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { TARGETS, type Target } from "./targets.ts";

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "100000" },
    only: { type: "string", default: "" },
    seed: { type: "string", default: String(Date.now() % 0x7fff_ffff) },
    path: { type: "string" },
  },
});
const seed = Number(values.seed);
const targets = TARGETS.filter(({ name }) => name.includes(values.only));
if (!Number.isInteger(seed) || !(Number(values.count) > 0) || targets.length === 0) {
  console.error(
    `Cannot run: --seed and --count are numbers, --only is one of ${TARGETS.map(({ name }) => name).join(", ")}`,
  );
  process.exit(2);
}

let running = "";
/** What is thrown where nobody waits for it would end a daemon: it fails the run, whichever case it came from. */
for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(event, (error: unknown) => {
    console.log(`${running}: a crash (${event}), found with --seed ${seed}: ${describe(error)}`);
    process.exit(1);
  });
}

console.log(`seed ${seed}`);
const begin = performance.now();
let failed = 0;
let total = 0;
for (const target of targets) {
  const count = Math.ceil(Number(values.count) * target.share);
  if (await runTarget(target, count)) total += count;
  else failed += 1;
}
console.log(`${total} cases in ${secondsSince(begin)} s, ${failed} targets failed`);
process.exit(failed > 0 ? 1 : 0);

async function runTarget(target: Target, count: number): Promise<boolean> {
  running = target.name;
  const beginTarget = performance.now();
  try {
    await target.run({ count, seed, ...(values.path !== undefined && { path: values.path }) });
  } catch (error) {
    console.log(`${target.name}: FAILED: ${describe(error)}`);
    console.log(`  replay with: bun run fuzz --only "${target.name}" --seed ${seed} --path PATH, as named above`);
    return false;
  }
  console.log(`${target.name}: ${count} cases in ${secondsSince(beginTarget)} s`);
  return true;
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}\n${error.cause.stack}` : (error.stack ?? error.message);
}

function secondsSince(beginMs: number): string {
  return ((performance.now() - beginMs) / 1000).toFixed(1);
}
