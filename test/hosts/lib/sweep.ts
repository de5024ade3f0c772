/**
 * Lists the clusters on this machine and removes what dead runs left behind; with tags as arguments, those, too.
 *
 * Usage: bun test/hosts/lib/sweep.ts [TAG …]
 *
 * @module
 */
import { listTags, removeLeftovers, removeTag } from "./workspace.ts";

const wanted = process.argv.slice(2);
const known = new Set(listTags().map(({ tag }) => tag));
let status = 0;
for (const tag of wanted) {
  if (known.has(tag)) {
    await removeTag(tag);
    console.error(`removed ${tag}`);
  } else {
    console.error(`Remove "${tag}": no cluster has this tag`);
    status = 1;
  }
}
for (const tag of await removeLeftovers()) {
  console.error(`removed ${tag}, left behind by a run that is dead`);
}
for (const { tag, kept } of listTags()) {
  console.error(`${tag}: ${kept ? "kept on purpose" : "in use"}`);
}
process.exit(status);
