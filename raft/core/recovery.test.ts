/** When a recovering member gives up: only while others say again and again that they recover, too. */
import { expect, test } from "bun:test";
import { Members } from "./membership.ts";
import { Sufferers } from "./recovery.ts";

const members = new Members(2, { voters: [1, 2, 3], learners: [] });

test("who hears in each round that another one recovers, and of no leader, calls it hopeless after four", () => {
  const sufferers = new Sufferers();
  for (let round = 1; round <= 4; round++) {
    expect(sufferers.isHopeless).toBe(false);
    sufferers.heard(3);
    sufferers.roundPassed(2, members);
  }
  expect(sufferers.isHopeless).toBe(true);
  expect(sufferers.nodes).toEqual([3]);
});

test("one word that came late, from somebody who is whole again, is no end however long nobody leads", () => {
  const sufferers = new Sufferers();
  sufferers.heard(3);
  for (let round = 1; round <= 10; round++) {
    sufferers.roundPassed(2, members);
    expect(sufferers.isHopeless).toBe(false);
  }
});
