/**
 * Plants the bug that FLT_SIM_BUG names in this process, before anything else is loaded: `bun --preload ./test/sim/bugs/plant.ts …`.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { plugin } from "bun";
import { withBug } from "./bug.ts";
import { BUGS } from "./catalogue.ts";

const name = process.env.FLT_SIM_BUG;
const bug = BUGS.find((one) => one.name === name);
if (bug === undefined) throw new Error(`Planting a bug failed: there is none named "${name}"`);

const path = Bun.fileURLToPath(new URL(`../../../${bug.file}`, import.meta.url));
plugin({
  name: "bug",
  setup: (build) => {
    const filter = new RegExp(`^${path.replaceAll(/[.+]/g, "\\$&")}$`);
    build.onLoad({ filter }, () => ({ contents: withBug(readFileSync(path, "utf8"), bug), loader: "ts" }));
  },
});
