/**
 * No command of the README goes without a host test that runs it.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { readmeBlocks } from "./readme.ts";

const HOSTS = `${import.meta.dir}/..`;

test("each block of commands is run by exactly one host test", () => {
  const claims: string[] = [];
  for (const name of readdirSync(HOSTS).filter((each) => each.endsWith(".host.ts"))) {
    const source = readFileSync(`${HOSTS}/${name}`, "utf8");
    const constants = new Map(
      [...source.matchAll(/^const (\w+) = "(.*)";$/gm)].map(([, key = "", text = ""]) => [key, text]),
    );
    for (const [, argument = "", index] of source.matchAll(/readmeBlock\(("[^"]+"|\w+), (\d+)\)/g)) {
      claims.push(`${argument.startsWith('"') ? argument.slice(1, -1) : constants.get(argument)} ${index}`);
    }
  }
  expect(claims.sort()).toEqual(
    readmeBlocks()
      .map(({ heading, index }) => `${heading} ${index}`)
      .sort(),
  );
});
