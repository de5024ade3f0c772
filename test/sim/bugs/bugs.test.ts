/** That each bug of the gallery still has its place in the code; `bun run sim:bugs` shows that it is found. */
import { expect, test } from "bun:test";
import { withBug } from "./bug.ts";
import { BUGS } from "./catalogue.ts";

test.each(BUGS.map((bug) => [bug.name, bug] as const))("%s can be planted", async (_name, bug) => {
  const text = await Bun.file(new URL(`../../../${bug.file}`, import.meta.url)).text();
  const changed = withBug(text, bug);
  expect(changed).not.toBe(text);
  expect(() => new Bun.Transpiler({ loader: "ts" }).transformSync(changed)).not.toThrow();
});

test("bugs have names of their own", () => {
  expect(new Set(BUGS.map(({ name }) => name)).size).toBe(BUGS.length);
});
