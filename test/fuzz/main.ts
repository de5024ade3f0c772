/**
 * `bun run fuzz`: all cases there are, or the ones that failed (`--help` tells more).
 *
 * Each case stands alone, so a seed finds the same ones again; the path that a failure prints leads straight to the smallest.
 *
 * @module
 */
import { chosen, commandLine, text, UsageError, wholeNumber } from "../programs/flags.ts";
import { TARGETS, type Target } from "./targets.ts";

const { targets, count, seed, path } = commandLine(
  {
    name: "bun run fuzz",
    about:
      "Made-up input at every door of production's classes, a share of the cases to each target. A failing case is printed with its seed and the path " +
      `to the smallest; the end is 0 without one, 1 with one. The targets: ${TARGETS.map(({ name }) => name).join(", ")}.`,
    flags: {
      count: wholeNumber("cases, over all targets", 100_000, { min: 1 }),
      only: text("targets with these words in their names", "NAME", ""),
      seed: wholeNumber("of chance (another one each time)", undefined),
      path: text("straight to a failing case, as it was printed", "P", undefined, {
        form: /^\d+(:\d+)*$/,
        such: 'numbers and colons, such as "12:0:1"',
      }),
    },
    examples: [
      ["", "100,000 cases"],
      ['--only "raw HTTP" --count 1000', "a few hundred at one door"],
      ['--only peers --seed 7 --path "12:0:1"', "one again"],
    ],
  },
  ({ only, seed, ...given }) => {
    const targets = chosen(TARGETS, only);
    if (given.path !== undefined && (seed === undefined || targets.length > 1)) {
      throw new UsageError("Read --path: it leads to a case of one target and one seed; give --only and --seed, too");
    }
    return { ...given, targets, seed: seed ?? Date.now() % 0x7fff_ffff };
  },
);

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
  const cases = Math.ceil(count * target.share);
  if (await runTarget(target, cases)) total += cases;
  else failed += 1;
}
console.log(`${total} cases in ${secondsSince(begin)} s, ${failed} targets failed`);
process.exit(failed > 0 ? 1 : 0);

async function runTarget(target: Target, count: number): Promise<boolean> {
  running = target.name;
  const beginTarget = performance.now();
  try {
    await target.run({ count, seed, ...(path !== undefined && { path }) });
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
