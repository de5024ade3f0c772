/**
 * `bun run sim:bugs [--only WORDS] [--limit N]`: plants each bug in turn and prints by which seed it was found, and how.
 *
 * @module
 */
import { parseArgs } from "node:util";
import type { Bug } from "./bug.ts";
import { BUGS } from "./catalogue.ts";

const { values } = parseArgs({ options: { only: { type: "string", default: "" }, limit: { type: "string" } } });
const here = (file: string) => Bun.fileURLToPath(new URL(file, import.meta.url));
const HOW_LENGTH = 90;
/** A bug that makes the simulation itself go round in circles is none for this gallery. */
const HUNT_TIMEOUT_MS = 15 * 60_000;
let missed = 0;

const hunted = BUGS.filter(({ name }) => name.includes(values.only));
console.log("| bug | stated | found by seed | how |\n|---|---|---|---|");
for (const bug of hunted) {
  const found = hunt(bug);
  if (found === null) missed += 1;
  const how = found?.how.split("\n")[0]?.slice(0, HOW_LENGTH) ?? "";
  console.log(`| ${bug.name} | ${bug.seeds} | ${found?.seed ?? "NOT FOUND"} | ${how} |`);
}
console.log(`${hunted.length - missed} of ${hunted.length} bugs found`);
process.exit(missed > 0 ? 1 : 0);

function hunt(bug: Bug): { readonly seed: number; readonly how: string } | null {
  const seeds = Math.min(bug.seeds, Number(values.limit ?? bug.seeds));
  const { stdout, stderr } = Bun.spawnSync({
    cmd: [process.execPath, "--preload", here("./plant.ts"), here("./hunt.ts"), `${seeds}`, bug.simulation ?? "world"],
    env: { ...process.env, FLT_SIM_BUG: bug.name },
    timeout: HUNT_TIMEOUT_MS,
  });
  const text = stdout.toString().trim();
  if (text === "") throw new Error(`Hunting "${bug.name}" failed: ${stderr.toString()}`);
  return JSON.parse(text);
}
