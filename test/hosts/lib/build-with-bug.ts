/**
 * Builds this tree's flt with one place of its text changed: `build-with-bug.ts FOLDER FILE FIND REPLACE`. In a process of its own, since
 * a build changes its working directory.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { buildExecutable } from "../../../scripts/build.ts";
import { VERSION } from "../../../src/lib/version.ts";
import { withBug } from "../../sim/bugs/bug.ts";

const [folder = "", file = "", find = "", replace = ""] = process.argv.slice(2);
const bug = { name: "a host's own", file, find, replace, seeds: 0 };

await buildExecutable(folder, VERSION, {
  name: "bug",
  setup(build) {
    build.onLoad({ filter: new RegExp(`/${file.replaceAll(".", "\\.")}$`) }, ({ path }) => ({
      contents: withBug(readFileSync(path, "utf8"), bug),
      loader: "ts",
    }));
  },
});
