/**
 * Hunts one planted bug: seeds from 1 on until a checker speaks. Run by main.ts in a process of its own, behind plant.ts.
 *
 * @module
 */
import { simulate } from "../raft/simulation.ts";
import { simulateBlindly, simulateWorld } from "../world/world.ts";

const [seeds, simulation] = [Number(process.argv[2]), process.argv[3]];
/** A bug may make promises fail that nobody holds; the checkers are to see what comes of it. */
process.on("unhandledRejection", () => {});

const run = simulation === "raft" ? simulate : simulation === "blind" ? simulateBlindly : simulateWorld;
let found: { readonly seed: number; readonly how: string } | null = null;
for (let seed = 1; seed <= seeds && found === null; seed++) {
  const { violation } = run(seed);
  if (violation !== null) found = { seed, how: violation.message };
}
console.log(JSON.stringify(found));
