/**
 * Checks the tree's own rules and prints each breach as `path:line: message`.
 *
 * Usage: bun scripts/layers/main.ts [path prefix …]. With prefixes only their breaches are printed; the whole tree is read.
 *
 * @module
 */
import { checkCycles, checkImports, checkShape, checkWords, type SourceFile } from "./rules.ts";
import { scan } from "./scan.ts";

const PLACES = ["src", "raft", "scripts", "test"];

async function readTree(root: string): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for (const place of PLACES) {
    for await (const path of new Bun.Glob(`${place}/**/*.ts`).scan(root)) {
      const source = await Bun.file(`${root}/${path}`).text();
      files.push({ path, source, scan: scan(source) });
    }
  }
  return files.sort((left, right) => (left.path < right.path ? -1 : 1));
}

const files = await readTree(`${import.meta.dir}/../..`);
const complaints = files.flatMap((file) => [...checkImports(file), ...checkWords(file), ...checkShape(file)]);
complaints.push(...checkCycles(files));
const wanted = process.argv.slice(2);
const shown = complaints.filter(({ path }) => wanted.length === 0 || wanted.some((prefix) => path.startsWith(prefix)));
for (const { path, line, message } of shown) {
  console.error(`${path}:${line}: ${message}`);
}
console.error(`layers: ${files.length} files, ${shown.length} breaches`);
process.exit(shown.length === 0 ? 0 : 1);
