/**
 * `bun run test:failpoints [--rounds N] [--only WORDS] [--seed N] [--clusters N]`: hits a member at each point, 50 times,
 * and prints the table.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildMember } from "./build.ts";
import { runPoints } from "./lanes.ts";
import { POINTS } from "./points.ts";
import type { Outcome } from "./rounds.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "50" },
    only: { type: "string", default: "" },
    seed: { type: "string", default: "1" },
    clusters: { type: "string", default: "2" },
  },
});

const points = POINTS.filter(({ name, when, action }) => `${when}: ${name} ${action}`.includes(values.only));
const begin = performance.now();
// Of its own: another run's build must not take the place of what this one starts.
const folder = mkdtempSync(join(tmpdir(), "flt-failpoints-build-"));
const executable = await buildMember(folder);
console.log(
  "| point | rounds | ended | started | acknowledged | lost | slowest start |\n|---|---|---|---|---|---|---|",
);
const interrupted = new AbortController();
for (const name of ["SIGINT", "SIGTERM"]) process.once(name, () => interrupted.abort());
const outcomes = await runPoints(executable, points, {
  rounds: Number(values.rounds),
  clusters: Number(values.clusters),
  seed: Number(values.seed),
  signal: interrupted.signal,
  tell: printed,
});
rmSync(folder, { recursive: true });
const failed = outcomes.filter(({ wrong }) => wrong.length > 0);
const sum = (count: (outcome: Outcome) => number) => outcomes.reduce((total, one) => total + count(one), 0);
console.log(
  `${points.length} points, ${sum((one) => one.rounds)} rounds in ${Math.round((performance.now() - begin) / 1000)} s: ` +
    `${sum((one) => one.acknowledged)} writes acknowledged, ${failed.length} points failed`,
);
process.exit(failed.length > 0 ? 1 : 0);

function printed({ point, rounds, killed, restarted, acknowledged, slowestStartMs, wrong }: Outcome): void {
  const lost = wrong.filter((line) => line.startsWith("lost")).length;
  const what = `${point.when}: ${point.name} ${point.action}`;
  const slowest = restarted === 0 ? "" : `${Math.round(slowestStartMs)} ms`;
  console.log(`| ${what} | ${rounds} | ${killed} | ${restarted} | ${acknowledged} | ${lost} | ${slowest} |`);
  for (const line of wrong) console.log(`  WRONG: ${line}`);
}
