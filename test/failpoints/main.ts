/**
 * `bun run test:failpoints`: hits a member at each point, 50 times, and prints the table (`--help` tells more).
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chosen, commandLine, text, wholeNumber } from "../programs/flags.ts";
import { interruption } from "../programs/interruption.ts";
import { buildMember } from "./build.ts";
import { runPoints } from "./lanes.ts";
import { POINTS, type Point } from "./points.ts";
import type { Outcome } from "./rounds.ts";

const { points, rounds, clusters, seed } = commandLine(
  {
    name: "bun run test:failpoints",
    about:
      "Three members as processes of their own; one of them is killed, or failed by its disk, at each point in turn while others write. The table " +
      "says what came of it; the end is 0 when everything held, 1 otherwise.",
    flags: {
      rounds: wholeNumber("at each point", 50, { min: 1 }),
      only: text("points with these words in their names, as the table has them", "WORDS", ""),
      seed: wholeNumber("of chance: at which pass a point acts", 1),
      clusters: wholeNumber("so many side by side", 2, { min: 1, max: 16 }),
    },
    examples: [
      ["", "all of them"],
      ["--only entries.commit --rounds 5", "one, a few times"],
      ["--only ENOSPC --clusters 3", "all where the disk is full"],
    ],
  },
  ({ only, ...given }) => ({ ...given, points: chosen(POINTS, only, titleOf) }),
);
const begin = performance.now();
// Of its own: another run's build must not take the place of what this one starts.
const folder = mkdtempSync(join(tmpdir(), "flt-failpoints-build-"));
const executable = await buildMember(folder);
console.log(
  "| point | rounds | ended | started | acknowledged | lost | slowest start |\n|---|---|---|---|---|---|---|",
);
const { signal, exitCode } = interruption();
const outcomes = await runPoints(executable, points, {
  rounds,
  clusters,
  seed,
  signal,
  tell: printed,
});
rmSync(folder, { recursive: true });
const failed = outcomes.filter(({ wrong }) => wrong.length > 0);
const sum = (count: (outcome: Outcome) => number) => outcomes.reduce((total, one) => total + count(one), 0);
console.log(
  `${outcomes.length} points, ${sum((one) => one.rounds)} rounds in ${Math.round((performance.now() - begin) / 1000)} s: ` +
    `${sum((one) => one.acknowledged)} writes acknowledged, ${failed.length} points failed`,
);
process.exit(exitCode() ?? (failed.length > 0 ? 1 : 0));

function titleOf({ when, name, action }: Point): string {
  return `${when}: ${name} ${action}`;
}

function printed({ point, rounds, killed, restarted, acknowledged, slowestStartMs, wrong }: Outcome): void {
  const lost = wrong.filter((line) => line.startsWith("lost")).length;
  const slowest = restarted === 0 ? "" : `${Math.round(slowestStartMs)} ms`;
  console.log(`| ${titleOf(point)} | ${rounds} | ${killed} | ${restarted} | ${acknowledged} | ${lost} | ${slowest} |`);
  for (const line of wrong) console.log(`  WRONG: ${line}`);
}
