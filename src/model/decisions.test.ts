import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DECISIONS, messageIdOf } from "./decisions.ts";

const README = readFileSync(join(import.meta.dir, "../../README.md"), "utf8");

test("each decision has an id of its own, as the journal wants them", () => {
  const ids = Object.values(DECISIONS).map(({ messageId }) => messageId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
  expect(messageIdOf("placed")).toBe(DECISIONS.placed.messageId);
  expect(messageIdOf("toString")).toBeUndefined();
});

test("README's table has each of them, as it is", () => {
  for (const [name, { messageId, meaning }] of Object.entries(DECISIONS)) {
    expect(README).toContain(`| ${name} | ${meaning} | \`${messageId}\` |`);
  }
});
