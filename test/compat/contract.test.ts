/**
 * README.md beside this: each line of the contract has a proof, and each proof named there exists.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";

const ROOT = `${import.meta.dir}/../..`;
const README = readFileSync(`${import.meta.dir}/README.md`, "utf8");
const PROOF = /`([^`]+\.ts)`: "(.*?)"(?=<br>| \|)/g;

interface Row {
  readonly line: string;
  readonly proofs: readonly { readonly file: string; readonly name: string }[];
}

function rows(): Row[] {
  return README.split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| contract"))
    .map((line) => ({ line, proofs: [...line.matchAll(PROOF)].map(([, file = "", name = ""]) => ({ file, name })) }));
}

test("sections 2 to 9 are there, and every line has a proof", () => {
  const sections = [...README.matchAll(/^## (\d)\./gm)].map(([, digit]) => Number(digit));
  expect(sections).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
  expect(rows().length).toBeGreaterThan(80);
  expect(rows().filter(({ proofs }) => proofs.length === 0)).toEqual([]);
});

test("every test that is named exists, under that name", () => {
  const missing = rows()
    .flatMap(({ proofs }) => proofs)
    .filter(({ file, name }) => {
      const path = `${ROOT}/${file}`;
      if (!existsSync(path)) return true;
      const source = readFileSync(path, "utf8");
      // As a string of its own, whichever way it is quoted, or as the end of one that begins with a variable.
      return !['"', "`", ": "].some((quote) => source.includes(`${quote}${name}`));
    });
  expect(missing).toEqual([]);
});
