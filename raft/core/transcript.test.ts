/**
 * Replays raft/testdata/*.txt and compares word by word.
 *
 * After a wanted change: `UPDATE_TRANSCRIPTS=1 bun test raft/core/transcript.test.ts`, then read the difference as you would
 * read code.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { replay } from "../../test/fakes/core-transcript.ts";

const directory = join(import.meta.dir, "..", "testdata");
const files = readdirSync(directory).filter((name) => name.endsWith(".txt"));

test("there are transcripts", () => {
  expect(files.length).toBeGreaterThanOrEqual(12);
});

for (const name of files) {
  test(`transcript ${name}`, () => {
    const path = join(directory, name);
    const expected = readFileSync(path, "utf8");
    const actual = replay(expected);
    if (process.env.UPDATE_TRANSCRIPTS === "1") writeFileSync(path, actual);
    else expect(actual).toBe(expected);
  });
}
